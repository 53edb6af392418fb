"""The findings of ``xrano doctor``: what was found, whether that is fine, and what to do if not."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

import xrano
from xrano.doctor.devices import devices, unused_gpu
from xrano.doctor.extras import EXTRAS, Extra
from xrano.doctor.machine import Disk, Memory, Processor, disk, memory, processor
from xrano.doctor.packages import Package, check_package, requirements
from xrano.doctor.self_test import SelfTest, self_test

State = Literal["ok", "warn", "bad", "--"]
"""``--``: not there, and not needed."""

LEAST_MEMORY_GB = 4.0
"""Free; below it 1 mm networks do not train, and scoring is cramped."""
LEAST_DISK_GB = 5.0
"""Free; a store of LUMIERE at 2 mm takes 2 GB, one at 1 mm some 15 GB."""

_SHOWN = ("torch", "monai", "captum", "nibabel", "nilearn", "numpy", "scipy", "pandas")
"""Packages that are named in the table even if nothing is wrong with them."""


@dataclass(frozen=True)
class Finding:
    """One line of the table; ``details`` for scripts."""

    name: str
    state: State
    found: str
    advice: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkup:
    """Everything that was found, and whether xrano can work here."""

    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """What keeps xrano from working."""
        return tuple(one for one in self.findings if one.state == "bad")

    def text(self) -> str:
        """A table, then what to do."""
        width = max(len(one.name) for one in self.findings)
        lines = [f"  {one.state:<4}  {one.name:<{width}}  {one.found}" for one in self.findings]
        advised = [one for one in self.findings if one.advice]
        ordered = sorted(advised, key=lambda one: ("bad", "warn", "ok", "--").index(one.state))
        if ordered:
            lines += ["", "what to do"]
        lines += [f"  {one.name}: {one.advice}" for one in ordered]
        return "\n".join([*lines, "", self.verdict])

    @property
    def verdict(self) -> str:
        """One plain line."""
        if self.broken:
            return f"xrano cannot work here: {', '.join(one.name for one in self.broken)}"
        doubtful = [one.name for one in self.findings if one.state == "warn"]
        return f"xrano works here{'; look at: ' if doubtful else ''}{', '.join(doubtful)}"

    def values(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "works": not self.broken,
            "verdict": self.verdict,
            "findings": [asdict(one) for one in self.findings],
        }


def check_up(folder: Path = Path()) -> Checkup:
    """Look at this machine and installation.

    Args:
        folder: where runs are to be written.
    """
    found: list[Finding] = [_versions(), processor_finding(processor(), torch.get_num_threads())]
    found += [memory_finding(memory()), disk_finding("disk", disk(folder))]
    found += [disk_finding("temporary", disk(Path(tempfile.gettempdir()))), _gpu()]
    required = [check_package(one) for one in requirements()]
    found += [package_finding(required), *extra_findings(EXTRAS), _tested()]
    return Checkup(tuple(found))


def processor_finding(machine: Processor, threads: int) -> Finding:
    """Cores and threads."""
    words = f"{machine.usable} of {machine.cores} cores"
    if machine.quota is not None and machine.quota < machine.usable:
        words += f", with time for {machine.quota:g}"
    named = os.environ.get("OMP_NUM_THREADS", "")
    words += f"; {threads} thread{'s' * (threads > 1)}"
    words += f" (OMP_NUM_THREADS={named})" if named else ""
    details = {**asdict(machine), "threads": threads, "omp_num_threads": named}
    if threads > max(machine.worth, 1):
        advice = (
            f"more threads than cores wait for each other: export OMP_NUM_THREADS="
            f"{max(int(machine.worth), 1)}"
        )
        return Finding("processor", "warn", words, advice, details)
    return Finding("processor", "ok", words, "", details)


def memory_finding(found: Memory | None) -> Finding:
    """Memory."""
    if found is None:
        return Finding("memory", "--", "this machine does not tell")
    total = f"{found.total / 1e9:.1f} GB{' (limit of this job or container)' * found.limited}"
    details = asdict(found)
    if found.free is None:
        return Finding("memory", "ok", total, "", details)
    words = f"{found.free / 1e9:.1f} GB free of {total}"
    if found.free < LEAST_MEMORY_GB * 1e9:
        advice = "take a coarser spacing (xrano prepare --spacing_mm 2), --jobs 1, a smaller batch"
        return Finding("memory", "warn", words, advice, details)
    return Finding("memory", "ok", words, "", details)


def disk_finding(name: str, found: Disk) -> Finding:
    """Room in a folder, and whether it can be written to."""
    yet = "" if found.path.exists() else ", which is to be made"
    words = f"{found.free / 1e9:.1f} GB free in {found.path}{yet}"
    details = {**asdict(found), "path": str(found.path)}
    elsewhere = "set TMPDIR to another folder" if name == "temporary" else "name another by --out"
    if found.trouble:
        words = f"{found.path} cannot be written to ({found.trouble})"
        # Where one happens to stand need not be where runs go.
        state: State = "bad" if name == "temporary" else "warn"
        return Finding(name, state, words, elsewhere, details)
    if found.free < LEAST_DISK_GB * 1e9:
        return Finding(name, "warn", words, f"free some, or {elsewhere}", details)
    return Finding(name, "ok", words, "", details)


def package_finding(packages: Sequence[Package]) -> Finding:
    """What xrano needs: named if it is often asked for, or something is wrong with it."""
    details = {"packages": [asdict(one) for one in packages]}
    if not packages:
        words = "xrano's own installation names none, so versions are not checked"
        return Finding("packages", "warn", words, "install xrano: pip install .", details)
    broken = [one for one in packages if one.broken]
    odd = [one for one in packages if one.odd]
    if broken:
        said = "; ".join(
            f"{one.name} {one.version} {one.broken}".replace("  ", " ") for one in broken
        )
        advice = f"{broken[0].install}{' …' if len(broken) > 1 else ''}"
        if len(broken) > 1:
            advice = "pip install " + " ".join(f'"{one.name}{one.needed}"' for one in broken)
        return Finding("packages", "bad", said, advice, details)
    if odd:
        said = "; ".join(f"{one.name}: {one.odd}" for one in odd)
        advice = f"pip install --force-reinstall {' '.join(one.name for one in odd)}"
        return Finding("packages", "warn", said, advice, details)
    shown = ", ".join(f"{one.name} {one.version}" for one in packages if one.name in _SHOWN)
    return Finding("packages", "ok", f"{len(packages)} fit: {shown}", "", details)


def extra_findings(extras: Sequence[Extra]) -> Iterator[Finding]:
    """A line an extra."""
    for extra in extras:
        missing = extra.missing
        name = f"[{extra.name}]"
        if missing:
            words = f"not installed ({', '.join(missing)}): to {extra.purpose}"
            yield Finding(name, "--", words, extra.install, {"missing": list(missing)})
            continue
        # Versions alone: to import jupyterlab or ants takes seconds.
        found = [check_package(one, load=None) for one in requirements(extra.name)]
        unfit = [one for one in found if one.broken or one.odd]
        versions = ", ".join(f"{one.name} {one.version}" for one in found)
        details = {"missing": [], "packages": [asdict(one) for one in found]}
        if unfit:
            words = "; ".join(f"{one.name} {one.version}: {one.broken or one.odd}" for one in unfit)
            yield Finding(name, "warn", words, f"{extra.install} --upgrade", details)
        else:
            yield Finding(name, "ok", versions or f"installed: to {extra.purpose}", "", details)


def self_test_finding(found: SelfTest) -> Finding:
    """A lesion on the left, found on the left."""
    details = asdict(found)
    if found.trouble:
        advice = (
            "do not trust a map made here: install torch, captum and nibabel again, then report "
            "what xrano doctor --json says"
        )
        return Finding("self-test", "bad", found.trouble, advice, details)
    words = f"a lesion on the left is found on the left ({found.seconds:.1f} s)"
    return Finding("self-test", "ok", words, "", details)


def _versions() -> Finding:
    system = f"{platform.system()} {platform.machine()}"
    words = f"xrano {xrano.__version__}, Python {platform.python_version()}, {system}"
    details = {
        "xrano": xrano.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
    }
    return Finding("versions", "ok", words, "", details)


def _gpu() -> Finding:
    found = devices()
    details = {"devices": [asdict(one) for one in found]}
    unused = unused_gpu()
    if unused:
        return Finding("GPU", "warn", "one that cannot be used", unused, details)
    if not found:
        return Finding("GPU", "--", "none: everything runs on the processor", "", details)
    words = "; ".join(
        f"{one.name}{f', {one.total / 1e9:.0f} GB' if one.total else ''}"
        f"{', bf16' if one.bf16 else ''}"
        for one in found
    )
    return Finding("GPU", "ok", words, "", details)


def _tested() -> Finding:
    try:
        return self_test_finding(self_test())
    # Whatever breaks it is what is asked for.
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return self_test_finding(SelfTest((0.0, 0.0, 0.0), 0.0, said))
