"""What commands say to scripts: one JSON object on standard output, and nothing else there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from xrano.cli import check_command
from xrano.cli.answers import Answer, plain, to_json
from xrano.cli.main import COMMANDS, main
from xrano.data.quality.store_check import check_store
from xrano.data.quality.store_faults import Fault
from xrano.data.store import Store
from xrano.errors import ManifestError
from xrano.rano import Response
from xrano.training.run import Run, open_run

Capture = pytest.CaptureFixture[str]
Asked = Callable[..., dict[str, Any]]


def strict(text: str) -> Any:
    """JSON as scripts in other languages read it: without NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def asked(capsys: Capture) -> Asked:
    """Run a command with ``--json`` that must succeed; the one object that it wrote."""

    def ask(command: str, *words: object) -> dict[str, Any]:
        capsys.readouterr()
        assert main([command, *(str(word) for word in words), "--json"]) == 0
        found = strict(capsys.readouterr().out)
        assert found
        assert set(found) == set(keys(command))
        return found

    return ask


def keys(command: str) -> dict[str, str]:
    return import_module(f"xrano.cli.{command}_command").JSON_KEYS


# --- values


def test_values_become_plain():
    table = pd.DataFrame({"lift": [1.5, np.nan], "n": [3, 4], "method": ["ig", ""]})
    found = strict(
        to_json(
            {
                "table": table,
                "infinite": [np.inf, -np.inf, np.float32("nan")],
                "counts": {Response.PD: np.int64(3)},
                "flag": np.bool_(True),
                "fault": Fault(Path("a/b"), "gone", "again"),
                "array": np.array([[1.0, np.nan]]),
                "word": Response.CR,
                "letters": "Müller <ß>",
            }
        )
    )
    assert found["table"] == [
        {"lift": 1.5, "n": 3, "method": "ig"},
        {"lift": None, "n": 4, "method": ""},
    ]
    assert found["infinite"] == [None] * 3
    assert found["counts"] == {"PD": 3}
    assert found["flag"] is True
    assert found["fault"] == {"path": "a/b", "cause": "gone", "remedy": "again"}
    assert found["array"] == [[1.0, None]]
    assert (found["word"], found["letters"]) == ("CR", "Müller <ß>")


def test_what_has_no_form_is_not_written_as_something_else():
    with pytest.raises(TypeError, match="function has no form in JSON"):
        plain({"f": [keys]})


def test_complaints_come_after_the_answer(capsys: Capture):
    def refuse() -> None:
        raise ManifestError("not whole")

    with pytest.raises(ManifestError):
        Answer("text", {"whole": False}, refuse).show(as_json=True)
    assert strict(capsys.readouterr().out) == {"whole": False}


# --- commands


def test_the_commands_that_answer_scripts():
    found = {
        name
        for name in COMMANDS
        if hasattr(import_module(f"xrano.cli.{name}_command"), "JSON_KEYS")
    }
    assert found == set(COMMANDS)


def test_words_said_on_the_way_go_to_standard_error(capsys: Capture, monkeypatch, tmp_path: Path):
    def run(store: Path, timed_pairs: int = 5) -> Answer:
        print("reading")
        sys.stdout.write("and on\n")
        return Answer("words", {"store": store})

    monkeypatch.setattr(check_command, "run", run)
    assert main(["check", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    assert strict(captured.out) == {"store": str(tmp_path)}
    assert captured.err == "reading\nand on\n"
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "reading\nand on\nwords\n"


def test_an_error_leaves_standard_output_empty(capsys: Capture, tmp_path: Path):
    assert main(["check", str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("xrano: error: ")


def test_methods(asked: Asked):
    from xrano.attribution.method_table import METHODS

    found = asked("methods")
    assert [one["name"] for one in found["methods"]] == list(METHODS)
    (gradcam,) = asked("methods", "--method", "gradcam")["methods"]
    assert gradcam in found["methods"]
    assert gradcam["coarse"] is True


def test_models(asked: Asked, monkeypatch):
    from xrano.models.step_cost import StepCost

    words = ("--models", "densenet_small", "--shape", "48", "56", "48", "--sequences", "T1")
    found = asked("models", *words)
    assert found["channels"] == ["prior_T1", "current_T1"]
    assert found["models"][0]["parameters"] > 1000
    assert "step" not in found["models"][0]
    monkeypatch.setattr("xrano.models.step_cost.measure_step", lambda *_, **__: StepCost(1.5, 9))
    timed = asked("models", *words, "--time")
    assert timed["models"][0]["step"] == {"seconds": 1.5, "peak_bytes": 9}


def test_index(asked: Asked, phantom_tree: Path, tmp_path: Path):
    found = asked("index", phantom_tree, "--out", tmp_path)
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert found["pairs"] == len(pairs) == sum(found["pairs_per_response"].values())
    assert found["sessions"] == found["pairs"] + sum(found["exclusions"].values())
    assert {one["reference"] for one in found["references"]} >= {"previous", "baseline"}
    assert found["coverage"][0].keys() >= {"response", "region", "vanished"}


def test_prepare(asked: Asked, phantom_index: Path, tmp_path: Path):
    found = asked("prepare", phantom_index, "--out", tmp_path / "s", "--spacing_mm", 12)
    pairs = pd.read_csv(tmp_path / "s" / "pairs.csv")
    assert (found["pairs"], found["excluded"]) == (len(pairs), 0)
    assert found["spacing_mm"] == [12.0, 12.0, 12.0]
    probe = json.loads((tmp_path / "s" / "leak_probe.json").read_text())
    assert found["leak_probe"] == probe["verdict"]


def test_quality(asked: Asked, phantom_store: Store, tmp_path: Path, monkeypatch):
    from xrano.experiments.store_quality import StoreQuality

    rows = [("P1", "week-000", "broken", 1.0), ("P2", "week-012", "", 2.0)]
    table = pd.DataFrame(rows, columns=["patient_id", "session_id", "flags", "volume"])
    quality = StoreQuality(tmp_path, table, 1, 0, ("P1 week-000: gone",))
    monkeypatch.setattr("xrano.experiments.store_quality.write_quality", lambda *_, **__: quality)
    found = asked("quality", phantom_store.root, "--out", tmp_path)
    assert (found["sessions"], found["drawn"], found["failures"]) == (2, 1, ["P1 week-000: gone"])
    assert found["flagged"] == [{"patient_id": "P1", "session_id": "week-000", "flags": "broken"}]


def test_check_and_probe(asked: Asked, phantom_store: Store):
    found = asked("check", phantom_store.root)
    assert found["whole"] is True
    assert found["bytes"] == sum(check_store(phantom_store.root, timed_pairs=0).sizes)
    before = {path.name for path in phantom_store.root.iterdir()}
    found = asked("probe", phantom_store.root, "--permutations", 2)
    assert found["permutations"] == 2
    assert found["verdict"]
    for path in list(phantom_store.root.iterdir()):
        if path.name not in before:
            path.unlink()


def test_a_broken_store_is_told_to_scripts_too(
    phantom_store: Store, tmp_path: Path, capsys: Capture
):
    import shutil

    root = tmp_path / "store"
    shutil.copytree(phantom_store.root, root)
    gone = next((root / "sessions").rglob("*.safetensors"))
    gone.unlink()
    assert main(["check", str(root), "--json"]) == 1
    captured = capsys.readouterr()
    found = strict(captured.out)
    assert found["whole"] is False
    assert str(gone) in {fault["path"] for fault in found["faults"]}
    assert "is not whole" in captured.err


def test_evaluate(asked: Asked, tiny_run: Run):
    found = asked("evaluate", tiny_run.root, "--n_resamples", 20)
    assert found["evaluations"] == json.loads(Path(found["file"]).read_text())["evaluations"]
    assert found["evaluations"]["network"]["n_pairs"] == len(tiny_run.predictions)


def test_score(asked: Asked, tiny_run: Run, tmp_path: Path, monkeypatch):
    words = [tiny_run.root, "--out", tmp_path, "--methods", "gradcam", "--copies", 0]
    words += ["--n_resamples", 10, "--nulls", "none"]
    found = asked("score", *words)
    assert found["part"] is None
    assert found["scores"] == len(pd.read_csv(tmp_path / "scores.csv"))
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert [one["method"] for one in found["summary"]] == list(summary["method"])
    # Without random copies there is no gain.
    assert {one["gain"] for one in found["summary"]} == {None}
    monkeypatch.setattr("xrano.experiments.cohort.score_cohort", lambda *_, **__: None)
    part = asked("score", *words, "--shard", "1/2")
    assert part["part"] == [1, 2]
    assert part["summary"] is None


def test_a_plan_and_the_panels_and_maps_that_follow(asked: Asked, tiny_run: Run, tmp_path: Path):
    pair = tiny_run.predictions["pair_id"].iloc[0]
    words = [tiny_run.root, "--pair", pair, "--methods", "saliency", "--out", tmp_path]
    plan = asked("explain", *words, "--plan")["plan"]
    assert (plan["pairs"], plan["forwards"], plan["backwards"]) == (1, 1, 1)
    assert plan["seconds_per_pair"] == plan["forward_seconds"] + plan["backward_seconds"]
    assert not list(tmp_path.iterdir())
    found = asked("explain", *words, "--format", "svg")
    assert [Path(path).suffix for path in found["panels"]] == [".png", ".svg"]
    assert all(Path(path).is_file() for path in found["panels"])
    assert list(Path(found["maps"]).rglob("*.nii.gz"))
    assert found["plan"] is None


def test_layers(asked: Asked, tiny_run: Run, tmp_path: Path):
    words = ("--methods", "gradcam", "--most_pairs", 1, "--n_resamples", 10)
    swept = asked("layers", tiny_run.root, "--out", tmp_path, *words)
    assert all(Path(path).is_file() for path in swept["files"])
    assert swept["summary"][0].keys() >= {"layer", "lift", "low", "high", "chosen"}


def test_study(asked: Asked, phantom_store: Store, tmp_path: Path, monkeypatch):
    content = {
        "store": str(phantom_store.root),
        "base": {
            "model": {"name": "densenet_small", "sequences": "CT1"},
            "training": {"epochs": 1, "batch_size": 4, "accelerator": "cpu"},
        },
        "seeds": [0],
        "n_folds": 2,
        "arms": {"concat": {"approach": "subtraction"}},
        "references": False,
        "n_resamples": 10,
        "n_permutations": 10,
    }
    file, out = tmp_path / "study.yaml", tmp_path / "study"
    file.write_text(yaml.safe_dump(content))
    empty = asked("study", file, "--out", out, "--cohort-only")
    assert (empty["arms"], empty["folds"], empty["waiting"], empty["table"]) == (1, 2, 2, None)
    folds = json.loads((out / "splits.json").read_text())["folds"]
    pairs = phantom_store.pairs[phantom_store.pairs["response"] != ""]
    monkeypatch.setattr("xrano.experiments.study.units.Unit.finished", property(lambda _: True))
    monkeypatch.setattr("xrano.experiments.study.collect.pooled", lambda _: predicted(pairs, folds))
    found = asked("study", file, "--out", out, "--collect-only")
    assert (found["waiting"], found["failures"], found["unfinished"]) == (0, [], {})
    rows = {one["name"]: one for one in found["table"]}
    assert rows["concat"]["kind"] == "arm"
    assert rows["concat"]["balanced_accuracy"] == 1.0
    assert all(Path(path).is_file() for path in found["files"])


def predicted(pairs: pd.DataFrame, folds: list[dict[str, list[str]]]) -> pd.DataFrame:
    """What a network would say that is always right."""
    fold_of = {name: fold for fold, one in enumerate(folds) for name in one["test"]}
    table = pairs[["pair_id", "patient_id", "response"]].assign(seed=0, rating_source="expert")
    table["fold"] = [fold_of[name] for name in table["patient_id"]]
    table["predicted"] = table["response"]
    for response in Response:
        table[f"logit_{response}"] = 5.0 * (table["response"] == response)
    return table.reset_index(drop=True)


def test_a_part_of_an_audit(asked: Asked, tmp_path: Path, monkeypatch):
    import xrano.experiments.audit.run_audit as run_audit_module

    monkeypatch.setattr(run_audit_module, "run_audit", lambda *_, **__: [])
    found = asked("audit", "--out", tmp_path, "--shard", "2/3")
    assert found["part"] == [2, 3]
    assert "after all parts" in found["verdict"][0]
    assert (found["audit"], found["placed"], found["failures"]) == (None, None, [])


def test_a_phantom(asked: Asked, tmp_path: Path):
    found = asked("phantom", "--out", tmp_path / "p", "--patients", 2, "--spacing_mm", 6)
    assert (found["cohort"], found["patients"], found["seed"]) == (str(tmp_path / "p"), 2, 0)
    assert (tmp_path / "p").is_dir()


def test_an_untrained_run(asked: Asked, phantom_store: Store, tmp_path: Path):
    found = asked(
        *("train", phantom_store.root, "--out", tmp_path / "run", "--preset", "demo"),
        *("--training.epochs", 0, "--training.accelerator", "cpu"),
    )
    assert found["network"] == "densenet_small"
    assert found["predictions"] is None
    assert found["folds"] == list(open_run(tmp_path / "run").trained_folds)


def test_the_demo(asked: Asked, tiny_run: Run, tmp_path: Path, monkeypatch):
    import xrano.experiments.demo as demo_module

    monkeypatch.setattr(demo_module, "run_demo", lambda *_, **__: tiny_run)
    found = asked("demo", "--out", tmp_path)
    assert found["run"] == str(tiny_run.root)
    assert found["scores"] == str(tmp_path / "scores")
    assert found["folds"] == list(tiny_run.trained_folds)
