"""One small phantom cohort, its store and a tiny trained run, made once for all tests."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers side by side: threads of their own would only wait for each other. Set before torch
    # is imported; processes that tests start inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from xrano.data.index import index_cohort
from xrano.data.phantom import PhantomSettings, write_phantom
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import Store, open_store
from xrano.training.config import ModelConfig, RunConfig, TrainingConfig

PHANTOM = PhantomSettings(patients=9, visits=(3, 4), seed=3, spacing_mm=6.0)


@pytest.fixture(scope="session")
def phantom_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom cohort in LUMIERE's tree: 9 patients at 6 mm. Not to be changed."""
    out = tmp_path_factory.mktemp("cohort") / "phantom"
    write_phantom(out, PHANTOM)
    return out


@pytest.fixture(scope="session")
def phantom_index(phantom_tree: Path) -> Path:
    """The tables of the phantom cohort. Not to be changed."""
    index_cohort(phantom_tree, phantom_tree.parent / "index")
    return phantom_tree.parent / "index"


@pytest.fixture(scope="session")
def phantom_store(phantom_index: Path) -> Store:
    """The prepared store of the phantom cohort. Not to be changed."""
    prepare_index(phantom_index, phantom_index.parent / "store", PrepareSettings())
    return open_store(phantom_index.parent / "store")


@pytest.fixture(scope="session")
def tiny_config(phantom_store: Store) -> RunConfig:
    """Two of three folds of a small network on two sequences, for two epochs, on the processor."""
    return RunConfig(
        store=str(phantom_store.root),
        model=ModelConfig("densenet_small", ("CT1", "FLAIR")),
        training=TrainingConfig(epochs=2, batch_size=4, learning_rate=2e-3, accelerator="cpu"),
        n_folds=3,
        folds=(0, 1),
    )


@pytest.fixture(scope="session")
def untrained_config(tiny_config: RunConfig) -> RunConfig:
    """The same without training: random weights."""
    return replace(tiny_config, training=replace(tiny_config.training, epochs=0), folds=())


@pytest.fixture(scope="session")
def tiny_run(tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory):
    """The run of ``tiny_config``. Not to be changed."""
    from xrano.training.train_run import train_run

    return train_run(tiny_config, tmp_path_factory.mktemp("runs") / "tiny", report=lambda *_: None)
