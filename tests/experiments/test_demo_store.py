from __future__ import annotations

from pathlib import Path

import pytest

from xrano.data.phantom import PhantomSettings
from xrano.data.store import open_store
from xrano.errors import ConfigError
from xrano.experiments.demo import demo_config, example_pairs
from xrano.experiments.phantom_store import make_store
from xrano.progress import quiet
from xrano.training.run import Run

SETTINGS = PhantomSettings(patients=2, spacing_mm=6.0, visits=(1, 2))


def test_a_demo_s_store_is_made_once_and_is_of_the_settings_asked_for(tmp_path: Path):
    make_store(tmp_path, SETTINGS, quiet)
    store = open_store(tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    make_store(tmp_path, SETTINGS, quiet)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before
    assert len(store.pairs) > 0
    other = PhantomSettings(patients=3, spacing_mm=6.0, visits=(1, 2))
    with pytest.raises(ConfigError, match="choose another folder"):
        make_store(tmp_path, other, quiet)


def test_the_preset_fits_the_store(tmp_path: Path):
    config = demo_config(tmp_path / "store", seed=3)
    assert config.store == str(tmp_path / "store")
    assert config.seed == 3
    assert config.model.name == "densenet_small"


def test_examples_are_the_first_of_each_class_right_or_wrong(tiny_run: Run):
    table = tiny_run.predictions
    shown = example_pairs(table.sample(frac=1, random_state=1))
    expected = [
        min(table[table["response"] == response]["pair_id"])
        for response in ("CR", "PR", "SD", "PD")
        if (table["response"] == response).any()
    ]
    assert shown == expected
