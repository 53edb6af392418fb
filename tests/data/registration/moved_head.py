"""A small phantom head, and the same head elsewhere in the scanner on a grid of its own."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from xrano.data.phantom import PhantomSession, PhantomSettings, phantom_patient
from xrano.geometry import Grid
from xrano.resampling import resample


@lru_cache
def head(number: int = 1, spacing_mm: float = 6.0) -> PhantomSession:
    settings = PhantomSettings(patients=2, spacing_mm=spacing_mm, seed=5, misalignment_mm=0.0)
    return next(iter(phantom_patient(settings, number)))


def moved(sequence: str, to_scanner: np.ndarray, grid: Grid) -> np.ndarray:
    """The head, taken by ``to_scanner`` from its own world to the scanner's, on a grid there."""
    session = head()
    placed = Grid(session.grid.shape, to_scanner @ session.grid.affine)
    return resample(session.images[sequence], placed, grid)


def brain_points() -> np.ndarray:
    """World mm of the head's brain voxels."""
    return head().grid.world(np.argwhere(head().brain))
