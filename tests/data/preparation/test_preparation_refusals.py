"""Files, tables and settings that cannot be used: named, with what to do, and no store is left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from atlas_cohort import (
    AFFINE,
    ORIENTATIONS,
    SEQUENCES,
    SHAPE,
    brain,
    folder,
    labels,
    save,
    scan,
    write_session,
    write_tables,
)
from prepared_atlas import broken, failed, prepare, prepared, refused

from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare import prepare_cohort
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.tables import read_pairs, read_segmentations, read_sessions
from xrano.errors import (
    ConfigError,
    GridMismatchError,
    LabelSchemeError,
    ManifestError,
    UnfinishedError,
    UnknownNameError,
    VolumeError,
)


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


def test_without_any_usable_pair_there_is_no_store(index: Path):
    for number in (0, 3):
        broken(folder(index, number) / "T1.nii.gz", "nan")
    refused(index, UnfinishedError, "nothing could be prepared", "1 voxels are NaN")


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


def test_jobs_are_no_negative_number(index: Path):
    with pytest.raises(ConfigError, match="-2"):
        prepare_index(index, index.parent / "store", PrepareSettings(), jobs=-2)
