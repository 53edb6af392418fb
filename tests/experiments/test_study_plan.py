"""What a study will take, by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml

from xrano.cli.main import main
from xrano.data.store import Store
from xrano.errors import ConfigError, UnknownNameError
from xrano.experiments.study.study_file import Study, read_study
from xrano.experiments.study.study_plan import plan_shards, study_steps

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "studies" / "paper.yaml"
ARMS = {
    "concat": {},
    "longer": {"training": {"epochs": 7}},
    "CT1": {"model": {"sequences": ["CT1"]}, "training": {"batch_size": 3}},
}


def study(folder: Path, **cohort: object) -> Path:
    values = {
        **cohort,
        "base": {
            "model": {"name": "densenet_small", "sequences": "CT1+FLAIR"},
            "training": {"epochs": 5, "batch_size": 4},
        },
        "seeds": [0, 1],
        "n_folds": 3,
        "arms": ARMS,
        "leak": {"seeds": [0], "n_folds": 2},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def of_phantom(tmp_path: Path) -> Study:
    return read_study(study(tmp_path, phantom={"patients": 9}))


def test_every_fold_is_counted_with_its_own_pairs_steps_and_epochs(of_phantom, tmp_path):
    steps = study_steps(of_phantom, tmp_path / "study", pairs=60)
    # Seed by seed, fold by fold, arm by arm; then the four cells of the leak.
    assert len(steps) == 2 * 3 * 3 + 4 * 2
    concat, longer, ct1 = steps[:3]
    assert (concat.pairs, concat.steps, concat.epochs) == (32, 8, 5)  # 60 · 2/3 · 0.8 = 32
    assert (longer.steps, longer.epochs, longer.most) == (8, 7, 56)
    assert ct1.steps == 11
    assert steps[-1].pairs == 24  # 60 · 1/2 · 0.8
    assert not (tmp_path / "study").exists()


def test_some_arms_alone_come_without_the_leak(of_phantom, tmp_path):
    steps = study_steps(of_phantom, tmp_path, arms=["CT1"], pairs=60)
    assert [step.label for step in steps] == [
        f"CT1, seed {seed}, fold {fold}" for seed in (0, 1) for fold in range(3)
    ]
    with pytest.raises(UnknownNameError, match="CT2"):
        study_steps(of_phantom, tmp_path, arms=["CT2"], pairs=60)


def test_the_pairs_of_a_store_are_counted(phantom_store: Store, tmp_path):
    found = read_study(study(tmp_path, store=str(phantom_store.root)))
    rated = phantom_store.pairs.query("response != ''")
    steps = study_steps(found, tmp_path)
    assert 0 < steps[0].pairs <= int(len(rated) * 2 / 3 * 0.8)


def test_a_phantom_that_is_not_made_needs_a_number(of_phantom, tmp_path):
    with pytest.raises(ConfigError, match="--cohort-only"):
        study_steps(of_phantom, tmp_path)
    with pytest.raises(ConfigError, match="pairs must be ≥ 1"):
        study_steps(of_phantom, tmp_path, pairs=-3)


def test_the_papers_study_on_1_8_and_64_processes_by_hand():
    """19 arms × 5 folds and 4 × 5 of the leak; 254 of LUMIERE's pairs in batches of 4."""
    steps = study_steps(read_study(PAPER), Path("study"), pairs=397)
    assert len(steps) == 115
    assert {(step.pairs, step.steps, step.epochs) for step in steps} == {(254, 64, 100)}
    for processes in (1, 8, 64):
        plan = plan_shards(steps, processes, 2.0)
        assert plan.folds == math.ceil(115 / processes)
        assert plan.steps == plan.folds * 64 * 100
        assert plan.hours == pytest.approx(plan.steps * 2 / 3600)
        assert plan.process_hours == pytest.approx(115 * 64 * 100 * 2 / 3600)
    assert plan_shards(steps, 8).hours is None


def test_the_command_says_it_and_makes_nothing(tmp_path, capsys):
    out = tmp_path / "study"
    command = ["study", str(PAPER), "--out", str(out), "--plan", "--pairs", "397"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "115 folds to train, each of at most 6400 steps: 64 an epoch (254 pairs)" in said
    assert "--step_seconds" in said
    assert main([*command, "--step-seconds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [plan["processes"] for plan in found["plan"]] == [1, 8, 64]
    assert [plan["folds"] for plan in found["plan"]] == [115, 15, 2]
    assert [round(plan["hours"], 1) for plan in found["plan"]] == [204.4, 26.7, 3.6]
    assert not out.exists()
    assert main([*command, "--step-seconds", "-1"]) == 1
    assert "must be > 0" in capsys.readouterr().err


def test_the_page_on_clusters_shows_what_the_command_says(tmp_path, capsys):
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    options = "--plan --pairs 397 --step-seconds 1"
    assert f"xrano study studies/paper.yaml --out study {options}" in page
    assert main(["study", str(PAPER), "--out", str(tmp_path / "study"), *options.split()]) == 0
    assert f"```text\n{capsys.readouterr().out}```" in page
