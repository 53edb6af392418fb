"""``xrano report`` from the command line: what it says, writes and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from xrano.cli.main import main
from xrano.training.run import Run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run_alone(tiny_run: Run, tmp_path: Path) -> Path:
    """A run with nothing beside it, in a folder whose name has a blank."""
    shutil.copytree(tiny_run.root, tmp_path / "my cohort" / "run")
    return tmp_path / "my cohort" / "run"


def report(*words: object) -> int:
    return main(["report", *map(str, words)])


def test_it_says_what_is_missing_with_commands_that_can_be_pasted(run_alone: Path, capsys: Capture):
    out = run_alone.parent / "report"
    assert report(run_alone, "--out", out, "--cases", 1) == 0
    said = capsys.readouterr().out
    assert f"xrano score '{run_alone}' --out '{run_alone.parent / 'scores'}'" in said
    assert "missing  Scores of the maps: not found" in said
    assert f"1 page of cases; open {out / 'index.html'}" in said
    pages = list((out / "cases").iterdir())
    assert len(pages) == 1
    index = (out / "index.html").read_text(encoding="utf-8")
    assert f'href="cases/{pages[0].name}"' in index
    assert str(run_alone.parent) not in index
    assert '../index.html"' in pages[0].read_text(encoding="utf-8")


def test_scripts_get_one_json_object(run_alone: Path, capsys: Capture):
    out = run_alone.parent / "report"
    assert report(run_alone, "--out", out, "--cases", "none", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["index"] == str(out / "index.html")
    assert (found["cases"], found["failed"]) == ({}, {})
    missing = {one["what"]: one["command"] for one in found["sources"] if not one["found"]}
    assert missing["Audit of the scores"].startswith("xrano audit --out ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cases", "some"), "all, none or a number"),
        (("--cases", "1", "2"), "takes one word"),
        (("--scores", "nowhere"), "nowhere holds no scores.csv"),
        (("--audit", "nowhere"), "nowhere holds no audit.json"),
        (("--maps", "nowhere"), "no map of this run in nowhere"),
        (("--faithfulness", "nowhere"), "nowhere holds no faithfulness_summary.csv"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    run_alone: Path, capsys: Capture, options: tuple[str, ...], words: str
):
    assert report(run_alone, "--out", run_alone.parent / "report", *options) != 0
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (run_alone.parent / "report" / "index.html").exists()


def test_a_folder_that_cannot_be_written_is_one_line(run_alone: Path, capsys: Capture, monkeypatch):
    import xrano.experiments.report.write_report as writing

    def refuse(path: Path, _text: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(writing, "write_text", refuse)
    assert report(run_alone, "--out", run_alone.parent / "report") != 0
    error = capsys.readouterr().err
    assert "report" in error
    assert len(error.strip().splitlines()) == 1


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: Capture):
    assert report(tmp_path, "--out", tmp_path / "report") != 0
    assert "is not a run" in capsys.readouterr().err
