"""Versions, and what does not fit together."""

from __future__ import annotations

import tomllib
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from xrano.doctor import extras, packages
from xrano.doctor.extras import EXTRAS, install_line
from xrano.doctor.packages import check_package, requirements, wanted

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def check(text: str, versions: list[str], load=None):
    return check_package(Requirement(text), load=load, versions_of=lambda _: versions)


def module(version: str) -> ModuleType:
    found = ModuleType("numpy")
    found.__version__ = version
    return found


@pytest.mark.parametrize(
    ("needed", "versions", "broken"),
    [
        ("numpy>=2.0", [], "not installed"),
        ("numpy>=2.0", ["1.26.4"], ">=2.0 is needed"),
        ("numpy>=2.0", ["2.0"], ""),
        ("numpy>=2.0", ["2.1.0rc1"], ""),
        ("torch>=2.6", ["2.6.0+cpu"], ""),
        ("mkdocs>=1.6,<2", ["2.0"], "<2,>=1.6 is needed"),
    ],
)
def test_versions_against_what_is_needed(needed: str, versions: list[str], broken: str):
    assert check(needed, versions).broken == broken


def test_the_line_that_mends_it():
    assert check("numpy>=2.0", ["1.26"]).install == 'pip install "numpy>=2.0"'


def test_two_installations_over_each_other():
    assert check("numpy>=2", ["2.1", "2.3"]).odd == "installed 2 times (2.1, 2.3)"
    odd = check("numpy>=2", ["2.1"], load=lambda _: module("1.26.4")).odd
    assert odd == "pip knows 2.1, Python loads 1.26.4"
    assert check("numpy>=2", ["2.1+local"], load=lambda _: module("2.1")).odd == ""


def test_a_package_that_cannot_be_imported():
    def load(name: str) -> ModuleType:
        raise ImportError("libGL.so.1:\n cannot open shared object file")

    found = check("nilearn>=0.13", ["0.14"], load=load)
    assert (
        found.broken
        == "cannot be imported (ImportError: libGL.so.1: cannot open shared object file)"
    )


def test_a_package_built_for_another_version_says_so_when_it_is_imported():
    def load(name: str) -> ModuleType:
        warnings.warn("A NumPy version >=1.22 and <1.29 is required", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return module("1.15")

    assert check("scipy>=1", ["1.15"], load=load).odd.startswith("A NumPy version >=1.22")


def test_the_module_is_found_by_the_package():
    asked: list[str] = []
    for name in ("scikit-learn", "PyYAML", "Jinja2", "lightning-fabric"):
        check(f"{name}>=1", ["1"], load=lambda name: asked.append(name) or module("1"))
    assert asked == ["sklearn", "yaml", "jinja2", "lightning_fabric"]


def test_every_package_of_the_project_can_be_checked():
    """The names and modules of today's list, whatever list this installation was made from."""
    for requirement in wanted(PROJECT["dependencies"]):
        if packages.installed_versions(requirement.name):
            assert not check_package(requirement).broken, requirement


def test_what_is_needed_is_read_from_the_installation(monkeypatch):
    lines = ["numpy>=2", 'antspyx>=0.6; extra == "prepare"', 'odd; sys_platform == "nowhere"']
    monkeypatch.setattr(metadata, "requires", lambda _: lines)
    assert [one.name for one in requirements()] == ["numpy"]
    assert [one.name for one in requirements("prepare")] == ["antspyx"]

    def unknown(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", unknown)
    assert requirements() == ()


# --- extras


def test_every_extra_for_users_is_the_projects_own():
    offered = PROJECT["optional-dependencies"]
    assert {extra.name for extra in EXTRAS} == set(offered) - {"test", "dev"}
    for extra in EXTRAS:
        names = {Requirement(text).name for text in offered[extra.name]}
        assert set(extra.modules.values()) == names, extra.name


def test_what_is_missing_is_told_with_the_line(monkeypatch):
    monkeypatch.setattr(extras, "_is_installed", lambda module: module != "ipywidgets")
    notebook = next(extra for extra in EXTRAS if extra.name == "notebook")
    assert notebook.missing == ("ipywidgets",)
    assert notebook.install == 'pip install "xrano[notebook]"'
    said = install_line("ipywidgets")
    assert said is not None
    assert said.endswith('which is not installed: pip install "xrano[notebook]"')
    assert install_line("ants") is None
