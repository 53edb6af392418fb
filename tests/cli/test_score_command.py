"""``xrano score`` from the command line: what it says before and leaves after."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from xrano.cli.main import main
from xrano.training.run import Run

Capture = pytest.CaptureFixture[str]


def test_it_says_what_it_takes_and_leaves_a_report(tiny_run: Run, tmp_path: Path, capsys: Capture):
    arguments = ["score", tiny_run.root, "--out", tmp_path / "s", "--methods", "saliency"]
    arguments += ["--copies", 1, "--n-resamples", 20, "--tuned-dice", "--surrogates", 2]
    assert main([str(argument) for argument in arguments]) == 0
    said = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "s" / "scores.csv", keep_default_na=False)
    first = said.splitlines()[0]
    assert first.startswith(f"{table['pair_id'].nunique()} pairs by saliency")
    assert "MB in" in first
    assert f"{len(table)} scores in" in said
    report = json.loads((tmp_path / "s" / "report.json").read_text())
    assert report["settings"]["tuned_dice"] is True
    assert report["settings"]["surrogates"] == 2
    assert "dice_tuned" in set(table["metric"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--maps", "maps", "--tuned-dice"), "--tuned-dice explains training pairs"),
        (("--resample",), "--resample is of saved maps"),
        (("--surrogates", "-1"), "surrogates ≥ 0"),
        (("--nulls", "most"), "unknown null regions 'most'"),
        (("--reduction", "median"), "unknown reduction 'median'"),
    ],
)
def test_what_does_not_go_together(
    tiny_run: Run, tmp_path: Path, capsys: Capture, options: tuple[str, ...], words: str
):
    arguments = ["score", str(tiny_run.root), "--out", str(tmp_path / "s"), *options]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert not (tmp_path / "s").exists()


def test_the_help_says_when_there_is_parquet(capsys: Capture):
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "pyarrow" in said
    assert "xrano[parquet]" in said
