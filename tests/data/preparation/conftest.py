"""The cohort of :mod:`atlas_cohort`: its index, to be changed, and a store that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from atlas_cohort import write_atlas_cohort

from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import Store, open_store


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return write_atlas_cohort(tmp_path / "index")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("atlas")
    write_atlas_cohort(root / "index")
    prepare_index(root / "index", root / "store", PrepareSettings())
    return open_store(root / "store")
