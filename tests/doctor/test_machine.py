"""Cores, memory and disk, read from files as Linux, Docker and SLURM write them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from xrano.doctor.machine import Processor, disk, memory, processor

GB = 1_000_000_000


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:    9000000 kB\n"
STAT = "anon 5\ninactive_file 1000000000\n"


def test_without_a_limit_the_machine_is_told(tmp_path: Path):
    found = memory(write(tmp_path, {"proc/meminfo": MEMINFO}))
    assert (found.total, found.free, found.limited) == (16_384_000_000, 9_216_000_000, False)


def test_a_job_of_version_2_is_limited_by_the_group_above_it_too(tmp_path: Path):
    group = "sys/fs/cgroup/system.slice/job_7"
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/system.slice/job_7/step_0\n",
        f"{group}/step_0/memory.max": "max\n",
        f"{group}/memory.max": f"{8 * GB}\n",
        f"{group}/memory.current": f"{6 * GB}\n",
        f"{group}/memory.stat": STAT,
        f"{group}/step_0/cpu.max": "max 100000\n",
        f"{group}/cpu.max": "150000 100000\n",
    }
    root = write(tmp_path, files)
    found = memory(root)
    # Of the six in use one holds contents of files.
    assert (found.total, found.free, found.limited) == (8 * GB, 3 * GB, True)
    assert processor(root).quota == 1.5


def test_a_container_whose_own_group_is_the_root(tmp_path: Path):
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{4 * GB}",
        "sys/fs/cgroup/memory.current": f"{5 * GB}",
    }
    found = memory(write(tmp_path, files))
    assert (found.total, found.free) == (4 * GB, 0)


def test_a_job_of_version_1(tmp_path: Path):
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "9:cpu,cpuacct:/slurm/job_7\n4:memory:/slurm/job_7\n1:name=systemd:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
        "sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": f"{3 * GB}\n",
        "sys/fs/cgroup/memory/slurm/job_7/memory.usage_in_bytes": f"{GB}\n",
        "sys/fs/cgroup/memory/slurm/job_7/memory.stat": "total_inactive_file 500000000\n",
        "sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_quota_us": "400000\n",
        "sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_period_us": "100000\n",
    }
    root = write(tmp_path, files)
    found = memory(root)
    assert (found.total, found.free, found.limited) == (3 * GB, 2 * GB + GB // 2, True)
    assert processor(root).quota == 4.0


def test_a_limit_above_the_machine_limits_nothing(tmp_path: Path):
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{500 * GB}",
        "sys/fs/cgroup/memory.current": "0",
        "sys/fs/cgroup/cpu.max": "max 100000",
    }
    root = write(tmp_path, files)
    found = memory(root)
    assert (found.total, found.free, found.limited) == (16_384_000_000, 9_216_000_000, False)
    assert processor(root).quota is None


def test_files_that_say_nothing_are_not_believed(tmp_path: Path):
    files = {
        "proc/meminfo": "MemTotal: unknown kB\n",
        "proc/self/cgroup": "\nodd\n0::/gone\n",
        "sys/fs/cgroup/memory.max": "",
        "sys/fs/cgroup/cpu.max": "12",
    }
    root = write(tmp_path, files)
    assert memory(root) is None
    assert processor(root).quota is None


def test_this_machine():
    found = processor()
    assert 1 <= found.usable <= (os.cpu_count() or 1) == found.cores
    told = memory()
    assert told is not None
    assert 0 < (told.free or 1) <= told.total


@pytest.mark.parametrize(("quota", "worth"), [(None, 4.0), (1.5, 1.5), (16.0, 4.0)])
def test_what_work_can_count_on(quota: float | None, worth: float):
    assert Processor(8, 4, quota).worth == worth


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path):
    found = disk(tmp_path / "runs" / "first")
    usage = shutil.disk_usage(tmp_path)
    assert found.path == tmp_path / "runs" / "first"
    assert found.total == usage.total
    assert found.free == pytest.approx(usage.free, abs=2e9)
    assert found.trouble == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to():
    # Not even the superuser makes files there.
    found = disk(Path("/proc"))
    assert found.trouble
