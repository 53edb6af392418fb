"""``xrano faithfulness`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from xrano.cli.faithfulness_command import JSON_KEYS
from xrano.cli.main import main
from xrano.training.run import Run

Capture = pytest.CaptureFixture[str]


def test_it_names_its_pairs_writes_tables_and_tells_them(
    tiny_run: Run, tmp_path: Path, capsys: Capture
):
    arguments = ["faithfulness", tiny_run.root, "--out", tmp_path / "f", "--pairs", 2]
    arguments += ["--methods", "saliency", "--tests", "interventions", "misalignment"]
    arguments += ["--n-resamples", 20]
    assert main([str(argument) for argument in arguments]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 pairs (")
    for name in ("faithfulness.csv", "faithfulness_summary.csv", "interventions.csv"):
        assert (tmp_path / "f" / name).is_file()
        assert name in said
    table = pd.read_csv(tmp_path / "f" / "faithfulness.csv", keep_default_na=False)
    assert table["pair_id"].nunique() == 2
    assert set(table["method"]) == {"", "saliency"}
    for metric in set(table["metric"]):
        assert f"\n{metric}\n" in said
    assert main([*(str(argument) for argument in arguments), "--json"]) == 0
    captured = capsys.readouterr()
    assert "4 parts are there" in captured.err
    found = json.loads(captured.out)
    assert set(found) == set(JSON_KEYS)
    assert {one["metric"] for one in found["summary"]} == set(table["metric"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tests", "swap"), "unknown faithfulness test 'swap'"),
        (("--methods", "salience"), "did you mean 'saliency'"),
        (("--pairs", "0"), "pairs ≥ 1"),
        (("--seed-runs", "nowhere"), "nowhere is not a run"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tiny_run: Run, tmp_path: Path, capsys: Capture, options: tuple[str, ...], words: str
):
    out = tmp_path / "f"
    assert main(["faithfulness", str(tiny_run.root), "--out", str(out), *options]) == 1
    assert words in capsys.readouterr().err
    assert not out.exists()
