from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from moved_head import brain_points, head, moved
from nibabel.affines import apply_affine

from xrano.data.phantom.anatomy import BRAIN_CENTRE_MM, rigid, rotation
from xrano.data.registration.linear import LinearRegistration, register
from xrano.data.registration.motion import inverse, mean_displacement_mm
from xrano.errors import GridMismatchError, UnknownNameError, VolumeError
from xrano.geometry import Grid

TO_SCANNER = rigid(np.array([6.0, -5.0, 4.0]), np.array([8.0, -9.0, 7.0]))


def scanner_grid() -> Grid:
    """Oblique and anisotropic, its first two axes swapped and the third one reversed."""
    affine, shape = np.eye(4), np.array([38, 44, 36])
    swap = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    affine[:3, :3] = rotation(np.array([5.0, 8.0, -6.0])) @ swap @ np.diag([7.0, 5.0, 6.0])
    centre = apply_affine(TO_SCANNER, BRAIN_CENTRE_MM)
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(tuple(shape.tolist()), affine)


GRID = scanner_grid()


def find(**options) -> LinearRegistration:
    data = moved("T1", TO_SCANNER, GRID)
    return register(data, GRID, head().images["FLAIR"], head().grid, **options)


@lru_cache
def plain() -> LinearRegistration:
    return find()


def error_mm(matrix: np.ndarray) -> float:
    points = apply_affine(TO_SCANNER, brain_points())
    return mean_displacement_mm(matrix, points, inverse(TO_SCANNER))


def test_a_moved_head_of_another_sequence_is_found_within_a_tenth_of_a_voxel():
    found = plain()
    assert error_mm(np.eye(4)) > 10.0
    assert error_mm(found.matrix) < 0.6
    np.testing.assert_allclose(
        found.matrix[:3, :3] @ found.matrix[:3, :3].T, np.eye(3), rtol=0, atol=1e-5
    )
    assert found.after > 1.2 * found.before


def test_the_same_call_gives_the_same_bits_and_leaves_its_inputs_alone():
    data, fixed = moved("T1", TO_SCANNER, GRID), head().images["FLAIR"].copy()
    kept = data.copy()
    again = register(data, GRID, fixed, head().grid)
    np.testing.assert_array_equal(again.matrix, plain().matrix)
    np.testing.assert_array_equal(data, kept)
    np.testing.assert_array_equal(fixed, head().images["FLAIR"])
    assert not np.array_equal(again.matrix, find(seed=21).matrix)


def test_nothing_is_printed_and_no_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("ANTS_RANDOM_SEED", raising=False)
    find(kind="affine")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_an_affine_registration_finds_a_scaling():
    stretched = TO_SCANNER @ np.diag([1.06, 0.95, 1.04, 1.0])
    data = moved("T1", stretched, GRID)
    points = apply_affine(stretched, brain_points())
    fixed = (head().images["T1"], head().grid)
    affine = register(data, GRID, *fixed, kind="affine").matrix
    stiff = register(data, GRID, *fixed).matrix
    assert mean_displacement_mm(affine, points, inverse(stretched)) < 0.6
    assert mean_displacement_mm(stiff, points, inverse(stretched)) > 1.5
    assert np.linalg.det(affine[:3, :3]) == pytest.approx(1 / (1.06 * 0.95 * 1.04), rel=0.03)


def test_a_head_far_from_the_other_is_found_by_its_centre_of_mass():
    far = np.eye(4)
    far[:3, 3] = 300.0, -250.0, 400.0
    grid = Grid(GRID.shape, far @ GRID.affine)
    data = moved("T1", TO_SCANNER, GRID)
    found = register(data, grid, head().images["FLAIR"], head().grid)
    assert found.before == 0.0
    assert error_mm(found.matrix @ far) < 0.6


def test_a_start_that_is_given_is_used():
    start = inverse(TO_SCANNER)
    assert error_mm(find(initial=start).matrix) < 0.6
    astray = np.eye(4)
    astray[:3, 3] = 500.0
    with pytest.raises(VolumeError, match="no rigid transform"):
        find(initial=astray)


def test_what_lies_outside_the_masks_does_not_count():
    data = moved("T1", TO_SCANNER, GRID)
    brain = moved("T1", TO_SCANNER, GRID) > 0
    fixed = head().images["FLAIR"].copy()
    # A bright block beside the head, at different places of the two scans.
    data[~brain & (np.indices(GRID.shape)[0] < 8)] = 3 * data.max()
    fixed[~head().brain & (np.indices(fixed.shape)[1] > 30)] = 3 * fixed.max()
    found = register(
        data, GRID, fixed, head().grid, moving_mask=brain, fixed_mask=head().brain,
        initial=inverse(rigid(np.array([4.0, -3.0, 3.0]), np.array([6.0, -7.0, 5.0]))),
    )  # fmt: skip
    assert error_mm(found.matrix) < 1.0


def test_what_cannot_be_registered_is_refused():
    data, grid = head().images["T1"], head().grid
    with pytest.raises(UnknownNameError, match="kind 'rigd'"):
        register(data, grid, data, grid, kind="rigd")
    with pytest.raises(VolumeError, match="the fixed image is 7 everywhere"):
        register(data, grid, np.full_like(data, 7), grid)
    with pytest.raises(VolumeError, match="the moving image holds NaN"):
        register(np.full_like(data, np.nan), grid, data, grid)
    with pytest.raises(VolumeError, match="the fixed image's mask is empty"):
        register(data, grid, data, grid, fixed_mask=np.zeros(data.shape, bool))
    with pytest.raises(GridMismatchError, match="moving mask image has shape"):
        register(data, grid, data, grid, moving_mask=head().brain[1:])
