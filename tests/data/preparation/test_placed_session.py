"""Native sessions with matrices made by hand: where scans, masks and labels come to lie.

Scans are ramps in the common world, which trilinear interpolation keeps exactly; masks and labels
are held against the nearest voxel by brute force.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xrano.data.phantom.anatomy import rigid, rotation
from xrano.data.preparation.placed_session import read_brain, read_session, same_world
from xrano.data.preparation.prepare_session import prepare_session
from xrano.errors import GridMismatchError, ManifestError, VolumeError, XranoWarning
from xrano.geometry import Grid

NAMES = ("T1", "FLAIR", "T2")
TO_COMMON = {
    "T1": rigid(np.array([14.0, -8.0, 25.0]), np.array([30.0, -12.0, 8.0])),
    "FLAIR": rigid(np.array([-5.0, 11.0, -31.0]), np.array([-25.0, 40.0, -16.0])),
    "T2": np.diag([1.08, 0.95, 1.02, 1.0]) @ rigid(np.array([3.0, 2.0, 70.0]), np.zeros(3)),
}
SPACINGS = {"T1": (-1.4, 1.3, 3.1), "FLAIR": (1.3, -2.0, 4.0), "T2": (1.6, 1.5, -2.2)}
TILTS = {"T1": (7.0, -12.0, 19.0), "FLAIR": (-9.0, 4.0, 33.0), "T2": (0.0, 15.0, -8.0)}
CENTRE = np.array([4.0, -6.0, 9.0])


def grid_about(centre: np.ndarray, spacing: tuple[float, ...], tilt: tuple[float, ...]) -> Grid:
    """An oblique grid about a point that reaches some 30 mm each way."""
    shape = tuple(int(np.ceil(60 / abs(edge))) + step for step, edge in enumerate(spacing))
    affine = np.eye(4)
    affine[:3, :3] = rotation(np.array(tilt)) @ np.diag(spacing)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


# As a file keeps it, in float32; each in the world of its own scanner.
NATIVE = {
    name: grid_about(
        nib.affines.apply_affine(np.linalg.inv(TO_COMMON[name]), CENTRE),
        SPACINGS[name],
        TILTS[name],
    )
    for name in NAMES
}
NATIVE = {name: Grid(grid.shape, np.float32(grid.affine)) for name, grid in NATIVE.items()}
STORE = grid_about(CENTRE, (1.0, 1.2, 0.9), (0.0, 0.0, 0.0)).crop((14, 12, 20), (30, 24, 29))


def common_places(grid: Grid, matrix: np.ndarray) -> np.ndarray:
    """Where the voxels of a native grid lie in the common world, (i, j, k, 3) mm."""
    index = np.stack(np.indices(grid.shape), axis=-1)
    return nib.affines.apply_affine(matrix @ grid.affine, index)


def ramp(places: np.ndarray) -> np.ndarray:
    return 200 + (places - CENTRE) @ np.array([1.1, -0.7, 0.4])


def ball(places: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    return np.linalg.norm(places - centre, axis=-1) <= radius


def nearest(values: np.ndarray, affine: np.ndarray, target: Grid) -> np.ndarray:
    """By brute force: the source voxel whose centre is nearest, 0 outside."""
    found = np.zeros(target.shape, values.dtype)
    to_source = np.linalg.inv(affine)
    for index in np.ndindex(*target.shape):
        at = np.rint(nib.affines.apply_affine(to_source, target.world(index))).astype(int)
        if (at >= 0).all() and (at < values.shape).all():
            found[index] = values[tuple(at)]
    return found


def save(path: Path, data: np.ndarray, grid: Grid, axes: str = "") -> str:
    image = nib.Nifti1Image(data, grid.affine)
    if axes:
        turn = nib.orientations.ornt_transform(
            nib.orientations.io_orientation(grid.affine),
            nib.orientations.axcodes2ornt(tuple(axes)),
        )
        image = image.as_reoriented(turn)
    nib.save(image, path)
    return str(path)


def brain_on(grid: Grid, matrix: np.ndarray) -> np.ndarray:
    return ball(common_places(grid, matrix), np.add(CENTRE, [1.0, -2.0, 0.5]), 11.0).astype(
        np.uint8
    )


@pytest.fixture
def row(tmp_path: Path) -> dict[str, str]:
    """A native session: three ramps, and a brain mask on the grid of FLAIR."""
    found = {"patient_id": "P1", "session_id": "week-000", "space": "native"}
    for name, grid in NATIVE.items():
        data = ramp(common_places(grid, TO_COMMON[name])).astype(np.float32)
        found[name] = save(tmp_path / f"{name}.nii.gz", data, grid)
    mask = brain_on(NATIVE["FLAIR"], TO_COMMON["FLAIR"])
    found["brain_mask"] = save(tmp_path / "brain.nii.gz", mask, NATIVE["FLAIR"])
    return found


def prepared(row, items=(), names=NAMES, grid=STORE, to_common=TO_COMMON):
    return prepare_session(row, items, names, grid, to_common=to_common)


def item_of(path: str, **more: str) -> dict[str, str]:
    return {"source": "hand", "scheme": "lumiere-deepbratumia", "path": path, **more}


# --- where things come to lie


def test_every_sequence_lies_where_its_matrix_puts_it(row):
    session, _ = prepared(row)
    expected = ramp(STORE.world(np.stack(np.indices(STORE.shape), axis=-1)))
    assert set(session.sequences) == set(NAMES)
    for name, values in session.sequences.items():
        found = values.astype(float) * session.scale[name]
        np.testing.assert_allclose(found, expected, rtol=1e-3)
        assert session.sources[name]["to_common"] == TO_COMMON[name].tolist()
        assert session.sources[name]["affine"] == NATIVE[name].affine.tolist()


@pytest.mark.parametrize("axes", ["", "LIP", "SRA"])
def test_a_mask_lies_with_the_scan_whose_grid_it_shares_whatever_its_axes(row, tmp_path, axes):
    mask = brain_on(NATIVE["FLAIR"], TO_COMMON["FLAIR"])
    row["brain_mask"] = save(tmp_path / "turned.nii.gz", mask, NATIVE["FLAIR"], axes)
    session, _ = prepared(row)
    expected = nearest(mask, TO_COMMON["FLAIR"] @ NATIVE["FLAIR"].affine, STORE)
    np.testing.assert_array_equal(session.brain, expected > 0)
    assert 1000 < expected.sum() < expected.size / 2


@pytest.mark.parametrize("sequence", NAMES)
@pytest.mark.parametrize("axes", ["", "PIR"])
def test_labels_lie_with_the_scan_whose_grid_they_share(row, tmp_path, sequence: str, axes: str):
    grid, matrix = NATIVE[sequence], TO_COMMON[sequence]
    places = common_places(grid, matrix)
    labels = 3 * ball(places, np.add(CENTRE, [-4, 3, 2]), 6.0).astype(np.uint8)
    labels[ball(places, np.add(CENTRE, [-5, 4, 2]), 3.0)] = 1
    path = save(tmp_path / "labels.nii.gz", labels, grid, axes)
    session, volumes = prepared(row, [item_of(path)])
    found, scheme = session.segmentations["hand"]
    np.testing.assert_array_equal(found, nearest(labels, matrix @ grid.affine, STORE))
    assert scheme == "lumiere-deepbratumia"
    assert {1, 3} <= set(np.unique(found))
    ml = {row["region"]: row["ml"] for row in volumes}
    voxel = np.prod(np.abs(SPACINGS[sequence])) / 1000
    assert ml["enhancing"] == pytest.approx((labels == 1).sum() * voxel, rel=1e-5)
    assert ml["whole"] == pytest.approx((labels > 0).sum() * voxel, rel=1e-5)


@pytest.mark.parametrize("sequence", NAMES)
def test_the_tables_say_with_whom_a_mask_on_a_grid_of_its_own_lies(row, tmp_path, sequence: str):
    i, j, k = NATIVE[sequence].shape
    own = NATIVE[sequence].crop((4, 5, 1), (i - 6, j - 8, k - 3))
    values = brain_on(own, TO_COMMON[sequence])
    path = save(tmp_path / "own.nii.gz", values, own)
    row |= {"brain_mask": path, "brain_mask_sequence": sequence}
    session, _ = prepared(row, [item_of(path, sequence=sequence)])
    expected = nearest(values, TO_COMMON[sequence] @ own.affine, STORE)
    np.testing.assert_array_equal(session.brain, expected > 0)
    np.testing.assert_array_equal(session.segmentations["hand"][0], expected)
    assert expected.sum() > 1000


def test_what_the_table_says_goes_before_a_shared_grid(row):
    """Two scans of one protocol share a grid, and the head moved between them."""
    row["brain_mask_sequence"] = "T1"
    found, grid = read_brain(row, NAMES, TO_COMMON)
    x, y, z = grid.world(np.argwhere(found)).mean(axis=0)
    there = NATIVE["FLAIR"].world(np.argwhere(brain_on(NATIVE["FLAIR"], TO_COMMON["FLAIR"])))
    expected = nib.affines.apply_affine(TO_COMMON["T1"], there.mean(axis=0))
    np.testing.assert_allclose((x, y, z), expected, atol=1e-3)


def test_without_a_mask_the_brain_is_what_the_first_scan_shows(row, tmp_path):
    shown = brain_on(NATIVE["T1"], TO_COMMON["T1"])
    row["T1"] = save(tmp_path / "strip.nii.gz", np.float32(200) * shown, NATIVE["T1"])
    row["brain_mask"] = ""
    session, _ = prepared(row)
    expected = nearest(shown, TO_COMMON["T1"] @ NATIVE["T1"].affine, STORE)
    np.testing.assert_array_equal(session.brain, expected > 0)


def test_in_one_world_files_of_other_axes_are_joined_and_other_worlds_refused(row, tmp_path):
    matrix = dict.fromkeys(NAMES, TO_COMMON["T1"])
    grid = NATIVE["T1"]
    data = ramp(common_places(grid, TO_COMMON["T1"])).astype(np.float32)
    row |= {"space": "session", "brain_mask_sequence": ""}
    for name, axes in (("FLAIR", "SPL"), ("T2", "AIR")):
        row[name] = save(tmp_path / f"{name}.nii", data, grid, axes)
    row["brain_mask"] = save(tmp_path / "b.nii", brain_on(grid, TO_COMMON["T1"]), grid, "IRP")
    session, _ = prepared(row, to_common=matrix)
    for name in NAMES:
        np.testing.assert_array_equal(session.sequences[name], session.sequences["T1"])
    expected = nearest(brain_on(grid, TO_COMMON["T1"]), TO_COMMON["T1"] @ grid.affine, STORE)
    np.testing.assert_array_equal(session.brain, expected > 0)
    shifted = grid.affine.copy()
    shifted[2, 3] += 1.0
    row["T2"] = save(tmp_path / "T2.nii", data, Grid(grid.shape, shifted))
    with pytest.raises(GridMismatchError, match=r"T2\.nii and .*T1\.nii"):
        prepared(row, to_common=matrix)


# --- no interpolation where none is needed


@pytest.mark.parametrize("axes", ["RAS", "LPI", "PIR"])
def test_a_scan_a_quarter_turn_and_whole_voxels_away_keeps_every_value(tmp_path, axes: str):
    """Native world to common: a quarter turn about z, and whole voxels along each axis."""
    matrix = np.array([[0.0, -1, 0, 6], [1, 0, 0, -10], [0, 0, 1, 9], [0, 0, 0, 1]])
    native = Grid((9, 7, 8), np.array([[2.5, 0, 0, 5], [0, 2, 0, -8], [0, 0, 3, 0], [0, 0, 0, 1]]))
    values = np.random.default_rng(1).integers(1, 1000, native.shape).astype(np.int16)
    values[0] = 0
    row = {"patient_id": "P", "session_id": "s", "space": "native", "brain_mask": ""}
    row["T1"] = save(tmp_path / "T1.nii", values, native, axes)
    row["brain_mask"] = save(tmp_path / "b.nii", (values > 0).astype(np.uint8), native, axes)
    affine = np.diag([2.0, 2.5, 3.0, 1.0])
    affine[:3, 3] = 0.0, -7.5, 9.0
    store = Grid((8, 10, 7), affine)
    session, _ = prepared(row, names=("T1",), grid=store, to_common={"T1": matrix})
    kept = nearest(values, matrix @ native.affine, store)
    scale = np.percentile(np.abs(kept[kept > 0]).astype(np.float32), 99.9)
    assert session.scale["T1"] == pytest.approx(scale)
    expected = (kept.astype(np.float32) / session.scale["T1"]).astype(np.float16)
    np.testing.assert_array_equal(session.sequences["T1"], expected)
    assert np.count_nonzero(kept) > 300


# --- intensities and masks as tools leave them


def test_negative_int16_intensities_stay_negative(row, tmp_path):
    data = ramp(common_places(NATIVE["T1"], TO_COMMON["T1"]))
    row["T1"] = save(tmp_path / "T1.nii", np.rint(10 * (data - 200)).astype(np.int16), NATIVE["T1"])
    session, _ = prepared(row)
    expected = 10 * (ramp(STORE.world(np.stack(np.indices(STORE.shape), axis=-1))) - 200)
    found = session.sequences["T1"].astype(float) * session.scale["T1"]
    np.testing.assert_allclose(found, expected, atol=0.7)
    assert found.min() < -100 < 100 < found.max()


def test_a_saturated_scan_is_used_and_remarked(row, tmp_path):
    data = ramp(common_places(NATIVE["T1"], TO_COMMON["T1"]))
    clipped = np.minimum(150 * data, 32767).astype(np.int16)
    row["T1"] = save(tmp_path / "T1.nii", clipped, NATIVE["T1"])
    with pytest.warns(XranoWarning, match=r"T1\.nii: .* sit at 32767.*clipped"):
        session, _ = prepared(row)
    assert session.sequences["T1"].max() * session.scale["T1"] == pytest.approx(32767, rel=1e-3)


def test_float_masks_a_hair_below_one_are_masks(row, tmp_path):
    mask = brain_on(NATIVE["FLAIR"], TO_COMMON["FLAIR"])
    usual, _ = prepared(row)
    path = save(tmp_path / "float.nii", mask * np.float32(0.99999997), NATIVE["FLAIR"])
    session, _ = prepared({**row, "brain_mask": path}, [item_of(path)])
    np.testing.assert_array_equal(session.brain, usual.brain)
    np.testing.assert_array_equal(session.segmentations["hand"][0] == 1, usual.brain)


# --- refusals


@pytest.mark.parametrize("which", ["brain_mask", "labels"])
def test_a_mask_that_shares_no_grid_is_refused_with_the_column_to_fill_in(row, tmp_path, which):
    grid = NATIVE["T1"].crop((0, 0, 0), (20, 20, 10))
    path = save(tmp_path / "elsewhere.nii", np.ones(grid.shape, np.uint8), grid)
    items = [item_of(path)] if which == "labels" else []
    if which == "brain_mask":
        row["brain_mask"] = path
    column = {"brain_mask": "brain_mask_sequence", "labels": "sequence"}[which]
    with pytest.raises(ManifestError) as caught:
        prepared(row, items)
    for words in (path, "T1, FLAIR, T2", f"in the column {column}"):
        assert words in str(caught.value)


@pytest.mark.parametrize("named", ["ADC", "T2"])
def test_a_mask_of_a_sequence_that_the_session_lacks_is_refused(row, named: str):
    row |= {"brain_mask_sequence": named, "T2": ""}
    with pytest.raises(ManifestError, match=f"world of {named} .brain_mask_sequence.*T1, FLAIR$"):
        prepared(row)
    row["brain_mask_sequence"] = ""
    item = item_of(row["brain_mask"], sequence=named)
    with pytest.raises(ManifestError, match=f"world of {named} .sequence.*T1, FLAIR$"):
        prepared(row, [item])


def test_a_skull_without_a_mask_is_refused_with_the_ways_out(row):
    row["brain_mask"] = ""
    with pytest.raises(VolumeError) as caught:
        prepared(row)
    for words in (row["T1"], "skull has not been removed", "brain_mask", "SynthStrip", "100%"):
        assert words in str(caught.value)


def test_a_session_without_scans_is_refused(row):
    row |= dict.fromkeys(NAMES, "")
    with pytest.raises(VolumeError, match="P1 week-000 has no image of T1, FLAIR, T2"):
        read_session(row, NAMES, same_world(NAMES))
    with pytest.raises(ManifestError, match="P1 week-000 has no image"):
        read_brain(row, NAMES, same_world(NAMES))


def test_good_files_cause_no_remark(row):
    with warnings.catch_warnings():
        warnings.simplefilter("error", XranoWarning)
        prepared(row)
