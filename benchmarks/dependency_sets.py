"""Install xrano in fresh environments, each in its own way, and see it pass there.

    python -m benchmarks.dependency_sets [--sets oldest newest wheel] [--work DIR] [--tests ...]

``oldest``: every package that ``pyproject.toml`` names for xrano itself in the lowest version that
it admits (of ``>=1.15`` the last 1.15), tools of the tests as in ``constraints.txt``; then the
tests. ``newest``: what pip gives today without constraints but torch's, whose newer builds may
bring gigabytes; then the tests. ``wheel``: sdist and wheel are built, the wheel is looked into and
installed where no source lies, then ``xrano doctor`` and ``xrano demo``. Copies are made of the
last commit. The exit status is 1 if a set failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from zipfile import ZipFile

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
OWN_EXTRAS = ("prepare", "excel", "parquet", "notebook")
"""Extras that are part of xrano as its users have it; the others are tools of its developers."""

IN_THE_WHEEL = (
    *("xrano/py.typed", "xrano/presets/laptop.yaml", "xrano/report/templates/cohort.html.j2"),
    *("xrano/report/static/viewer.js", "xrano/report/static/citations.yaml"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a set: ``said`` is the last line of what it printed."""

    name: str
    passed: bool
    minutes: float
    versions: str
    said: str


def lowest_pins(pyproject: Path) -> list[str]:
    """The lowest version of each package that xrano itself needs, as pip's constraints.

    Of ``>=1.15`` this is ``==1.15.*``: the oldest series with its last corrections.

    Raises:
        ValueError: if a package has no lower bound.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *(line for name in OWN_EXTRAS for line in extras[name])]
    pins = []
    for requirement in map(Requirement, named):
        lowest = [one.version for one in requirement.specifier if one.operator == ">="]
        if not lowest:
            raise ValueError(f"{requirement} has no lower bound in {pyproject}")
        pins.append(f"{requirement.name}=={lowest[0]}.*")
    return pins


def oldest(work: Path, tests: Sequence[str]) -> Outcome:
    """The tests with the lowest versions."""
    pins = lowest_pins(ROOT / "pyproject.toml")
    own = {Requirement(line).name.lower() for line in pins}
    constraints = work / "oldest.txt"
    kept = [line for line in _constraints() if Requirement(line).name.lower() in _test_tools()]
    constraints.write_text(
        "\n".join([*pins, *(line for line in kept if Requirement(line).name.lower() not in own)])
    )
    return _tested("oldest", work, ["-c", str(constraints), "-e", ".[test]"], tests)


def newest(work: Path, tests: Sequence[str]) -> Outcome:
    """The tests with what pip gives today."""
    constraints = work / "newest.txt"
    constraints.write_text("\n".join(line for line in _constraints() if line.startswith("torch==")))
    return _tested("newest", work, ["-c", str(constraints), "-e", ".[test]"], tests)


def wheel(work: Path, _tests: Sequence[str]) -> Outcome:
    """The demo from a wheel, where no source lies."""
    start = time.monotonic()
    python, copy = _environment(work / "wheel"), _copy(work / "wheel" / "source")
    torch = next(line for line in _constraints() if line.startswith("torch=="))
    _run([python, "-m", "pip", "install", "-q", "build"], copy)
    _run([python, "-m", "build", "--outdir", str(work / "wheel" / "dist")], copy)
    (built,) = (work / "wheel" / "dist").glob("*.whl")
    names = set(ZipFile(built).namelist())
    missing = [name for name in IN_THE_WHEEL if name not in names]
    stray = sorted(name for name in names if name.startswith(("tests/", "benchmarks/")))
    if missing or stray:
        said = f"the wheel lacks {missing} and has {stray[:3]}"
        return Outcome("wheel", False, (time.monotonic() - start) / 60, built.name, said)
    _run([python, "-m", "pip", "install", "-q", torch, str(built)], work)
    program = Path(python).with_name("xrano")
    _run([str(program), "doctor"], work)
    demo = _attempt([str(program), "demo", "--out", str(work / "wheel" / "demo")], work)
    last = demo.stdout.strip().splitlines()[-1:] or demo.stderr.strip().splitlines()[-1:]
    spent = (time.monotonic() - start) / 60
    return Outcome("wheel", demo.returncode == 0, spent, built.name, last[0] if last else "")


SETS: MappingProxyType[str, Callable[[Path, Sequence[str]], Outcome]] = MappingProxyType(
    {"oldest": oldest, "newest": newest, "wheel": wheel}
)


def _tested(name: str, work: Path, packages: Sequence[str], tests: Sequence[str]) -> Outcome:
    start = time.monotonic()
    python, copy = _environment(work / name), _copy(work / name / "source")
    _run([python, "-m", "pip", "install", "-q", *packages], copy)
    done = _attempt(
        [python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *tests], copy
    )
    (work / f"{name}.log").write_text(done.stdout + done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(f"  {line}", flush=True)
    spent = (time.monotonic() - start) / 60
    said = lines[-1] if lines else done.stderr.strip()[-200:]
    return Outcome(name, done.returncode == 0, spent, _versions(python), said)


def _environment(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    return str(folder / "venv" / "bin" / "python")


def _copy(folder: Path) -> Path:
    """The last commit, and the real MRI beside it where there is any."""
    _run(["git", "clone", "-q", str(ROOT), str(folder)], ROOT)
    beside = folder.parent / "shared"
    if (ROOT.parent / "shared").is_dir() and not beside.exists():
        beside.symlink_to((ROOT.parent / "shared").resolve())
    return folder


def _versions(python: str) -> str:
    told = _attempt([python, "-m", "pip", "list", "--format", "freeze"], ROOT).stdout.splitlines()
    shown = ("numpy", "scipy", "pandas", "torch", "monai", "captum", "nibabel", "nilearn")
    return ", ".join(line for line in told if line.split("==")[0] in shown)


def _constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _test_tools() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {Requirement(line).name.lower() for line in project["optional-dependencies"]["test"]}


def _attempt(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # What this process imports from must not be found by the other one.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)


def _run(command: Sequence[str], folder: Path) -> None:
    done = _attempt(command, folder)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} failed: {done.stderr.strip()[-2000:]}")


def main() -> int:
    """Try the sets one after the other; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--tests", nargs="+", default=["tests"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = (arguments.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        failed = 0
        for name in arguments.sets:
            try:
                found = SETS[name](work, arguments.tests)
            except RuntimeError as error:
                found = Outcome(name, False, 0.0, "", str(error))
            failed += not found.passed
            state = "passed" if found.passed else "FAILED"
            print(f"{name}: {state} in {found.minutes:.0f} min ({found.versions})\n  {found.said}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
