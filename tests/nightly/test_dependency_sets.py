"""Which packages and tests ``python -m benchmarks.dependency_sets`` takes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from benchmarks.dependency_sets import (
    BOUNDED,
    OF_ONE_VERSION,
    OWN_EXTRAS,
    ROOT,
    _attempt,
    lowest_pins,
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEVELOPERS = {"docs", "test", "dev"}


def written(folder: Path, *dependencies: str) -> Path:
    extras = "\n".join(f"{name} = []" for name in OWN_EXTRAS)
    path = folder / "pyproject.toml"
    path.write_text(
        f"[project]\ndependencies = {list(dependencies)!r}\n"
        f"[project.optional-dependencies]\n{extras}\n"
    )
    return path


def test_the_lowest_pins_are_the_lowest_series(tmp_path: Path):
    path = written(tmp_path, "scipy>=1.15", "jsonargparse[signatures]>=4.50", "mkdocs<2,>=1.6")
    assert lowest_pins(path) == ["scipy==1.15.*", "jsonargparse==4.50.*", "mkdocs==1.6.*"]


def test_a_package_without_a_lower_bound_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="scipy<2 has no lower bound"):
        lowest_pins(written(tmp_path, "numpy>=2.0", "scipy<2"))


def test_every_extra_of_users_is_pinned():
    assert set(OWN_EXTRAS) == set(PROJECT["optional-dependencies"]) - DEVELOPERS
    pinned = [Requirement(line) for line in lowest_pins(ROOT / "pyproject.toml")]
    extras = [line for name in OWN_EXTRAS for line in PROJECT["optional-dependencies"][name]]
    named = [Requirement(line) for line in (*PROJECT["dependencies"], *extras)]
    assert [one.name for one in pinned] == [one.name for one in named]
    for pin, bound in zip(pinned, named, strict=True):
        (lowest,) = [one.version for one in bound.specifier if one.operator == ">="]
        assert Version(lowest) in pin.specifier


def test_the_test_that_is_left_out_is_there():
    file, _, name = OF_ONE_VERSION[-1].partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_a_bounded_run_takes_each_test_once_and_doctests(tmp_path: Path):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('number', [1, 2, 3])\n"
        "def test_cases(number):\n    pass\n"
        "def test_alone():\n    pass\n"
        "class TestGroup:\n    def test_alone(self):\n        pass\n"
        "@pytest.mark.slow\ndef test_slow():\n    pass\n"
    )
    (tmp_path / "words.py").write_text('"""\n>>> 1\n1\n"""\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --doctest-modules\nmarkers = slow\n")
    given = ("--rootdir", str(tmp_path), "-c", str(tmp_path / "pytest.ini"), str(tmp_path))
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *BOUNDED, *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert [line for line in found.stdout.splitlines() if "::" in line] == [
        "test_some.py::test_cases[1]",
        "test_some.py::test_alone",
        "test_some.py::TestGroup::test_alone",
        "words.py::words",
    ], found.stderr


def test_tests_that_take_too_long_are_stopped_and_fail(tmp_path: Path):
    done = _attempt([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, minutes=0.01)
    assert done.returncode != 0
    assert done.stdout.endswith("stopped after 0.01 minutes")
