"""Priors of grey and white matter on grids of one world, and whether a store lies in it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xrano.data.phantom.anatomy import atlas_grid
from xrano.data.store import Store
from xrano.data.tissue_priors import (
    GREY,
    LEAST_OVERLAP,
    WHITE,
    priors_where_brains_agree,
    store_priors,
    tissue_priors,
)
from xrano.geometry import Grid

GRID = atlas_grid(6.0)  # i runs to the patient's left


def turned(degrees: float) -> Grid:
    """An oblique grid of uneven voxels around the brain's middle."""
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([5.0, 4.0, 6.0])
    shape = (40, 52, 32)
    affine[:3, 3] = (0, -18, 8) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def value_at(grid: Grid, volume: np.ndarray, world: tuple[float, float, float]) -> float:
    return float(volume[tuple(np.rint(grid.voxel(world)).astype(int))])


@pytest.mark.parametrize("grid", [GRID, turned(17.0), atlas_grid(4.0)])
def test_tissue_lies_where_anatomy_says_on_any_grid(grid: Grid):
    priors = tissue_priors(grid)
    for side in (-1, 1):
        # Centrum semiovale; head of the caudate and thalamus; beside the head.
        assert value_at(grid, priors.tissues[WHITE], (side * 26, -20, 34)) > 0.8
        assert value_at(grid, priors.tissues[GREY], (side * 12, -18, 8)) > 0.5
        assert value_at(grid, priors.brain.astype(float), (side * 88, -18, 8)) == 0
    for tissue in priors.tissues.values():
        assert tissue.shape == grid.shape
        assert tissue.min() >= 0
        assert tissue.max() <= 1
        # Away from the brain there is nothing.
        assert tissue[0].max() < 0.01
    # About as much of each as the template has (1.02 l of grey, 0.64 l of white matter).
    assert priors.tissues[GREY].sum() * grid.voxel_ml == pytest.approx(1020, rel=0.1)
    assert priors.tissues[WHITE].sum() * grid.voxel_ml == pytest.approx(640, rel=0.1)
    assert priors.brain.sum() * grid.voxel_ml == pytest.approx(1883, rel=0.02)


def test_priors_of_one_grid_are_made_once():
    same = Grid(GRID.shape, GRID.affine.copy())
    assert tissue_priors(same) is tissue_priors(GRID)
    assert tissue_priors(same).grid.matches(GRID)


def test_brains_elsewhere_have_no_priors():
    brain = tissue_priors(GRID).brain
    smaller = brain.copy()
    smaller[:, :, 14:] = False
    assert priors_where_brains_agree(GRID, [brain, smaller]) is tissue_priors(GRID)
    # 12 mm to the side: two voxels.
    moved = np.roll(brain, 2, axis=0)
    assert tissue_priors(GRID).overlap(moved) < LEAST_OVERLAP
    assert priors_where_brains_agree(GRID, [brain, moved, moved]) is None
    assert priors_where_brains_agree(GRID, [brain, brain, moved]) is not None
    assert priors_where_brains_agree(GRID, [np.zeros_like(brain)]) is None
    assert priors_where_brains_agree(GRID, []) is None


def test_a_store_in_the_atlas_has_priors_and_one_whose_world_is_another_has_none(
    phantom_store: Store, monkeypatch: pytest.MonkeyPatch
):
    assert store_priors(phantom_store) is tissue_priors(phantom_store.grid)
    # The same voxels in a world like that of BraTS's SRI24: the corner is the origin.
    affine = phantom_store.grid.affine.copy()
    affine[:3, 3] = (-240, 0, 0)
    elsewhere = dataclasses.replace(phantom_store, grid=Grid(phantom_store.grid.shape, affine))
    assert store_priors(elsewhere) is None
    native = phantom_store.sessions.assign(space="native")
    monkeypatch.setattr(Store, "sessions", native)
    assert store_priors(phantom_store) is not None
    # Without a template every patient stays where the first scan lay.
    settings = {**phantom_store.settings, "template": "none"}
    assert store_priors(dataclasses.replace(phantom_store, settings=settings)) is None
    monkeypatch.setattr(Store, "sessions", native[:0])
    assert store_priors(phantom_store) is None
