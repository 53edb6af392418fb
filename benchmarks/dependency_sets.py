"""Install xrano in fresh environments, each in its own way, and see it pass there.

    python -m benchmarks.dependency_sets [--sets oldest newest wheel] [--all-tests] [--work DIR]

``oldest``: every package that ``pyproject.toml`` names for xrano itself in the lowest version that
it admits (of ``>=1.15`` the last 1.15), tools of the tests as in ``constraints.txt``. ``newest``:
what pip gives today without constraints but torch's, whose newer builds may bring gigabytes. Each
is installed, pip is asked whether all extras go together, and the tests are run: doctests and the
first case of each test that is not slow, or all of them, for a limited time. ``wheel``: sdist and
wheel are built, the wheel is looked into and installed where no source lies, then ``xrano doctor``
and ``xrano demo``; then the sdist is installed in its place, must bring the same files, and is
asked for ``xrano doctor`` too. Copies are made of the last commit. The exit status is 1 if a set
failed.

Where pip has no build of torch for processors at hand, gigabytes come along: name PyTorch's index
in ``PIP_EXTRA_INDEX_URL``.
"""

from __future__ import annotations

import argparse
import os
import signal
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
OWN_EXTRAS = ("prepare", "tensorboard", "excel", "parquet", "notebook", "niivue")
"""Extras that are part of xrano as its users have it; the others are tools of its developers."""

IN_THE_WHEEL = (
    *("xrano/py.typed", "xrano/presets/laptop.yaml", "xrano/report/templates/cohort.html.j2"),
    *("xrano/report/static/viewer.js", "xrano/report/static/citations.yaml"),
)


OF_ONE_VERSION = (
    "--deselect",
    "tests/viz/test_reference_figures.py::test_a_picture_looks_as_it_did",
)
"""Pictures are compared with those that the pinned matplotlib drew; others space letters anew."""

BOUNDED = ("-m", "not slow", "-p", "benchmarks.one_case_pytest")
"""What pytest is told to be done in some minutes; of the folders that it knows by itself."""


@dataclass(frozen=True)
class Tests:
    """What pytest is told, and after how many minutes it is stopped."""

    words: tuple[str, ...]
    minutes: float


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


def oldest(work: Path, tests: Tests) -> Outcome:
    """The tests with the lowest versions."""
    pins = lowest_pins(ROOT / "pyproject.toml")
    own = {Requirement(line).name.lower() for line in pins}
    constraints = work / "oldest.txt"
    kept = [line for line in _constraints() if Requirement(line).name.lower() in _test_tools()]
    constraints.write_text(
        "\n".join([*pins, *(line for line in kept if Requirement(line).name.lower() not in own)])
    )
    return _tested("oldest", work, constraints, tests)


def newest(work: Path, tests: Tests) -> Outcome:
    """The tests with what pip gives today."""
    constraints = work / "newest.txt"
    constraints.write_text("\n".join(line for line in _constraints() if line.startswith("torch==")))
    return _tested("newest", work, constraints, tests)


def wheel(work: Path, _tests: Tests) -> Outcome:
    """The demo from a wheel, where no source lies; then the same files from an sdist."""
    start = time.monotonic()
    python, copy = _environment(work / "wheel"), _copy(work / "wheel" / "source")
    torch = next(line for line in _constraints() if line.startswith("torch=="))
    _run([python, "-m", "pip", "install", "-q", "build"], copy)
    _run([python, "-m", "build", "--outdir", str(work / "wheel" / "dist")], copy)
    (built,) = (work / "wheel" / "dist").glob("*.whl")
    (packed,) = (work / "wheel" / "dist").glob("*.tar.gz")
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
    of_wheel = _installed(python)
    _run([python, "-m", "pip", "uninstall", "-q", "-y", "xrano"], work)
    _run([python, "-m", "pip", "install", "-q", "--no-deps", str(packed)], work)
    _run([str(program), "doctor"], work)
    said = last[0] if last else ""
    if other := sorted(of_wheel ^ _installed(python)):
        said = f"wheel and sdist do not install the same: {', '.join(other[:3])}"
    spent = (time.monotonic() - start) / 60
    return Outcome("wheel", demo.returncode == 0 and not other, spent, built.name, said)


def _installed(python: str) -> set[str]:
    """Files of xrano that pip has installed, without those of the installation itself."""
    found = _attempt([python, "-m", "pip", "show", "-f", "xrano"], ROOT).stdout
    files = {line.strip() for line in found.partition("Files:")[2].splitlines()}
    return {name for name in files if name.startswith("xrano/") and not name.endswith(".pyc")}


SETS: MappingProxyType[str, Callable[[Path, Tests], Outcome]] = MappingProxyType(
    {"oldest": oldest, "newest": newest, "wheel": wheel}
)


def _tested(name: str, work: Path, constraints: Path, tests: Tests) -> Outcome:
    start = time.monotonic()
    python, copy = _environment(work / name), _copy(work / name / "source")
    install = [python, "-m", "pip", "install", "-q", "-c", str(constraints)]
    _run([*install, "-e", ".[test]"], copy)
    # Their packages are many, and no test needs them: that they go together is enough.
    _run([*install, "--dry-run", f".[test,{','.join(OWN_EXTRAS)}]"], copy)
    command = [python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
    command += [*OF_ONE_VERSION, *tests.words]
    done = _attempt(command, copy, minutes=tests.minutes)
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


def _attempt(
    command: Sequence[str], folder: Path, *, minutes: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command, and end it and all that it has started after some minutes."""
    # What this process imports from must not be found by the other one.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=clean, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as job:
        try:
            output, errors = job.communicate(timeout=minutes and 60 * minutes)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            output, errors = job.communicate()
            output += f"\nstopped after {minutes:g} minutes"
    return subprocess.CompletedProcess(command, job.returncode, output, errors)


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
    parser.add_argument("--all-tests", action="store_true", help="every case, slow ones too")
    parser.add_argument("--minutes", type=float, default=40.0, help="for the tests of a set")
    arguments = parser.parse_args()
    tests = Tests(() if arguments.all_tests else BOUNDED, arguments.minutes)
    with tempfile.TemporaryDirectory() as folder:
        work = (arguments.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        failed = 0
        for name in arguments.sets:
            try:
                found = SETS[name](work, tests)
            except RuntimeError as error:
                found = Outcome(name, False, 0.0, "", str(error))
            failed += not found.passed
            state = "passed" if found.passed else "FAILED"
            print(f"{name}: {state} in {found.minutes:.0f} min ({found.versions})\n  {found.said}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
