"""Made maps and masks for :mod:`benchmarks.overlap`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.geometry import Grid
from xrano.metrics.overlap import score_overlap
from xrano.types import Mask


def smooth_map(shape: tuple[int, int, int], *, sigma: float, seed: int) -> NDArray[np.float32]:
    """The absolute value of a smooth random field: no negative value, no ties to speak of."""
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return np.abs(ndimage.gaussian_filter(noise, sigma))


def lesion_at(
    centre: tuple[int, ...], radii: tuple[float, ...], shape: tuple[int, int, int]
) -> Mask:
    """An ellipsoid, in voxels."""
    away = [
        (axis - at) / radius
        for axis, at, radius in zip(
            np.ogrid[tuple(slice(n) for n in shape)], centre, radii, strict=True
        )
    ]
    return np.asarray(sum(part**2 for part in away) <= 1)


@dataclass(frozen=True)
class SmallCase:
    """A ragged brain on an uneven, oblique grid, a map and a mask, small enough for brute force."""

    seed: int
    grid: Grid = field(
        default_factory=lambda: Grid(
            (13, 10, 9),
            np.array([[2.0, 0.5, 0, -9], [-0.4, 3.0, 0.3, 5], [0, 0.7, 4.0, 2], [0, 0, 0, 1]]),
        )
    )

    @property
    def attribution(self) -> NDArray[np.float64]:
        """(i, j, k) relevance."""
        return np.random.default_rng(self.seed).gamma(0.5, size=self.grid.shape)

    @property
    def brain(self) -> Mask:
        """(i, j, k) the brain."""
        brain = np.zeros(self.grid.shape, dtype=bool)
        brain[1:12, 1:9, 1:8] = True
        brain[1, 1, 1] = brain[11, 8, 7] = brain[6, 5, 4] = False
        return brain

    @property
    def mask(self) -> Mask:
        """(i, j, k) an uneven lesion."""
        mask = np.zeros(self.grid.shape, dtype=bool)
        mask[3:5, 2:4, 1:3] = True
        mask[5, 3, 1] = True
        return mask


def moved_by_hand(
    case: SmallCase, translations: NDArray[np.intp], metrics: tuple[str, ...]
) -> Iterator[dict[str, float]]:
    """The scores of a map after each translation of its mask, one by one."""
    voxels = np.argwhere(case.mask & case.brain)
    for translation in translations:
        moved = np.zeros(case.grid.shape, dtype=bool)
        moved[tuple((voxels + translation).T)] = True
        found = score_overlap(
            case.attribution, moved, domain=case.brain, grid=case.grid, metrics=metrics
        )
        yield {name: score.value for name, score in found.items()}
