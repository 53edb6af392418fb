"""Audits that are stopped, sharded and gone on with; and a tiny one from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from audit_tables import CHEAT, HONEST, made, pairs

import xrano.experiments.audit.run_audit as run_audit_module
from xrano.atomic_files import write_json
from xrano.cli.main import main
from xrano.errors import ConfigError, ManifestError, SplitError, UnfinishedError
from xrano.experiments.audit.audit_files import read_audit, write_audit
from xrano.experiments.audit.one_model import FinishedModel, read_model
from xrano.experiments.audit.own_run import own_run_text, place_run
from xrano.experiments.audit.run_audit import (
    finished_models,
    model_folder,
    require_all,
    run_audit,
)
from xrano.experiments.audit.settings import AuditModel, AuditSettings, ModelKind
from xrano.scoring.table_files import write_frame

SETTINGS = AuditSettings(("honest", "noise"), cohort_seeds=(4, 5, 6), n_resamples=20)


def pretend(trained: list[str], *, stop_at: int = 99, fails: str = ""):
    """A model that costs nothing, in the place of training one."""

    def finish(model: AuditModel, settings, cohort, folder: Path, *, progress):
        if len(trained) == stop_at:
            raise KeyboardInterrupt
        if model.name == fails:
            raise SplitError("too few patients")
        trained.append(model.name)
        told = CHEAT if model.of.kind == "noise" else HONEST
        write_frame(pairs(0.2, model.cohort_seed), folder / "pair_values.csv")
        found = {"name": model.name, "accuracies": told.to_json(), "seconds": 1.0}
        write_json(folder / "model.json", found)
        return FinishedModel(model, told, 1.0, pairs(0.2, model.cohort_seed))

    return finish


@pytest.fixture
def no_cohorts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_audit_module, "make_cohort", lambda *_: None)
    return monkeypatch


def test_an_audit_that_was_stopped_trains_no_model_twice(no_cohorts, tmp_path: Path):
    trained: list[str] = []
    no_cohorts.setattr(run_audit_module, "finish_model", pretend(trained, stop_at=3))
    with pytest.raises(KeyboardInterrupt):
        run_audit(SETTINGS, tmp_path, say=lambda _: None)
    assert len(finished_models(SETTINGS, tmp_path)) == 3
    no_cohorts.setattr(run_audit_module, "finish_model", pretend(trained))
    said: list[str] = []
    assert run_audit(SETTINGS, tmp_path, say=said.append) == []
    assert len(trained) == len(set(trained)) == 6
    assert said[0] == "3 of 6 models are done already"
    assert len(finished_models(SETTINGS, tmp_path)) == 6


def test_each_model_is_told_of_with_the_time_left(no_cohorts, tmp_path: Path):
    no_cohorts.setattr(run_audit_module, "finish_model", pretend([]))
    ticks = iter(range(0, 1000, 30))
    said: list[str] = []
    run_audit(SETTINGS, tmp_path, say=said.append, clock=lambda: float(next(ticks)))
    assert said[0].startswith("[1/6] honest-cohort4-seed0: accuracy 0.80, erased 0.26: honest;")
    assert "swapped 0.02" in said[1]
    assert said[1].endswith("cheats; 2 min left")
    assert said[5].endswith("; 0 s left")


def test_shards_part_the_cohorts_and_together_do_everything(no_cohorts, tmp_path: Path):
    trained: list[str] = []
    no_cohorts.setattr(run_audit_module, "finish_model", pretend(trained))
    run_audit(SETTINGS, tmp_path, shard=(1, 2), say=lambda _: None)
    assert {name.split("-")[1] for name in trained} == {"cohort4", "cohort6"}
    run_audit(SETTINGS, tmp_path, shard=(2, 2), say=lambda _: None)
    assert len(trained) == len(set(trained)) == 6


def test_a_model_that_fails_does_not_stop_the_others(no_cohorts, tmp_path: Path):
    trained: list[str] = []
    fails = "noise-cohort5-seed0"
    no_cohorts.setattr(run_audit_module, "finish_model", pretend(trained, fails=fails))
    failures = run_audit(SETTINGS, tmp_path, say=lambda _: None)
    assert [failure.model.name for failure in failures] == [fails]
    assert len(trained) == 5
    with pytest.raises(UnfinishedError, match="noise-cohort5-seed0.*too few patients"):
        require_all(failures)
    require_all([])


def test_a_fault_of_the_program_is_not_taken_for_a_failed_model(no_cohorts, tmp_path: Path):
    def broken(*_args, **_options):
        raise RuntimeError("shapes do not fit")

    no_cohorts.setattr(run_audit_module, "finish_model", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run_audit(SETTINGS, tmp_path, say=lambda _: None)


def test_the_folder_of_another_model_is_refused(tmp_path: Path):
    model = AuditModel(ModelKind("tag"), 1, 0)
    write_json(model_folder(tmp_path, model) / "model.json", {"name": "other"})
    with pytest.raises(ConfigError, match="is of the model 'other'"):
        read_model(model, model_folder(tmp_path, model))
    assert read_model(AuditModel(ModelKind(), 1, 0), tmp_path / "nowhere") is None


# --- a run on the scale


@pytest.fixture(scope="module")
def scale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit of eight models a kind, on disk."""
    out = tmp_path_factory.mktemp("scale")
    write_audit(made(8), out)
    return out


def on_the_scale(monkeypatch, scale: Path, mass: float, peak: float) -> pd.DataFrame:
    import xrano.experiments.audit.own_run as own_run_module

    monkeypatch.setattr(own_run_module, "pair_values", lambda _: pairs(mass, 0, peak=peak))
    placed = place_run(read_audit(scale), scale)
    return placed.set_index(["method", "score", "stratum"])


@pytest.mark.parametrize(
    ("mass", "peak", "honest", "cheating", "words"),
    [
        (0.445, 2.35, 5 / 8, 1.0, "like honest models"),
        (0.0345, 20.35, 0.0, 1 / 3, "like cheating models"),
        (0.2, 10.0, 0.0, 1.0, "between the two"),
    ],
)
def test_a_run_is_placed_among_honest_and_cheating_models(
    monkeypatch, scale, mass, peak, honest, cheating, words
):
    placed = on_the_scale(monkeypatch, scale, mass, peak)
    gain = placed.loc[("saliency", "gain", "all")]
    assert gain["verdict"] == "trust"
    assert gain["share_of_honest"] == pytest.approx(honest)
    assert gain["share_of_cheating"] == pytest.approx(cheating)
    # Of a distance the smaller is the more honest.
    assert placed.loc[("saliency", "peak_distance", "all")]["share_of_cheating"] >= cheating
    text = own_run_text(placed.reset_index(), "mine", notes=("these results leak",))
    assert "mine on the scale of the audit" in text
    line = next(line for line in text.splitlines() if "relevance mass, gain =" in line)
    assert line.endswith(words)
    assert "Grad-CAM" not in text
    assert "these results leak" in text
    assert "phantoms" in text
    assert "not a medical device" in text


def test_an_audit_that_trusts_nothing_says_nothing_of_a_run(monkeypatch, scale: Path):
    placed = on_the_scale(monkeypatch, scale, 0.4, 2.0).reset_index()
    text = own_run_text(placed.assign(verdict="distrust"), "mine")
    assert "trusts none of the scores" in text
    assert "headline; the audit says: distrust" in text


def test_an_audit_without_a_verified_side_is_no_scale(scale: Path):
    audit = read_audit(scale)
    with pytest.raises(ManifestError, match="no verified model"):
        place_run(replace(audit, separation=audit.separation.iloc[:0]), scale)


def test_the_command_places_a_run_and_says_what_sets_it_apart(
    monkeypatch, scale: Path, tiny_run, capsys: pytest.CaptureFixture[str]
):
    import xrano.experiments.audit.own_run as own_run_module

    monkeypatch.setattr(own_run_module, "pair_values", lambda _: pairs(0.445, 0, peak=2.35))
    of_run = pd.DataFrame({"run": [tiny_run.root.name]})
    monkeypatch.setattr(own_run_module, "read_table", lambda *_: of_run)
    command = ["audit", "--out", str(scale), "--run", str(tiny_run.root), "--scores", str(scale)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "tiny on the scale of the audit" in said
    assert "like honest models" in said
    assert "voxels are 6 × 6 × 6 mm, the scale's 5 mm" in said
    assert len(pd.read_csv(scale / "own_run.csv")) == 2 * 3 * 3
    monkeypatch.setattr(own_run_module, "read_table", lambda *_: of_run.assign(run="other"))
    assert main(command) == 1
    assert "holds scores of other, not of the run tiny" in capsys.readouterr().err


# --- end to end


def test_a_tiny_audit_from_phantom_to_figure_and_a_run_on_its_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    import xrano.experiments.audit.one_model as one_model_module
    import xrano.experiments.audit.settings as settings_module

    make_store = one_model_module.make_store
    monkeypatch.setattr(
        one_model_module,
        "make_store",
        # In this process: starting others takes longer than so small a cohort.
        lambda *given, **_: make_store(*given, jobs=1),
    )
    tiny = replace(
        settings_module.QUICK, spacing_mm=6.0, hold_out=2, copies=1, n_resamples=20, n_steps=2
    )
    monkeypatch.setattr(settings_module, "QUICK", tiny)
    out = tmp_path / "audit"
    command = ["audit", "--out", str(out), "--patients", "6", "--epochs", "1", "--kinds", "honest"]
    command += ["noise", "--cohorts", "3", "--methods", "saliency"]
    threads = torch.get_num_threads()
    assert main([*command, "--jobs", "1"]) == 0
    assert torch.get_num_threads() == threads
    said = capsys.readouterr().out
    assert "2 models in 1 cohorts" in said
    models = pd.read_csv(out / "models.csv").set_index("kind")
    assert list(models.index) == ["honest", "noise"]
    assert models[["own", "removed", "erased"]].notna().all().all()
    assert pd.isna(models.loc["honest", "swapped"])
    assert models.loc["honest", "own"] == models.loc["honest", "removed"]
    assert 0 <= models.loc["noise", "swapped"] <= 1
    scores = pd.read_csv(out / "audit_scores.csv")
    assert set(scores["method"]) == {"saliency"}
    assert set(scores["stratum"]) == {"all", "small", "large"}
    assert scores.groupby("model").size().nunique() == 1
    facts = json.loads((out / "audit.json").read_text())
    assert facts["quick"] is True
    # What can be made again is gone; the honest store and the networks are there.
    assert not list((out / "cohorts").rglob("marks.csv"))
    assert (out / "cohorts" / "seed-3" / "store" / "store.json").is_file()
    run = out / "models" / "honest-cohort3-seed0" / "run"
    assert (run / "fold-0" / "model.safetensors").is_file()
    assert not (run.parent / "scores").exists()

    assert main([*command, "--collect-only"]) == 0
    again = json.loads((out / "audit.json").read_text())
    assert again == facts
    assert main(["audit", "--out", str(out), "--run", str(run)]) == 1
    assert "give both" in capsys.readouterr().err
    assert main([*command, "--epochs", "2"]) == 1
    assert "another epochs" in capsys.readouterr().err

    # Two processes, each with a model: the same numbers, told of in whatever order they come.
    command[command.index(str(out))] = str(tmp_path / "by-two")
    assert main([*command, "--jobs", "2"]) == 0
    assert "[2/2]" in capsys.readouterr().out
    for name in ("audit_scores.csv", "models.csv"):
        one, two = (pd.read_csv(folder / name) for folder in (out, tmp_path / "by-two"))
        kept = [column for column in one if column != "seconds"]
        pd.testing.assert_frame_equal(one[kept], two[kept], check_exact=True)
    assert not list((tmp_path / "by-two" / "cohorts").rglob("marks.csv"))
    assert main([*command, "--jobs", "-1"]) == 1
    assert "jobs is a number of processes" in capsys.readouterr().err
