"""Reports of what was removed or cut off: never told as if it were whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_pages import cohort, page_of

from xrano.cli.main import main
from xrano.errors import CheckpointError, ManifestError, VolumeError
from xrano.experiments.report.sources import find_sources
from xrano.experiments.saved_maps import score_saved_maps
from xrano.map_files import find_maps
from xrano.training.run import Run


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["scores", "nulls", "claims"])
def test_a_table_that_is_cut_off_is_refused_by_name(own_copy: Path, own_run: Run, name: str):
    halve(own_copy / "scores" / f"{name}.csv")
    with pytest.raises(ManifestError, match=rf"{name}\.csv.*cut off"):
        cohort(own_run, own_copy / "report")


def test_predictions_that_are_cut_off_are_refused_by_name(own_copy: Path, own_run: Run):
    halve(own_run.root / "predictions.csv")
    with pytest.raises(CheckpointError, match=r"predictions\.csv cannot be read"):
        cohort(own_run, own_copy / "report")


def test_scores_that_were_not_finished_are_left_aside(own_copy: Path, own_run: Run):
    scores = own_copy / "scores"
    (scores / "report.json").unlink()
    assert "scores holds no whole report.json" in page_of(own_run, own_copy / "report")
    with pytest.raises(ManifestError, match=r"report\.json: the scoring was stopped.*score again"):
        find_sources(own_run, scores=scores)


@pytest.mark.parametrize("damage", [Path.unlink, halve])
def test_a_map_that_is_lost_is_named(own_copy: Path, own_run: Run, damage):
    path = find_maps(own_copy / "explained")[3]
    damage(path)
    found = find_sources(own_run).maps
    assert found.path is None
    assert path.name in found.why
    assert "xrano explain again" in found.why
    for folder in (own_copy / "explained", own_copy / "explained" / "maps"):
        with pytest.raises(VolumeError, match=path.name):
            score_saved_maps(own_run, folder, own_copy / "again")
    with pytest.raises(ManifestError, match=path.name):
        find_sources(own_run, maps=own_copy / "explained")


def test_a_page_that_fails_makes_the_exit_status_1(
    own_copy: Path, own_run: Run, capsys: pytest.CaptureFixture[str]
):
    pair = own_run.tested_pairs().iloc[0]
    session = own_run.store.session_path(pair["patient_id"], pair["current_session"])
    content = session.read_bytes()
    capsys.readouterr()
    try:
        halve(session)
        line = ["report", str(own_run.root), "--out", str(own_copy / "report"), "--cases", "all"]
        assert main([*line, "--jobs", "1"]) == 1
    finally:
        session.write_bytes(content)
    captured = capsys.readouterr()
    assert "xrano: error: no page of " in captured.err
    assert str(session) in captured.err
    assert "pages of cases; open" in captured.out
