"""Prepared twice, after a change or a crash, by several processes, and moved elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from atlas_cohort import ORIENTATIONS, SESSIONS, folder, labels, save, scan, write_tables
from prepared_atlas import broken, failed, prepare, prepared, stamps

from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import open_store
from xrano.errors import LabelSchemeError, VolumeError


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


def test_a_store_moves_with_its_images(index: Path, tmp_path: Path):
    prepare(index)
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    try:
        moved = open_store(tmp_path.with_name("elsewhere") / "store")
        assert all(Path(path).is_file() for path in moved.sessions["T1"])
    finally:
        tmp_path.with_name("elsewhere").rename(tmp_path)
