import numpy as np
import pytest
import torch
from small_store import GRID, SEQUENCES, session, write_small_store

from xrano.data.store import session_path, write_prepared
from xrano.errors import SplitError, VolumeError
from xrano.training.pretraining.rotation import (
    TURNS,
    SingleScan,
    TurnedScans,
    as_cube,
    rotation_task,
    single_scans,
    turned,
)

PATIENTS = tuple(f"P{number:02d}" for number in range(6))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store"), patients=6, visits=2)


def by_hand(cube, turn):
    """The six turns written as index arithmetic, voxel by voxel."""
    side = len(cube)
    found = np.empty_like(cube)
    for i, j, k in np.ndindex(cube.shape):
        last = side - 1
        goes_to = {
            0: (i, j, k),
            1: (i, last - k, j),
            2: (i, last - j, last - k),
            3: (i, k, last - j),
            4: (last - k, j, i),
            5: (k, j, last - i),
        }[turn]
        found[goes_to] = cube[i, j, k]
    return found


@pytest.mark.parametrize("turn", range(6))
def test_a_turn_is_the_rotation_of_its_class(turn):
    cube = np.random.default_rng(0).normal(size=(5, 5, 5)).astype(np.float32)
    before = cube.copy()
    assert np.array_equal(turned(cube, turn), by_hand(cube, turn))
    assert np.array_equal(cube, before)


def test_the_turns_bring_the_top_to_six_sides_and_mirror_nothing():
    tops = set()
    for turn in range(len(TURNS)):
        corners = np.zeros((3, 3, 3), dtype=np.float32)
        corners[2, 1, 1], corners[1, 2, 1], corners[1, 1, 2] = 1, 2, 3
        at = [np.argwhere(turned(corners, turn) == value)[0] - 1 for value in (1, 2, 3)]
        assert round(np.linalg.det(np.array(at))) == 1
        tops.add(tuple(int(step) for step in at[2]))
    assert len(tops) == 6


def test_a_grid_of_equal_edges_is_filled_with_zeros_and_nothing_else():
    volume = np.random.default_rng(0).normal(size=(4, 7, 5)).astype(np.float32)
    cube = as_cube(volume, (2.0, 2.0, 2.0))
    assert cube.shape == (7, 7, 7)
    assert np.array_equal(cube[1:5, :, 1:6], volume)
    assert np.count_nonzero(cube) == volume.size


def test_a_ball_in_the_world_is_a_ball_on_the_cube_of_an_anisotropic_grid():
    shape, spacing = (40, 20, 10), (1.0, 2.0, 4.0)
    centre = (np.array(shape) - 1) / 2
    offsets = (np.stack(np.indices(shape), axis=-1) - centre) * spacing
    ball = np.exp(-(offsets**2).sum(axis=-1) / 60).astype(np.float32)
    cube = as_cube(ball, spacing)
    assert cube.shape == (20, 20, 20)  # edges of 2 mm
    places = np.stack(np.indices(cube.shape), axis=-1) - (np.array(cube.shape) - 1) / 2
    spread = [(cube * places[..., axis] ** 2).sum() / cube.sum() for axis in range(3)]
    # 30 mm² are 7.5 voxels²; interpolating between h apart at a share t adds t (1 − t) h².
    np.testing.assert_allclose(spread, [7.5 + 0.0625, 7.5, 7.5 + 0.75], atol=0.05)
    for turn in range(6):
        assert np.abs(turned(cube, turn) - cube).max() < 0.12


def test_labels_match_the_rotation_on_a_non_cubic_anisotropic_store(store):
    assert len(set(store.grid.shape)) == 3
    assert len(set(np.round(store.grid.spacing, 3))) == 3
    scans = single_scans(store, SEQUENCES, PATIENTS, ())
    dataset = TurnedScans(store, scans, seed=5)
    seen = []
    for row, scan in enumerate(scans):
        image, turn = dataset[row]
        prepared = session(
            int(scan.patient_id[1:]), ("week-000", "week-012").index(scan.session_id)
        )
        values = prepared.sequences[scan.sequence].astype(np.float64)
        inside = values[prepared.brain]
        wanted = np.where(prepared.brain, (values - inside.mean()) / inside.std(), 0.0)
        cube = as_cube(wanted.astype(np.float32), GRID.spacing)
        assert image.shape == (1, *cube.shape)
        assert image.dtype == torch.float32
        np.testing.assert_allclose(image[0].numpy(), by_hand(cube, turn), atol=2e-3)
        for other in set(range(6)) - {turn}:
            assert np.abs(image[0].numpy() - by_hand(cube, other)).max() > 0.5
        seen.append(turn)
    # 6 patients, 2 visits, 2 sequences: each turn as often as the others.
    assert np.bincount(seen).tolist() == [4] * 6


def test_turns_change_with_the_epoch_and_come_back_with_it(store):
    dataset = TurnedScans(store, single_scans(store, SEQUENCES, PATIENTS, ()), seed=5)
    first = [dataset[row][1] for row in range(len(dataset))]
    dataset.set_epoch(1)
    second = [dataset[row][1] for row in range(len(dataset))]
    assert first != second
    dataset.set_epoch(0)
    assert first == [dataset[row][1] for row in range(len(dataset))]


def test_rated_and_unrated_sessions_of_the_training_patients_are_seen(store):
    rating = dict(zip(store.sessions["session_id"], store.sessions["rating"], strict=False))
    assert "" in rating.values()
    scans = single_scans(store, ("FLAIR",), ("P01", "P03"), ("P02",))
    assert scans == tuple(
        SingleScan(patient, week, "FLAIR")
        for patient in ("P01", "P03")
        for week in ("week-000", "week-012")
    )


def test_a_held_out_patient_is_refused_by_name(store):
    with pytest.raises(SplitError, match=r"1 patients who are held out \(P02\)"):
        single_scans(store, SEQUENCES, ("P01", "P02"), ("P02", "P04"))


def test_no_scan_is_an_error(store):
    with pytest.raises(SplitError, match="no scan of T1 of 0 training patients"):
        single_scans(store, ("T1",), (), ("P02",))
    with pytest.raises(SplitError, match="no scan of ADC of 1 training"):
        single_scans(store, ("ADC",), ("P01",), ())


def test_a_session_that_failed_in_preparation_is_passed_over(tmp_path):
    store = write_small_store(tmp_path, patients=2, visits=2)
    session_path(tmp_path, "P00", "week-012").unlink()
    scans = single_scans(store, ("T1",), ("P00", "P01"), ())
    assert [(scan.patient_id, scan.session_id) for scan in scans] == [
        ("P00", "week-000"),
        ("P01", "week-000"),
        ("P01", "week-012"),
    ]


def test_a_scan_without_contrast_is_an_error_naming_its_file(tmp_path):
    flat = {name: np.ones(GRID.shape, dtype=np.float16) for name in SEQUENCES}
    store = write_small_store(tmp_path, patients=2, visits=2)
    path = session_path(tmp_path, "P01", "week-000")
    write_prepared(path, session(1, 0, sequences=flat), GRID)
    dataset = TurnedScans(store, [SingleScan("P01", "week-000", "T1")], seed=0)
    with pytest.raises(VolumeError, match=rf"{path}: T1 does not vary"):
        dataset[0]


def test_a_fifth_of_the_patients_measures_and_no_patient_does_both(store):
    scans = single_scans(store, SEQUENCES, PATIENTS, ())
    task = rotation_task(store, scans, seed=3)
    training, measured = (
        {scan.patient_id for scan in part._scans} for part in (task.training, task.held_out)
    )
    assert (len(training), len(measured)) == (5, 1)
    assert training | measured == set(PATIENTS)
    assert len(task.training) + len(task.held_out) == len(scans)


def test_one_patient_has_nothing_to_measure_on(store):
    task = rotation_task(store, single_scans(store, SEQUENCES, ("P01",), ()), seed=3)
    assert task.held_out is None
    assert len(task.training) == 4
