from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_store import GRID, session, write_checksums, write_small_store

from xrano.cli.check_command import run
from xrano.data.quality.store_check import check_store
from xrano.data.store import Store, open_store, write_prepared
from xrano.errors import ManifestError
from xrano.geometry import Grid


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_small_store(tmp_path / "store", patients=2)


def only_fault(store: Store):
    found = check_store(store.root)
    (fault,) = found.faults
    assert str(fault) in found.describe()
    with pytest.raises(ManifestError, match=r"not whole: 1 faults in 1 files; run xrano prepare"):
        found.require_whole()
    return fault


def test_a_whole_store_has_no_fault_and_its_numbers_are_true(store: Store):
    found = check_store(store.root)
    assert found.faults == ()
    assert found.notes == ()
    assert (found.sessions, found.pairs) == (6, 4)
    files = sorted((store.root / "sessions").rglob("*.safetensors"))
    assert sum(found.sizes) == sum(path.stat().st_size for path in files)
    assert len(found.read_seconds) == 4
    assert all(0 < seconds < 5 for seconds in found.read_seconds)
    # Two float16 images, brain and segmentation: at least six bytes a voxel.
    assert min(found.sizes) > 6 * math.prod(GRID.shape)
    said = run(store.root).text
    assert "6 sessions, 4 pairs" in said
    assert f"{sum(found.sizes) / 6 / 1e6:.1f} MB a session" in said
    assert "ms to read a pair (median of 4" in said
    assert "nothing is missing or broken" in said


def test_only_as_many_pairs_are_timed_as_asked_for(store: Store):
    assert len(check_store(store.root, timed_pairs=2).read_seconds) == 2
    assert check_store(store.root, timed_pairs=0).read_seconds == ()


def test_one_changed_byte_is_found_and_the_command_fails(store: Store):
    path = store.session_path("P00", "week-012")
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(bytes(content))
    fault = only_fault(store)
    assert fault.path == path
    assert "content has changed" in fault.cause
    assert "prepare again" in fault.remedy
    answer = run(store.root)
    assert f"broken: {path}" in answer.text
    with pytest.raises(ManifestError, match="not whole"):
        answer.require()


def test_a_missing_file_is_named_once_with_what_to_do(store: Store):
    path = store.session_path("P01", "week-030")
    path.unlink()
    fault = only_fault(store)
    assert (fault.path, fault.cause) == (path, "the file is missing")
    assert "prepare again" in fault.remedy


@pytest.mark.parametrize("size", [0, 60, -9])
def test_a_file_that_is_cut_off_is_told_from_one_that_was_exchanged(store: Store, size: int):
    path = store.session_path("P00", "week-000")
    path.write_bytes(path.read_bytes()[:size])
    assert "cannot be opened" in only_fault(store).cause


def replace_session(store: Store, grid: Grid = GRID, **changes: object) -> None:
    write_prepared(store.session_path("P00", "week-012"), session(0, 1, **changes), grid)
    write_checksums(store.root)


def test_another_session_in_the_place_of_one_is_found(store: Store):
    replace_session(store, patient_id="P07")
    assert only_fault(store).cause == "it holds P07 week-012"


def test_a_sequence_that_the_table_lists_must_be_there(store: Store):
    images = session(0, 1).sequences
    replace_session(store, sequences={"T1": images["T1"]})
    assert only_fault(store).cause.startswith("it lacks the sequences FLAIR")


def test_an_array_of_another_shape_is_found(store: Store):
    wrong = np.zeros((3, 4, 5), dtype=bool)
    replace_session(store, brain=wrong)
    assert "brain is U8 of shape (3, 4, 5)" in only_fault(store).cause


def test_images_of_another_type_are_found(store: Store):
    images = {name: image.astype(np.float32) for name, image in session(0, 1).sequences.items()}
    replace_session(store, sequences=images)
    assert "is F32 of shape" in only_fault(store).cause


def test_a_session_on_another_grid_is_found(store: Store):
    affine = GRID.affine.copy()
    affine[0, 3] += 2.0
    replace_session(store, Grid(GRID.shape, affine))
    assert "not that of the store" in only_fault(store).cause


def test_a_file_without_a_checksum_is_of_no_store(store: Store):
    listed = json.loads((store.root / "checksums.json").read_text())
    del listed["sessions/P00/week-000.safetensors"]
    (store.root / "checksums.json").write_text(json.dumps(listed))
    assert "does not list it" in only_fault(store).cause


def test_a_listed_file_of_no_session_must_be_there_too(store: Store):
    listed = json.loads((store.root / "checksums.json").read_text())
    listed["sessions/P09/week-000.safetensors"] = "0" * 64
    (store.root / "checksums.json").write_text(json.dumps(listed))
    fault = only_fault(store)
    assert fault.path == store.root / "sessions/P09/week-000.safetensors"


def test_a_store_without_checksums_is_told_to_be_prepared_again(store: Store):
    (store.root / "checksums.json").unlink()
    found = check_store(store.root)
    assert found.faults == ()
    (note,) = found.notes
    assert "no checksums.json" in note
    assert "prepare again" in note
    store.session_path("P00", "week-000").write_bytes(b"broken")
    assert "cannot be opened" in only_fault(store).cause


def test_broken_checksums_are_named(store: Store):
    (store.root / "checksums.json").write_text("[")
    with pytest.raises(ManifestError, match=r"checksums\.json cannot be read"):
        check_store(store.root)


def test_a_pair_needs_its_sessions_and_its_statistics(store: Store):
    pairs = pd.read_csv(store.root / "pairs.csv")
    pairs.loc[0, "prior_session"] = "week-404"
    pairs.to_csv(store.root / "pairs.csv", index=False)
    fault = only_fault(store)
    assert fault.path == store.root / "pairs.csv"
    assert "names P00 week-404, which sessions.csv lacks" in fault.cause


@pytest.mark.parametrize("change", ["pair", "sequence", "spread"])
def test_statistics_that_are_missing_or_useless_are_found(store: Store, change: str):
    statistics = json.loads((store.root / "statistics.json").read_text())
    one = next(iter(statistics["pairs"]))
    if change == "pair":
        del statistics["pairs"][one]
    elif change == "sequence":
        del statistics["pairs"][one]["current"]["T1"]
    else:
        statistics["pairs"][one]["current"]["T1"][1] = 0.0
    (store.root / "statistics.json").write_text(json.dumps(statistics))
    fault = only_fault(store)
    assert fault.path == store.root / "statistics.json"
    assert one in fault.cause


def test_files_of_no_session_are_mentioned_but_break_nothing(store: Store):
    write_prepared(store.session_path("P55", "week-000"), session(5, 0), GRID)
    found = check_store(store.root)
    assert found.faults == ()
    assert "1 session files belong to no session" in found.notes[0]


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path):
    with pytest.raises(ManifestError, match=r"no store\.json"):
        check_store(tmp_path)


def test_checking_loads_no_pickle(store: Store, monkeypatch):
    import pickle

    def refuse(*_arguments, **_options):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    assert check_store(open_store(store.root).root).faults == ()
