"""Processes as torchrun, srun or nobody starts them, for tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

COUNT = 2


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def torchrun_variables(rank: int, port: int, count: int = COUNT) -> dict[str, str]:
    return {
        "TORCHELASTIC_RUN_ID": "7",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def srun_variables(rank: int, port: int, count: int = COUNT) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": "77",
        "SLURM_NTASKS": str(count),
        "SLURM_NTASKS_PER_NODE": str(count),
        "SLURM_NNODES": "1",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def start(words: Sequence[str], variables: dict[str, str]) -> subprocess.Popen[str]:
    """Python with these words; one thread, so that sums have one order."""
    return subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_job(words: Sequence[str], kind=torchrun_variables) -> list[subprocess.Popen[str]]:
    """Every process of a job of two."""
    port = free_port()
    return [start(words, kind(rank, port)) for rank in range(COUNT)]


def ended(job: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Status, standard output and standard error of each."""
    found = []
    for process in job:
        out, error = process.communicate(timeout=1800)
        found.append((process.returncode, out, error))
    return found
