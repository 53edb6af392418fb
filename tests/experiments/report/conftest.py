"""Copies of the tiny run with everything beside it, to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from xrano.training.run import Run, open_run


@pytest.fixture
def own_copy(laid_out: Path, tmp_path: Path) -> Path:
    """The same folder to change."""
    shutil.copytree(laid_out, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def own_run(own_copy: Path) -> Run:
    """The run in it."""
    return open_run(own_copy / "run")
