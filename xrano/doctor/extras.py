"""Optional packages: what each extra of xrano is for, and the line that installs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Extra:
    """One extra: module to the package that brings it, and what it is for."""

    name: str
    modules: Mapping[str, str]
    purpose: str

    @property
    def install(self) -> str:
        """The line that installs it."""
        return f'pip install "xrano[{self.name}]"'

    @property
    def missing(self) -> tuple[str, ...]:
        """Its packages that are not installed."""
        return tuple(
            package for module, package in self.modules.items() if not _is_installed(module)
        )


EXTRAS = (
    Extra("prepare", {"ants": "antspyx"}, "register raw scans"),
    Extra("excel", {"openpyxl": "openpyxl"}, "read clinical tables in Excel workbooks"),
    Extra("parquet", {"pyarrow": "pyarrow"}, "write score tables as Parquet too"),
    Extra("tensorboard", {"tensorboard": "tensorboard"}, "watch training in TensorBoard"),
    Extra(
        "notebook",
        {"jupyterlab": "jupyterlab", "ipykernel": "ipykernel", "ipywidgets": "ipywidgets"},
        "run the notebooks, explore in Jupyter",
    ),
    Extra("niivue", {"ipyniivue": "ipyniivue"}, "explore in three dimensions in Jupyter"),
    Extra(
        "docs",
        {"mkdocs": "mkdocs", "material": "mkdocs-material", "mkdocstrings": "mkdocstrings"},
        "build the documentation",
    ),
)
"""Those for users, the most wanted first."""


def install_line(module: str) -> str | None:
    """What to say of a module that could not be found; ``None`` if it is installed all the same.

    Args:
        module: name of the package to import, without submodules.

    Example:
        >>> install_line("json") is None
        True
        >>> install_line("no_such_module")
        'xrano needs no_such_module, which is not installed: install xrano again, and see xrano \
doctor'
    """
    if _is_installed(module):
        return None
    for extra in EXTRAS:
        if module in extra.modules:
            return (
                f"this needs {extra.modules[module]} (to {extra.purpose}), which is not "
                f"installed: {extra.install}"
            )
    return (
        f"xrano needs {module}, which is not installed: install xrano again, and see xrano doctor"
    )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
