from __future__ import annotations

import gzip
import itertools
import json
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
    SHAPE,
    brain,
    folder,
    labels,
    save,
    scan,
    write_atlas_cohort,
    write_session,
    write_tables,
)

from xrano.data.preparation.common_grid import brain_extent, cropped_to, respaced
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.placed_session import read_brain, same_world
from xrano.data.preparation.prepare import prepare_cohort
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import Store, open_store, read_prepared
from xrano.data.tables import read_exclusions, read_pairs, read_segmentations, read_sessions
from xrano.errors import (
    ConfigError,
    GridMismatchError,
    LabelSchemeError,
    ManifestError,
    UnfinishedError,
    UnknownNameError,
    VolumeError,
)
from xrano.geometry import Grid


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return write_atlas_cohort(tmp_path / "index")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("atlas")
    write_atlas_cohort(root / "index")
    prepare_index(root / "index", root / "store", PrepareSettings())
    return open_store(root / "store")


def prepare(index: Path, spacing: float = 0.0, **options: object) -> Store:
    out = index.parent / "store"
    prepare_index(index, out, PrepareSettings(spacing), **options)
    return open_store(out)


def prepared(store: Store, number: int):
    return read_prepared(store.session_path(*SESSIONS[number]))


def session_files(store: Store) -> list[Path]:
    return sorted((store.root / "sessions").rglob("*.*"))


# --- the common grid


def test_the_grid_is_ras_and_the_crop_is_that_of_brute_force(store: Store):
    union = np.zeros(SHAPE, dtype=bool)
    for number in range(len(SESSIONS)):
        union |= brain(number)
    inside = [index for index in np.ndindex(*SHAPE) if union[index]]
    first, last = np.min(inside, axis=0) - 1, np.max(inside, axis=0) + 1
    assert nib.aff2axcodes(store.grid.affine) == ("R", "A", "S")
    assert store.grid.shape == tuple(last - first + 1)
    np.testing.assert_allclose(store.grid.affine[:3, :3], AFFINE[:3, :3])
    np.testing.assert_allclose(
        store.grid.affine[:3, 3], nib.affines.apply_affine(AFFINE, first), atol=1e-6
    )


@pytest.mark.parametrize("spacing", [0.0, 1.3, 4.0, 7.0])
def test_the_grid_holds_every_brain_and_a_rim_without_any(index: Path, spacing: float):
    sessions = read_sessions(index / "sessions.csv").to_dict("records")
    found = [read_brain(row, SEQUENCES, same_world(SEQUENCES)) for row in sessions]
    base = respaced(found[0][1], spacing) if spacing else found[0][1]
    grid = cropped_to(base, [brain_extent(mask, at, base) for mask, at in found])
    if spacing:
        np.testing.assert_allclose(grid.spacing, (spacing,) * 3)
    offsets = np.array(list(itertools.product((-0.499, 0.499), repeat=3)))
    for number in range(len(SESSIONS)):
        corners = (np.argwhere(brain(number))[:, None] + offsets).reshape(-1, 3)
        at = np.rint(grid.voxel(nib.affines.apply_affine(AFFINE, corners)))
        assert (at >= 1).all()
        assert (at <= np.array(grid.shape) - 2).all()


def test_a_brain_beyond_the_first_scan_s_field_of_view_is_not_cut(index: Path):
    """The third session has a wider field of view, and a brain that fills it."""
    wider = (SHAPE[0] + 6, SHAPE[1] + 3, SHAPE[2] + 4)
    affine = AFFINE.copy()
    affine[:3, 3] = nib.affines.apply_affine(AFFINE, (-4, 0, -1))
    values = np.random.default_rng(0).uniform(1, 2, wider).astype(np.float32)
    here = folder(index, 2)
    for name in SEQUENCES:
        save(here / f"{name}.nii.gz", values, affine, "LAS")
    save(here / "brain.nii.gz", np.ones(wider, np.uint8), affine, "LAS")
    save(here / "labels.nii.gz", np.zeros(wider, np.uint8), affine, "LAS")
    found = prepare(index)
    assert found.grid.shape == tuple(size + 2 for size in wider)
    assert prepared(found, 2).brain.sum() == np.prod(wider)
    assert prepared(found, 0).brain.sum() == brain(0).sum()


def test_coarser_voxels_cover_the_same_field_of_view():
    affine = np.array([[0, 0, 3.0, -9], [-2.0, 0, 0, 40], [0, 2.5, 0, -30], [0, 0, 0, 1]])
    grid = Grid((11, 16, 13), affine)
    for spacing in (1.0, 4.0, 5.0):
        found = respaced(grid, spacing)
        np.testing.assert_allclose(found.spacing, (spacing,) * 3)
        # One outer corner of the field of view is kept, the other is reached or passed.
        np.testing.assert_allclose(found.world((-0.5,) * 3), grid.world((-0.5,) * 3))
        end = grid.voxel(found.world(np.array(found.shape) - 0.5))
        size = np.array(grid.shape) - 0.5
        assert (end >= size - 1e-6).all()
        assert (end < size + spacing / np.array(grid.spacing)).all()


# --- what is in a session


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


# --- refusals; no store is left behind


def refused(index: Path, error: type[Exception], *words: str, spacing: float = 0.0) -> None:
    """The whole command is refused, and leaves no store."""
    with pytest.raises(error) as caught:
        prepare(index, spacing)
    for word in words:
        assert word in str(caught.value), caught.value
    with pytest.raises(ManifestError, match="not a prepared store"):
        open_store(index.parent / "store")
    assert not list((index.parent / "store").rglob(".*"))


def failed(index: Path, error: type[Exception], *words: str, spacing: float = 0.0) -> None:
    """One patient fails with its cause, and the other one's pair is prepared."""
    out = index.parent / "store"
    cohort = prepare_index(index, out, PrepareSettings(spacing))
    with pytest.raises(UnfinishedError, match=r"problems\.csv"):
        cohort.require_whole()
    problems = pd.read_csv(out / "problems.csv", keep_default_na=False).to_dict("records")
    causes = [problem for problem in problems if problem["kind"] == error.__name__]
    assert len(causes) == 1, problems
    patient = causes[0]["patient_id"]
    for word in words:
        assert word in causes[0]["text"], causes
        assert word in str(cohort.failures[0].describe())
    kept = open_store(out)
    assert [pair["patient_id"] for pair in kept.pairs.to_dict("records")] == [
        other for other in ("P1", "P2") if other != patient
    ]
    lost = read_exclusions(out / "exclusions.csv").to_dict("records")
    excluded = [row for row in lost if row["reason"] == "not_prepared"]
    assert [row["patient_id"] for row in excluded] == [patient]
    assert all(word in excluded[0]["detail"] for word in words)
    assert not list(out.rglob(".*"))


def broken(path: Path, how: str) -> None:
    data, affine = scan(1, "T1"), nib.load(path).affine
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "text":
        path.write_bytes(gzip.compress(b"no image"))
    elif how in ("nan", "infinite"):
        data[4, 5, 6] = np.nan if how == "nan" else -np.inf
        save(path, data)
    elif how == "zero":
        save(path, np.zeros(SHAPE, np.float32))
    else:
        nib.save(nib.Nifti1Image(np.stack([data, data], axis=-1), affine), path)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "does not exist"),
        ("truncated", "cut off"),
        ("text", "cannot be read"),
        ("nan", "1 voxels are NaN"),
        ("infinite", "1 infinite"),
        ("zero", "every voxel is 0"),
        ("4d", "three axes"),
    ],
)
@pytest.mark.parametrize("name", ["FLAIR", "T1"])
def test_a_scan_that_cannot_be_used_is_named(index: Path, how: str, words: str, name: str):
    path = folder(index, 1) / f"{name}.nii.gz"
    broken(path, how)
    failed(index, VolumeError, str(path), words)
    write_session(index, 1)
    assert prepared(prepare(index), 1).sequences


def test_a_broken_scan_without_masks_is_named(index: Path):
    write_tables(index, brain_mask="")
    path = folder(index, 2) / "T1.nii.gz"
    broken(path, "truncated")
    failed(index, VolumeError, str(path))


@pytest.mark.parametrize("name", ["FLAIR", "brain", "labels"])
def test_files_of_one_session_on_other_grids_are_refused_and_named(index: Path, name: str):
    moved = AFFINE.copy()
    moved[0, 3] += 0.5
    data = {"FLAIR": scan(1, "FLAIR"), "brain": brain(1), "labels": labels(1)}[name]
    path = folder(index, 1) / f"{name}.nii.gz"
    save(path, data if name == "FLAIR" else data.astype(np.uint8), moved, ORIENTATIONS[1])
    failed(index, GridMismatchError, str(path), str(folder(index, 1) / "T1.nii.gz"))


def test_a_mask_of_another_shape_is_refused(index: Path):
    path = folder(index, 3) / "brain.nii.gz"
    save(path, brain(3)[:, :-1].astype(np.uint8), axes=ORIENTATIONS[3])
    failed(index, GridMismatchError, str(path), str(folder(index, 3) / "T1.nii.gz"))


def test_sessions_in_no_common_space_are_refused_with_what_to_do(index: Path):
    write_tables(index, space=["atlas", "native", "atlas", "session"])
    refused(index, ManifestError, "atlas, native, session", "as they were scanned")


def test_a_skull_without_a_mask_is_refused_with_ways_out(index: Path):
    write_tables(index, brain_mask="")
    path = folder(index, 2) / "T1.nii.gz"
    save(path, scan(2, "T1") + np.float32(5.0), axes=ORIENTATIONS[2])
    failed(index, VolumeError, str(path), "brain_mask", "strip the skull")


def test_an_empty_brain_mask_is_refused(index: Path):
    path = folder(index, 0) / "brain.nii.gz"
    save(path, np.zeros(SHAPE, np.uint8), axes=ORIENTATIONS[0])
    failed(index, VolumeError, str(path), "empty")


def test_unknown_labels_are_refused(index: Path):
    path = folder(index, 1) / "labels.nii.gz"
    save(path, labels(1) + np.uint8(2), axes=ORIENTATIONS[1])
    failed(index, LabelSchemeError, str(path), "[4, 5]", "lumiere-deepbratumia")


def test_labels_that_contradict_the_tool_s_own_volumes_are_refused(index: Path):
    ml = 15.0
    truth = labels(1)
    told = {
        name: float((truth == label).sum()) * ml
        for label, name in ((2, "Enhancing_Core"), (1, "Necrotic_NonEnhancing"))
    }
    told["Edema_Compartment"] = float((truth == 3).sum()) * ml
    path = folder(index, 1) / "measured_volumes_in_mm3.json"
    path.write_text(json.dumps(told))
    failed(index, LabelSchemeError, str(path), "swapped")
    told["Enhancing_Core"], told["Necrotic_NonEnhancing"] = (
        told["Necrotic_NonEnhancing"],
        told["Enhancing_Core"],
    )
    path.write_text(json.dumps(told))
    assert prepare(index)


def test_a_scan_that_shows_nothing_in_the_brain_is_refused(index: Path):
    path = folder(index, 1) / "FLAIR.nii.gz"
    save(path, np.where(brain(1), 0, 7).astype(np.float32), axes=ORIENTATIONS[1])
    failed(index, VolumeError, str(path), "nothing inside the brain")


def test_a_scan_without_contrast_is_refused_and_the_pair_named(index: Path):
    path = folder(index, 1) / "FLAIR.nii.gz"
    save(path, np.where(brain(1), 7, 0).astype(np.float32), axes=ORIENTATIONS[1])
    failed(index, VolumeError, "P1_week-000_week-012", "current FLAIR", "vary")


def test_brains_that_do_not_meet_are_refused_and_the_pair_named(index: Path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[:2, :2] = 1
    path = folder(index, 1) / "brain.nii.gz"
    save(path, mask, axes=ORIENTATIONS[1])
    for name in SEQUENCES:
        save(folder(index, 1) / f"{name}.nii.gz", scan(1, name) + 9, axes=ORIENTATIONS[1])
    failed(index, VolumeError, "P1_week-000_week-012", "no voxel in common")


def test_no_pair_and_no_table(index: Path, tmp_path: Path):
    write_tables(index, rating="")
    refused(index, ManifestError, "no pair")
    with pytest.raises(ManifestError, match=r"holds no sessions\.csv"):
        prepare_index(tmp_path / "nothing", tmp_path / "out", PrepareSettings())
    assert not (tmp_path / "out").exists()


def test_pairs_of_unknown_sessions_are_refused(index: Path):
    prepare(index)
    pairs = read_pairs(index.parent / "store" / "pairs.csv")
    pairs.loc[0, "prior_session"] = "week-099"
    sessions = read_sessions(index / "sessions.csv")
    segmentations = read_segmentations(index / "segmentations.csv")
    with pytest.raises(ManifestError, match="week-099"):
        prepare_cohort(sessions, segmentations, pairs, index.parent / "other")


def test_settings_that_make_no_sense():
    with pytest.raises(ConfigError, match="negative"):
        PrepareSettings(spacing_mm=-1)
    with pytest.raises(UnknownNameError, match="brain, healthy, paper, wm-peak"):
        PrepareSettings(normalisation="zscore")


# --- sessions of raw scans only


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


# --- doing it twice


def stamps(store: Store) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in session_files(store)}


def test_the_second_time_no_session_is_made_again(index: Path):
    first = stamps(prepare(index))
    assert len(first) == 2 * len(SESSIONS)
    tables = {path.name: path.read_bytes() for path in (index.parent / "store").glob("*.*")}
    assert stamps(prepare(index)) == first
    assert {p.name: p.read_bytes() for p in (index.parent / "store").glob("*.*")} == tables


@pytest.mark.parametrize("name", ["FLAIR", "labels"])
def test_a_changed_input_is_read_again_and_no_other(index: Path, name: str):
    before = stamps(prepare(index))
    if name == "FLAIR":
        save(folder(index, 1) / "FLAIR.nii.gz", 2 * scan(1, "FLAIR"), axes=ORIENTATIONS[1])
    else:
        save(folder(index, 1) / "labels.nii.gz", 0 * labels(1), axes=ORIENTATIONS[1])
    after = stamps(prepare(index))
    changed = {path.stem for path in before if before[path] != after[path]}
    assert {path.parent.name for path in before if before[path] != after[path]} == {"P1"}
    assert changed == {"week-012"}


def test_volumes_that_come_later_are_held_against_the_labels_too(index: Path):
    prepare(index)
    told = dict.fromkeys(("Enhancing_Core", "Necrotic_NonEnhancing", "Edema_Compartment"), 1e5)
    (folder(index, 1) / "measured_volumes_in_mm3.json").write_text(json.dumps(told))
    failed(index, LabelSchemeError, "not made together")


def test_another_scheme_of_the_same_file_is_seen(index: Path):
    for number in range(len(SESSIONS)):
        ones = (labels(number) == 1).astype(np.uint8)
        save(folder(index, number) / "labels.nii.gz", ones, axes=ORIENTATIONS[number])
    write_tables(index, scheme="binary")
    assert prepared(prepare(index), 0).segmentations["deepbratumia"][1] == "binary"
    write_tables(index, scheme="lumiere-hdglio")
    found = prepare(index)
    assert prepared(found, 0).segmentations["deepbratumia"][1] == "lumiere-hdglio"
    assert set(found.volumes["region"]) == {"enhancing", "whole"}


def test_columns_that_change_places_are_seen(index: Path):
    before = prepared(prepare(index), 0).sequences
    table = pd.read_csv(index / "sessions.csv", dtype=str, keep_default_na=False)
    table = table.rename(columns={"T1": "FLAIR", "FLAIR": "T1"})
    table.to_csv(index / "sessions.csv", index=False)
    after = prepared(prepare(index), 0).sequences
    np.testing.assert_array_equal(after["T1"], before["FLAIR"])


def test_a_file_cut_off_by_a_crash_is_made_again(index: Path):
    found = prepare(index)
    path = found.session_path(*SESSIONS[2])
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    prepare(index)
    assert path.read_bytes() == whole


def test_a_store_that_is_made_anew_and_fails_is_no_store(index: Path):
    prepare(index)
    broken(folder(index, 3) / "FLAIR.nii.gz", "nan")
    failed(index, VolumeError, "FLAIR", spacing=5.0)


def test_what_is_finished_stays_finished_when_another_file_breaks(index: Path):
    before = stamps(prepare(index))
    whole = (folder(index, 2) / "brain.nii.gz").read_bytes()
    broken(folder(index, 2) / "brain.nii.gz", "truncated")
    failed(index, VolumeError, "brain.nii.gz", "cut off")
    assert stamps(open_store(index.parent / "store")) == before
    (folder(index, 2) / "brain.nii.gz").write_bytes(whole)
    assert list(prepare(index).pairs["pair_id"]) == ["P1_week-000_week-012", "P2_week-000_week-009"]


def test_without_any_usable_pair_there_is_no_store(index: Path):
    for number in (0, 3):
        broken(folder(index, number) / "T1.nii.gz", "nan")
    refused(index, UnfinishedError, "nothing could be prepared", "1 voxels are NaN")


def test_processes_side_by_side_give_the_same_store(index: Path):
    """Two processes, one broken session among them."""
    broken(folder(index, 1) / "T1.nii.gz", "nan")
    for jobs in (1, 2):
        prepare_index(index, index.parent / str(jobs), PrepareSettings(), jobs=jobs)
    alone, beside = (
        {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.*"))}
        for root in (index.parent / "1", index.parent / "2")
    )
    assert alone == beside
    assert (index.parent / "2" / "store.json").is_file()


def test_jobs_are_no_negative_number(index: Path):
    with pytest.raises(ConfigError, match="-2"):
        prepare_index(index, index.parent / "store", PrepareSettings(), jobs=-2)


def test_a_store_moves_with_its_images(index: Path, tmp_path: Path):
    prepare(index)
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    try:
        moved = open_store(tmp_path.with_name("elsewhere") / "store")
        assert all(Path(path).is_file() for path in moved.sessions["T1"])
    finally:
        tmp_path.with_name("elsewhere").rename(tmp_path)


def test_unrated_sessions_are_paired_when_asked_for(index: Path):
    write_tables(index, rating=["", "", "", "SD"])
    found = prepare(index, unrated=True)
    assert list(found.pairs["response"]) == ["", "SD"]
    assert set(found.statistics["pairs"]) == set(found.pairs["pair_id"])
