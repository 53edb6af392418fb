"""Findings, their states and the advice beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrano.cli.main import main
from xrano.doctor import checkup
from xrano.doctor.checkup import (
    Checkup,
    Finding,
    disk_finding,
    extra_findings,
    memory_finding,
    package_finding,
    processor_finding,
    self_test_finding,
)
from xrano.doctor.devices import Device, unused_gpu
from xrano.doctor.extras import Extra
from xrano.doctor.machine import Disk, Memory, Processor
from xrano.doctor.packages import Package
from xrano.doctor.self_test import SelfTest

GB = 1_000_000_000


@pytest.fixture
def quick(monkeypatch):
    """Everything but what takes seconds: the imports of all packages and the self-test."""
    package = Package("numpy", "2.3", ">=2.0")
    monkeypatch.setattr(checkup, "check_package", lambda *_, **__: package)
    monkeypatch.setattr(checkup, "self_test", lambda: SelfTest((-31.0, 12.0, 9.0), 0.5))
    return monkeypatch


def test_more_threads_than_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    found = processor_finding(Processor(64, 8, 2.5), 8)
    assert found.state == "warn"
    assert found.found == "8 of 64 cores, with time for 2.5; 8 threads (OMP_NUM_THREADS=8)"
    assert found.advice.endswith("export OMP_NUM_THREADS=2")
    assert processor_finding(Processor(8, 8), 8).state == "ok"
    # A tenth of a core still runs one thread.
    assert processor_finding(Processor(8, 8, 0.1), 1).state == "ok"


def test_memory():
    assert memory_finding(None).state == "--"
    assert memory_finding(Memory(16 * GB, 9 * GB)).found == "9.0 GB free of 16.0 GB"
    short = memory_finding(Memory(4 * GB, 2 * GB, limited=True))
    assert short.state == "warn"
    assert "limit of this job or container" in short.found
    assert "--spacing_mm" in short.advice
    assert memory_finding(Memory(16 * GB, None)).state == "ok"


def test_disk():
    assert disk_finding("disk", Disk(Path("/d"), 90 * GB, 50 * GB)).state == "ok"
    assert disk_finding("disk", Disk(Path("/d"), 90 * GB, 4 * GB)).state == "warn"
    locked = Disk(Path("/d"), 90 * GB, 50 * GB, "Read-only file system")
    assert disk_finding("disk", locked).state == "warn"
    found = disk_finding("temporary", locked)
    assert (found.state, found.advice) == ("bad", "set TMPDIR to another folder")
    assert found.found == "/d cannot be written to (Read-only file system)"


def test_packages_that_do_not_serve():
    fine = Package("torch", "2.6", ">=2.6")
    old = Package("numpy", "1.26", ">=2.0", broken=">=2.0 is needed")
    gone = Package("captum", "", ">=0.9", broken="not installed")
    odd = Package("scipy", "1.15", ">=1.15", odd="pip knows 1.15, Python loads 1.11")
    assert package_finding([fine]).found == "1 fit: torch 2.6"
    found = package_finding([fine, old, gone, odd])
    assert found.state == "bad"
    assert found.found == "numpy 1.26 >=2.0 is needed; captum not installed"
    assert found.advice == 'pip install "numpy>=2.0" "captum>=0.9"'
    assert package_finding([old]).advice == 'pip install "numpy>=2.0"'
    found = package_finding([fine, odd])
    assert (found.state, found.advice) == ("warn", "pip install --force-reinstall scipy")
    assert package_finding([]).state == "warn"


def test_extras(monkeypatch):
    there, gone = Extra("excel", {"numpy": "numpy"}, "x"), Extra("other", {"no_such": "o"}, "y")
    found = list(extra_findings([there, gone]))
    assert [one.state for one in found] == ["ok", "--"]
    assert found[1].advice == 'pip install "xrano[other]"'
    assert found[1].found == "not installed (o): to y"
    unfit = Package("numpy", "1.0", ">=2", broken=">=2 is needed")
    monkeypatch.setattr(checkup, "requirements", lambda _: [1])
    monkeypatch.setattr(checkup, "check_package", lambda *_, **__: unfit)
    (found_old,) = extra_findings([there])
    assert (found_old.state, found_old.found) == ("warn", "numpy 1.0: >=2 is needed")


def test_gpus(monkeypatch, tmp_path: Path):
    card = Device("cuda", "NVIDIA H100", 80 * GB, 70 * GB, True)
    monkeypatch.setattr(checkup, "devices", lambda: (card,))
    monkeypatch.setattr(checkup, "unused_gpu", lambda: "")
    found = checkup._gpu()
    assert (found.state, found.found) == ("ok", "NVIDIA H100, 80 GB, bf16")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert unused_gpu(tmp_path) == ""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    monkeypatch.setattr("torch.version.cuda", None)
    assert "built for the processor alone" in unused_gpu(tmp_path)
    monkeypatch.setattr("torch.version.cuda", "12.4")
    assert "nvidia-smi" in unused_gpu(tmp_path)


def test_the_table_comes_first_then_what_to_do_the_worst_first():
    text = Checkup(
        (
            Finding("memory", "warn", "1.0 GB", "close something"),
            Finding("[docs]", "--", "not installed", "pip install it"),
            Finding("packages", "bad", "numpy not installed", "pip install numpy"),
            Finding("self-test", "ok", "fine"),
        )
    ).text()
    assert text.splitlines() == [
        "  warn  memory     1.0 GB",
        "  --    [docs]     not installed",
        "  bad   packages   numpy not installed",
        "  ok    self-test  fine",
        "",
        "what to do",
        "  packages: pip install numpy",
        "  memory: close something",
        "  [docs]: pip install it",
        "",
        "xrano cannot work here: packages",
    ]
    assert text.isascii()


def test_what_breaks_the_self_test_is_the_finding(quick):
    def broken() -> SelfTest:
        raise RuntimeError("no kernel image")

    quick.setattr(checkup, "self_test", broken)
    (found,) = [one for one in checkup.check_up().findings if one.name == "self-test"]
    assert (found.state, found.found) == ("bad", "RuntimeError: no kernel image")
    assert self_test_finding(SelfTest((1.0, 2.0, 3.0), 0.1)).state == "ok"


def test_the_command(quick, capsys, tmp_path: Path):
    import json

    assert main(["doctor", "--dir", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert str(tmp_path) in said.out
    assert "a lesion on the left is found on the left" in said.out
    quick.setattr(checkup, "self_test", lambda: SelfTest((31.0, 0.0, 0.0), 0.5, "on the right"))
    assert main(["doctor"]) == 1
    assert "xrano cannot work here: self-test" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["works"] is False
    states = {one["name"]: one["state"] for one in found["findings"]}
    assert states["self-test"] == "bad"
    assert {"versions", "processor", "memory", "disk", "temporary", "GPU"} <= set(states)


def test_without_torch_it_still_says_what_is_wrong(capsys, monkeypatch):
    import builtins

    real = builtins.__import__

    def refuse(name: str, *rest: object):
        if name == "xrano.doctor.checkup":
            raise ImportError("libtorch_cpu.so: cannot open shared object file")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "libtorch_cpu.so" in said
    assert "pip install --force-reinstall xrano" in said
