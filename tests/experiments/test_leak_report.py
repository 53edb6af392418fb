from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_store import GRID, session, write_small_store

from xrano.cli.probe_command import run
from xrano.data.normalisation import SequenceStatistics, normalise
from xrano.data.quality.probe import ProbeResult
from xrano.data.store import Store, open_store
from xrano.errors import ConfigError
from xrano.experiments.distant_tissue import common_sequences, pair_features
from xrano.experiments.leak_report import REPORT, LeakReport, Probe, probe_store
from xrano.progress import quiet

PERMUTATIONS = 9


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_small_store(tmp_path / "store", patients=12)


def shift_current(store: Store, response: str, by: float) -> Store:
    """Let the normalisation carry the response: current scans of one class are all brighter."""
    statistics = json.loads((store.root / "statistics.json").read_text())
    pairs = store.pairs
    for pair in pairs[pairs["response"] == response]["pair_id"]:
        for measured in statistics["pairs"][pair]["current"].values():
            measured[0] -= by * measured[1]
    (store.root / "statistics.json").write_text(json.dumps(statistics))
    return open_store(store.root)


def change_pairs(store: Store, change) -> Store:
    pairs = store.pairs
    change(pairs)
    pairs.to_csv(store.root / "pairs.csv", index=False)
    return open_store(store.root)


def test_a_cohort_without_a_leak_is_at_chance_and_the_file_says_the_same(store: Store):
    report = probe_store(store, permutations=PERMUTATIONS)
    assert report.verdict.startswith("at chance (16 mm: 0.")
    assert "12 patients would only show a strong leak" in report.verdict
    assert [probe.distance_mm for probe in report.probes] == [16.0, 32.0]
    for probe in report.probes:
        assert (probe.result.pairs, probe.result.patients, probe.result.dropped) == (24, 12, 0)
        assert probe.result.chance == 0.5
        assert probe.result.balanced_accuracy <= probe.result.band[1]
    assert dict(report.responses) == {"PD": 12, "SD": 12}
    written = json.loads((store.root / REPORT).read_text())
    assert written["verdict"] == report.verdict
    assert written["normalisation"] == "healthy"
    assert written["probes"][0]["result"]["p_value"] == report.probes[0].result.p_value
    assert written["left_out"] == {}


def test_a_planted_leak_is_told_in_one_plain_line(store: Store):
    report = probe_store(shift_current(store, "PD", 0.5), permutations=PERMUTATIONS)
    for probe in report.probes:
        assert probe.leaks
        assert probe.result.balanced_accuracy > 0.9
        assert probe.result.p_value == pytest.approx(1 / (PERMUTATIONS + 1))
    assert report.verdict.startswith("leaks: normal tissue tells the response (16 mm: ")
    assert "normalisation healthy" in report.verdict
    assert report.verdict in run(store.root, permutations=PERMUTATIONS).text.splitlines()


def test_the_tissue_is_the_common_brain_away_from_both_lesions(store: Store):
    pair = store.pairs.to_dict("records")[1]
    _, found = pair_features(store, [pair], ("T1", "FLAIR"), (16.0,), {}, quiet)
    prior, current = session(0, 1), session(0, 2)
    lesion = np.argwhere(prior.segmentations["deepbratumia"][0] > 0)
    lesion = np.concatenate([lesion, np.argwhere(current.segmentations["deepbratumia"][0] > 0)])
    spacing = np.array(GRID.spacing)
    tissue = [
        index
        for index in np.argwhere(prior.brain & current.brain)
        if np.linalg.norm((lesion - index) * spacing, axis=1).min() > 16.0 + 1e-6
    ]
    measured = store.statistics["pairs"][pair["pair_id"]]
    means = []
    for side, scan in (("prior", prior), ("current", current)):
        for name in ("T1", "FLAIR"):
            volume = normalise(
                scan.sequences[name], SequenceStatistics(*measured[side][name]), scan.brain
            )
            means.append(np.mean([volume[tuple(index)] for index in tissue]))
    np.testing.assert_allclose(found[0][16.0][:4], means, rtol=1e-5, atol=1e-6)


def test_unrated_pairs_and_pairs_across_surgery_are_counted_and_left_out(store: Store):
    def change(pairs: pd.DataFrame) -> None:
        pairs.loc[[0, 5], "response"] = ""
        pairs.loc[[2, 3, 8], "spans_surgery"] = True

    store = change_pairs(store, change)
    report = probe_store(store, permutations=1, distances_mm=(16.0,))
    assert dict(report.left_out) == {"unrated": 2, "across an operation": 3}
    assert report.probes[0].result.pairs == 19
    with_them = probe_store(store, permutations=1, distances_mm=(16.0,), across_surgery=True)
    assert dict(with_them.left_out) == {"unrated": 2}
    assert with_them.probes[0].result.pairs == 22
    assert "3 pairs left out: across an operation" in report.describe()


def test_a_response_of_few_patients_is_left_out_by_name(store: Store):
    def change(pairs: pd.DataFrame) -> None:
        pairs.loc[[0, 4, 8], "response"] = "CR"

    report = probe_store(change_pairs(store, change), permutations=1, distances_mm=(16.0,))
    assert dict(report.left_out) == {"CR, seen in fewer than 5 patients": 3}
    assert set(report.responses) == {"PD", "SD"}
    assert report.probes[0].result.chance == 0.5


@pytest.mark.parametrize("patients", [1, 3])
def test_too_few_patients_are_told_honestly(tmp_path: Path, patients: int):
    store = write_small_store(tmp_path / "store", patients=patients)
    report = probe_store(store, permutations=PERMUTATIONS)
    assert report.verdict.startswith("cannot tell: the probe needs 5 patients and two responses")
    written = json.loads((store.root / REPORT).read_text())
    assert written["probes"][0]["result"] is None
    assert "cannot tell" in run(store.root).text


def test_a_scan_without_segmentation_has_no_distance(tmp_path: Path):
    store = write_small_store(
        tmp_path / "store", patients=12, changed={(4, 1): {"segmentations": {}}}
    )
    report = probe_store(store, permutations=1, distances_mm=(16.0,))
    assert dict(report.left_out) == {"a scan has no segmentation": 2}


def test_a_sequence_that_few_pairs_lack_costs_these_pairs(tmp_path: Path):
    only = {"sequences": {"T1": session(7, 2).sequences["T1"]}}
    store = write_small_store(tmp_path / "store", patients=12, changed={(7, 2): only})
    report = probe_store(store, permutations=1, distances_mm=(16.0,))
    assert report.sequences == ("T1", "FLAIR")
    assert dict(report.left_out) == {"without all of T1 FLAIR": 1}


def test_a_sequence_that_many_pairs_lack_is_not_looked_at(tmp_path: Path):
    changed = {
        (patient, 1): {"sequences": {"T1": session(patient, 1).sequences["T1"]}}
        for patient in range(0, 12, 2)
    }
    store = write_small_store(tmp_path / "store", patients=12, changed=changed)
    assert common_sequences(store, store.pairs.to_dict("records")) == ("T1",)


def test_far_from_everything_there_is_no_tissue(store: Store):
    report = probe_store(store, permutations=1, distances_mm=(200.0,))
    assert report.probes[0].result is None
    assert report.verdict.startswith("cannot tell")


def test_a_band_needs_a_permutation(store: Store):
    with pytest.raises(ConfigError, match="at least one permutation, got 0"):
        probe_store(store, permutations=0)
    assert not (store.root / REPORT).exists()


def made_up(accuracy: float, patients: int = 60) -> LeakReport:
    result = ProbeResult(accuracy, 0.25, (0.18, 0.33), 0.3, 200, patients, 0)
    return LeakReport((Probe(16.0, result), Probe(32.0, None, "x")), "brain", (), {}, {}, 50)


def test_verdicts():
    assert made_up(0.25).verdict == "at chance (16 mm: 0.25, permuted 0.18 to 0.33)"
    assert "12 patients would only show a strong leak" in made_up(0.25, patients=12).verdict
    assert made_up(0.34).verdict.startswith("leaks: ")
    # At the edge of the band it is still what permuted responses reach.
    assert made_up(0.33).verdict.startswith("at chance")
