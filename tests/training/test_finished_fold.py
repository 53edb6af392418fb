"""Files of a finished training that were removed or cut off: made again, or told by name."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.fault_comparison import digests
from xrano.data.tables import write_table
from xrano.errors import CheckpointError, ConfigError
from xrano.experiments.study.units import Unit
from xrano.training.config import RunConfig
from xrano.training.config_file import dump_config, load_config
from xrano.training.finished_fold import is_finished, is_trained
from xrano.training.run import Run, open_run, read_predictions
from xrano.training.train_run import train_run


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {"removed": Path.unlink, "halved": halve}


@pytest.fixture
def root(tiny_run: Run, tmp_path: Path) -> Path:
    shutil.copytree(tiny_run.root, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name",
    [
        *("fold-0/metrics.jsonl", "fold-1/predictions.csv", "fold-0/fold.json"),
        *("predictions.csv", "exclusions.csv", "store.sha256"),
    ],
)
def test_what_can_be_made_again_is(
    tiny_config: RunConfig, tiny_run: Run, root: Path, name: str, damage: str
):
    DAMAGES[damage](root / name)
    trained = []
    train_run(tiny_config, root, report=lambda *line: trained.append(line))
    assert digests(root) == digests(tiny_run.root)
    assert trained == []


def test_predictions_of_other_pairs_are_made_again(
    tiny_config: RunConfig, tiny_run: Run, root: Path
):
    """A table that was cut off at the very end of a line."""
    path = root / "fold-0" / "predictions.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    assert is_finished(root / "fold-0")
    train_run(tiny_config, root, report=lambda *_: None)
    assert digests(root) == digests(tiny_run.root)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("finished", [True, False])
def test_weights_that_are_lost_are_named_with_what_to_do(
    tiny_config: RunConfig, root: Path, damage: str, finished: bool
):
    path = root / "fold-1" / "model.safetensors"
    DAMAGES[damage](path)
    if not finished:
        (root / "fold-1" / "fold.json").unlink()
    assert not is_finished(path.parent)
    with pytest.raises(CheckpointError, match=r"model\.safetensors .*delete .*fold-1") as caught:
        train_run(tiny_config, root, report=lambda *_: None)
    assert str(path) in str(caught.value)
    shutil.rmtree(path.parent)
    train_run(tiny_config, root, report=lambda *_: None)
    assert is_finished(path.parent)


@pytest.mark.parametrize("damage", DAMAGES)
def test_lines_of_earlier_epochs_survive_a_file_that_is_lost(
    tiny_config: RunConfig, tiny_run: Run, root: Path, damage: str
):
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    shutil.rmtree(root / "fold-0")
    with pytest.raises(Stop):
        train_run(tiny_config, root, report=stop)
    DAMAGES[damage](root / "fold-0" / "metrics.jsonl")
    train_run(tiny_config, root, report=lambda *_: None)
    assert digests(root) == digests(tiny_run.root)


def test_a_fold_without_its_mark_is_not_trained(root: Path):
    assert is_trained(root / "fold-0")
    (root / "fold-0" / "fold.json").unlink()
    assert not is_trained(root / "fold-0")
    assert not is_trained(root / "fold-7")


def test_predictions_that_are_cut_off_are_judged_by_nobody(root: Path):
    halve(root / "predictions.csv")
    with pytest.raises(CheckpointError, match=r"predictions\.csv cannot be read.*trained this run"):
        _ = open_run(root).predictions
    path = root / "fold-0" / "predictions.csv"
    pd.read_csv(path).drop(columns=["fold"]).to_csv(path, index=False)
    with pytest.raises(CheckpointError, match=r"fold-0.predictions\.csv .*lacks fold"):
        read_predictions(path)


@pytest.mark.parametrize("name", ["fold-0-old", "fold-1 (copy)", "fold-", "fold-²"])
def test_a_folder_that_somebody_put_beside_the_folds_is_none(
    tiny_config: RunConfig, tiny_run: Run, root: Path, name: str
):
    shutil.copytree(root / "fold-0", root / name)
    (root / "config.yaml").unlink()
    train_run(replace(tiny_config, folds=(1,)), root, report=lambda *_: None)
    assert load_config(root / "config.yaml").folds == (0, 1)
    assert open_run(root).trained_folds == tiny_run.trained_folds


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
def test_half_a_config_is_no_config(root: Path, share: float):
    """What is not named has its default, so that it would pass for another one."""
    path = root / "config.yaml"
    config = load_config(path)
    text = path.read_text()
    path.write_text(text[: int(share * len(text))])
    with pytest.raises(ConfigError, match=r"config\.yaml.*cut off"):
        load_config(path)
    # One that an earlier version wrote, or a person, has neither start nor end.
    path.write_text(dump_config(config).removeprefix("---\n").removesuffix("...\n"))
    assert load_config(path) == config


def test_a_unit_of_a_study_is_finished_with_all_of_its_files(tiny_config: RunConfig, root: Path):
    unit = Unit(arm=None, seed=0, fold=0, config=replace(tiny_config), root=root)
    assert unit.finished
    halve(root / "exclusions.csv")
    assert not unit.finished


def test_a_unit_that_was_stopped_before_its_predictions_were_gathered_is_not_finished(
    tiny_config: RunConfig, root: Path
):
    path = root / "predictions.csv"
    whole = path.read_bytes()
    table = read_predictions(path)
    assert set(table["fold"]) == {0, 1}
    # As it stands between the last fold's own table and the run's.
    write_table(path, table[table["fold"] == 0])
    config = replace(tiny_config, folds=(1,))
    first, last = (Unit(arm=None, seed=0, fold=n, config=config, root=root) for n in (0, 1))
    assert first.finished
    assert not last.finished
    train_run(config, root, report=lambda *_: pytest.fail("trained again"))
    assert path.read_bytes() == whole
    assert last.finished
    path.unlink()
    assert not first.finished
