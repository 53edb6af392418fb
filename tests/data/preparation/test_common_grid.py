"""The grid of all sessions against brute force: every brain whole, with a rim of one voxel."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from atlas_cohort import AFFINE, SEQUENCES, SESSIONS, SHAPE, brain, folder, save
from prepared_atlas import prepare, prepared

from xrano.data.preparation.common_grid import brain_extent, cropped_to, respaced
from xrano.data.preparation.placed_session import read_brain, same_world
from xrano.data.store import Store
from xrano.data.tables import read_sessions
from xrano.geometry import Grid


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
