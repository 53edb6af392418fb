"""Versions of what xrano needs, and what does not fit together.

What is needed is read from xrano's own installation, as pip sees it; what Python loads can be
another thing (two installations over each other), and that is said.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
"""Package to module, where the names differ by more than hyphens."""

_COMPARED = ("numpy", "scipy", "pandas", "torch", "nibabel", "monai")
"""Packages whose loaded version is held against the installed one."""


@dataclass(frozen=True)
class Package:
    """One package.

    ``version``: empty if it is not installed; ``needed``: such as ``>=2.0``; ``broken``: why it
    cannot serve, and ``odd``: what else is strange; both empty if nothing is.
    """

    name: str
    version: str
    needed: str
    broken: str = ""
    odd: str = ""

    @property
    def install(self) -> str:
        """The line that installs a version that fits."""
        return f'pip install "{self.name}{self.needed}"'


def requirements(extra: str = "") -> tuple[Requirement, ...]:
    """What xrano needs by its installation; with ``extra``, what that adds; empty if unknown."""
    try:
        lines = metadata.requires("xrano") or []
    except metadata.PackageNotFoundError:
        return ()
    return wanted(lines, extra)


def wanted(lines: Iterable[str], extra: str = "") -> tuple[Requirement, ...]:
    """The requirements of a list as in a package's metadata that hold here.

    Example:
        >>> lines = ["numpy>=2.0", 'antspyx>=0.6; extra == "prepare"']
        >>> [str(one) for one in wanted(lines)]
        ['numpy>=2.0']
        >>> [one.name for one in wanted(lines, "prepare")]
        ['antspyx']
    """
    found = []
    for requirement in map(Requirement, lines):
        always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if extra:
            with_extra = requirement.marker is not None and requirement.marker.evaluate(
                {"extra": extra}
            )
            if with_extra and not always:
                found.append(requirement)
        elif always:
            found.append(requirement)
    return tuple(found)


def check_package(
    requirement: Requirement,
    *,
    load: Callable[[str], Any] | None = import_module,
    versions_of: Callable[[str], list[str]] | None = None,
) -> Package:
    """What is installed for one requirement, and whether it serves.

    Args:
        requirement: name and versions that fit.
        load: imports a module; ``None`` looks at versions alone.
        versions_of: all installed versions of a package by name; pip's if not given.
    """
    name, needed = requirement.name, str(requirement.specifier)
    versions = (versions_of or installed_versions)(name)
    if not versions:
        return Package(name, "", needed, broken="not installed")
    version = versions[0]
    if not requirement.specifier.contains(version, prereleases=True):
        return Package(name, version, needed, broken=f"{needed} is needed")
    odd = f"installed {len(versions)} times ({', '.join(versions)})" if len(versions) > 1 else ""
    if load is None:
        return Package(name, version, needed, odd=odd)
    broken, loaded, warned = _loaded(name, load)
    if not odd and loaded and canonicalize_name(name) in _COMPARED and _differ(loaded, version):
        odd = f"pip knows {version}, Python loads {loaded}"
    return Package(name, version, needed, broken=broken, odd=odd or warned)


def installed_versions(name: str) -> list[str]:
    """Every installed version of a package, the one that pip looks at first."""
    return [found.version for found in metadata.distributions(name=name)]


def _loaded(name: str, load: Callable[[str], Any]) -> tuple[str, str, str]:
    """Why a package cannot be imported, the version it says it has, and its first warning."""
    plain = canonicalize_name(name)
    module = _MODULES.get(plain, plain.replace("-", "_"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = load(module)
        # Whatever a broken installation raises: that is what is asked.
        except Exception as error:
            return f"cannot be imported ({type(error).__name__}: {_line(error)})", "", ""
    # A package built for another version of a second one warns of it when it is imported.
    fits = [one for one in caught if issubclass(one.category, (UserWarning, ImportWarning))]
    version = found.__dict__.get("__version__", "")
    return "", str(version), _line(fits[0].message) if fits else ""


def _line(said: object) -> str:
    return " ".join(str(said).split())[:200]


def _differ(one: str, other: str) -> bool:
    try:
        # 2.6.0+cpu is 2.6.0.
        return Version(one).base_version != Version(other).base_version
    except InvalidVersion:
        return False
