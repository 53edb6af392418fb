"""What a prepared store holds: every session's voxels, labels and volumes, and the pairs."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from atlas_cohort import (
    AFFINE,
    ORIENTATIONS,
    SEQUENCES,
    SESSIONS,
    brain,
    folder,
    labels,
    save,
    scan,
    write_session,
    write_tables,
)
from prepared_atlas import prepare, prepared

from xrano.data.preparation.prepare import prepare_cohort
from xrano.data.store import Store
from xrano.data.tables import read_exclusions, read_pairs, read_segmentations, read_sessions

# --- sessions


@pytest.mark.parametrize("number", range(len(SESSIONS)))
def test_at_the_same_spacing_every_voxel_is_the_source_s_own(store: Store, number: int):
    found = prepared(store, number)
    grid = store.grid
    for sequence in SEQUENCES:
        image = nib.load(folder(store.root.parent / "index", number) / f"{sequence}.nii.gz")
        assert nib.aff2axcodes(image.affine) == tuple(ORIENTATIONS[number])
        source, to_source = np.asarray(image.dataobj), np.linalg.inv(image.affine)
        stored = found.sequences[sequence]
        assert stored.dtype == np.float16
        assert stored.shape == grid.shape
        for voxel in np.ndindex(*grid.shape):
            at = nib.affines.apply_affine(to_source @ grid.affine, voxel)
            np.testing.assert_allclose(at, np.rint(at), atol=1e-4)
            place = tuple(np.rint(at).astype(int))
            inside = all(0 <= p < n for p, n in zip(place, source.shape, strict=True))
            value = np.float32(source[place] if inside else 0.0)
            assert stored[voxel] == np.float16(value / found.scale[sequence])


def test_the_brightest_percentile_of_the_brain_is_one(store: Store):
    for number, name in itertools.product(range(len(SESSIONS)), SEQUENCES):
        found = prepared(store, number)
        assert found.scale[name] == pytest.approx(
            np.percentile(scan(number, name)[brain(number)], 99.9), rel=1e-6
        )


def test_left_stays_left(store: Store):
    """All scans are brighter on the patient's left, whatever the order of their axes."""
    for number in range(len(SESSIONS)):
        found = prepared(store, number)
        x = store.grid.world(np.argwhere(found.brain))[:, 0]
        for values in found.sequences.values():
            inside = values[found.brain].astype(float)
            assert np.corrcoef(x, inside)[0, 1] < -0.5


def test_brain_and_labels_are_those_of_the_files(store: Store):
    start = np.rint(nib.affines.apply_affine(np.linalg.inv(AFFINE), store.grid.world((0, 0, 0))))
    box = tuple(slice(int(a), int(a) + n) for a, n in zip(start, store.grid.shape, strict=True))
    for number in range(len(SESSIONS)):
        found = prepared(store, number)
        np.testing.assert_array_equal(found.brain, brain(number)[box])
        stored, scheme = found.segmentations["deepbratumia"]
        np.testing.assert_array_equal(stored, labels(number)[box])
        assert scheme == "lumiere-deepbratumia"
        assert (found.patient_id, found.session_id) == SESSIONS[number]


def test_coarser_scans_keep_their_mean_and_labels_stay_labels(index: Path):
    found = prepare(index, spacing=5.0)
    assert found.grid.spacing == pytest.approx((5.0, 5.0, 5.0))
    for number in range(len(SESSIONS)):
        coarse = prepared(found, number)
        total = coarse.sequences["T1"].astype(float).sum() * coarse.scale["T1"]
        expected = scan(number, "T1").sum() * (2.0 * 2.5 * 3.0) / 5.0**3
        assert total == pytest.approx(expected, rel=0.03)
        inner = float(coarse.sequences["T1"].max()) * coarse.scale["T1"]
        assert inner < scan(number, "T1").max()
        stored, _ = coarse.segmentations["deepbratumia"]
        assert set(np.unique(stored)) <= {0, 1, 2, 3}
        volume = coarse.brain.sum() * found.grid.voxel_ml
        assert volume == pytest.approx(brain(number).sum() * 0.015, rel=0.15)


def test_the_order_of_a_file_s_axes_does_not_matter_at_coarser_spacing(tmp_path: Path):
    """Smoothing must follow the axes of the grid, not those of the file."""
    stored = []
    for axes in ("RAS", "PIR", "SLP"):
        index = tmp_path / axes / "index"
        for number in range(len(SESSIONS)):
            write_session(index, number)
        write_tables(index)
        for name, data in (("T1", scan(1, "T1")), ("brain", brain(1).astype(np.uint8))):
            save(folder(index, 1) / f"{name}.nii.gz", data, axes=axes)
        for name, data in (("FLAIR", scan(1, "FLAIR")), ("labels", labels(1))):
            save(folder(index, 1) / f"{name}.nii.gz", data, axes=axes)
        stored.append(prepared(prepare(index, spacing=2.9), 1).sequences["T1"].astype(float))
    np.testing.assert_allclose(stored[1], stored[0], atol=2e-3)
    np.testing.assert_allclose(stored[2], stored[0], atol=2e-3)


def test_volumes_are_counted_on_the_segmentation_s_own_grid(index: Path):
    table = prepare(index, spacing=6.0).volumes
    found = {
        (row["patient_id"], row["session_id"], row["region"]): row["ml"]
        for row in table.to_dict("records")
    }
    assert set(table["source"]) == {"deepbratumia"}
    assert len(found) == 3 * len(SESSIONS)
    for number, key in enumerate(SESSIONS):
        truth = labels(number)
        for region, tissues in (("enhancing", (1,)), ("core", (1, 2)), ("whole", (1, 2, 3))):
            count = sum(int((truth == tissue).sum()) for tissue in tissues)
            assert found[(*key, region)] == pytest.approx(count * 2.0 * 2.5 * 3.0 / 1000)


def test_a_session_without_a_sequence_keeps_the_others(index: Path):
    table = pd.read_csv(index / "sessions.csv", dtype=str, keep_default_na=False)
    table.loc[1, "T1"] = ""
    table.to_csv(index / "sessions.csv", index=False)
    found = prepare(index)
    assert found.sequences == SEQUENCES
    assert set(prepared(found, 1).sequences) == {"FLAIR"}
    assert set(prepared(found, 0).sequences) == set(SEQUENCES)


def test_without_a_mask_the_brain_is_what_is_not_zero(index: Path):
    write_tables(index, brain_mask="")
    found = prepare(index)
    for number in range(len(SESSIONS)):
        assert prepared(found, number).brain.sum() == brain(number).sum()


def test_names_that_look_like_numbers_stay_names(index: Path):
    for name in ("sessions.csv", "segmentations.csv"):
        table = pd.read_csv(index / name, dtype=str, keep_default_na=False)
        table["patient_id"] = table["patient_id"].map({"P1": "001", "P2": "002"})
        table["session_id"] = table["session_id"].str[-3:]
        table.to_csv(index / name, index=False)
    found = prepare(index)
    assert set(found.volumes["patient_id"]) == {"001", "002"}
    assert set(found.volumes["session_id"]) == {"000", "012", "009"}
    assert list(found.pairs["pair_id"]) == ["001_000_012", "002_000_009"]


# --- pairs


def test_pairs_without_any_image_are_excluded_with_a_reason(index: Path):
    table = pd.read_csv(index / "sessions.csv", dtype=str, keep_default_na=False)
    table.loc[2, ["T1", "FLAIR", "brain_mask"]] = ""
    table.to_csv(index / "sessions.csv", index=False)
    found = prepare(index)
    assert list(found.pairs["pair_id"]) == ["P1_week-000_week-012"]
    excluded = read_exclusions(found.root / "exclusions.csv").to_dict("records")
    assert {
        "patient_id": "P2",
        "session_id": "week-009",
        "detail": "prior week-000 has no image",
        "reason": "missing_sequence",
    } in excluded
    # Each session is the current one of a pair, or is excluded once.
    assert len(excluded) + len(found.pairs) == len(SESSIONS)


def test_a_session_without_any_image_is_named(index: Path):
    sessions = read_sessions(index / "sessions.csv")
    segmentations = read_segmentations(index / "segmentations.csv")
    prepare(index)
    pairs = read_pairs(index.parent / "store" / "pairs.csv")
    sessions.loc[3, [*SEQUENCES, "brain_mask"]] = ""
    cohort = prepare_cohort(sessions, segmentations, pairs, index.parent / "other")
    assert [problem.describe() for problem in cohort.failures] == [
        "P2 week-009: P2 week-009 has neither an image of T1, FLAIR nor a brain mask"
    ]


def test_unrated_sessions_are_paired_when_asked_for(index: Path):
    write_tables(index, rating=["", "", "", "SD"])
    found = prepare(index, unrated=True)
    assert list(found.pairs["response"]) == ["", "SD"]
    assert set(found.statistics["pairs"]) == set(found.pairs["pair_id"])
