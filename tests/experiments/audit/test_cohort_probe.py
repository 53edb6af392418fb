from __future__ import annotations

import json

import pytest

from xrano.errors import ManifestError
from xrano.experiments.audit.cohort_probe import PROBE_COLUMNS, probe_cohorts, probe_line
from xrano.experiments.audit.settings import AuditSettings

SETTINGS = AuditSettings(kinds=("honest",), cohort_seeds=(4, 5, 6))


def write_report(out, seed, accuracy, *, why=""):
    store = out / "cohorts" / f"seed-{seed}" / "store"
    store.mkdir(parents=True)
    result = None
    if not why:
        result = {"balanced_accuracy": accuracy, "band": [0.15, 0.35], "p_value": 0.4}
        result |= {"pairs": 60, "patients": 20}
    probes = [{"distance_mm": 16.0, "result": result, "why": why}]
    (store / "leak_probe.json").write_text(json.dumps({"probes": probes}), encoding="utf-8")


def test_every_cohort_that_was_made_has_rows_and_leaks_are_counted(tmp_path):
    write_report(tmp_path, 4, 0.20)
    write_report(tmp_path, 6, 0.40)
    table = probe_cohorts(SETTINGS, tmp_path)
    assert tuple(table.columns) == PROBE_COLUMNS
    assert list(table["cohort_seed"]) == [4, 6]
    assert list(table["leaks"]) == [False, True]
    line = probe_line(table)
    assert "0.30 on average" in line
    assert "1 of 2 cohorts" in line


def test_a_probe_that_could_not_be_run_is_no_leak(tmp_path):
    write_report(tmp_path, 5, 0.0, why="too few patients")
    table = probe_cohorts(SETTINGS, tmp_path)
    assert table["balanced_accuracy"].isna().all()
    assert not table["leaks"].any()
    assert table["why"].item() == "too few patients"
    assert probe_line(table).endswith("not run.")


@pytest.mark.parametrize("content", ['{"probes": [{"distance', "{}", "[]", "3", "[" * 99_999])
def test_a_report_that_was_cut_off_is_named(tmp_path, content):
    write_report(tmp_path, 4, 0.2)
    path = tmp_path / "cohorts" / "seed-4" / "store" / "leak_probe.json"
    path.write_text(content)
    with pytest.raises(
        ManifestError, match=r"seed-4/store/leak_probe\.json cannot be read.*delete"
    ):
        probe_cohorts(SETTINGS, tmp_path)


def test_without_cohorts_there_is_no_probe(tmp_path):
    assert probe_cohorts(SETTINGS, tmp_path).empty


def test_the_probe_is_run_once_on_the_honest_scans(tmp_path, phantom_store, monkeypatch):
    cohort = tmp_path / "cohorts" / "seed-4"
    cohort.mkdir(parents=True)
    (cohort / "store").symlink_to(phantom_store.root)
    report = phantom_store.root / "leak_probe.json"
    before = report.read_bytes() if report.is_file() else None
    report.unlink(missing_ok=True)
    try:
        first = probe_cohorts(SETTINGS, tmp_path)
        assert set(first["distance_mm"]) == {16.0, 32.0}
        monkeypatch.setattr(
            "xrano.experiments.audit.cohort_probe.probe_store",
            lambda *_, **__: pytest.fail("probed again"),
        )
        assert probe_cohorts(SETTINGS, tmp_path).equals(first)
    finally:
        if before is None:
            report.unlink(missing_ok=True)
        else:
            report.write_bytes(before)
