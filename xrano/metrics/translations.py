"""Every translation of a mask that keeps it inside the brain, found by one cross-correlation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from xrano.errors import ConfigError
from xrano.geometry import Grid, Shape3, bounding_box
from xrano.metrics.checks import check_mask
from xrano.metrics.places import dilated_kernel
from xrano.types import Mask

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class BrainBox:
    """A brain cropped to its box, and the transform lengths that suit it.

    No translation that keeps a mask in the brain leaves the box, so a circular correlation of the
    box's size does not wrap.

    Args:
        domain: (i, j, k) boolean: the brain; not empty.
        precise: transforms in float64 rather than float32, which is good to 1e-6 of the largest
            score and twice as fast.
        workers: threads of each transform.

    Raises:
        GridMismatchError: if the brain is empty.
    """

    domain: Mask
    precise: bool = False
    workers: int = 1

    @cached_property
    def start(self) -> Shape3:
        """First voxel of the box."""
        return bounding_box(self.domain)[0]

    @cached_property
    def inside(self) -> Mask:
        """(i, j, k) the brain in its box."""
        start, shape = bounding_box(self.domain)
        return np.ascontiguousarray(self.domain[window(start, shape)])

    def indices(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """(p, 3) voxels in the box of places (p,) in ``volume[domain]``."""
        flat = self._flat[positions]
        return np.stack(np.unravel_index(flat, self.inside.shape), axis=-1)

    @cached_property
    def _flat(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.inside)

    @cached_property
    def lengths(self) -> Shape3:
        """Sizes of the transforms."""
        i, j, k = (fft.next_fast_len(size, real=True) for size in self.inside.shape)
        return i, j, k

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """Type of the numbers that are transformed."""
        return np.float64 if self.precise else np.float32

    @property
    def rounding(self) -> float:
        """Scores that differ by less than this share of the largest are equal."""
        return 1e-12 if self.precise else 2e-6

    @cached_property
    def outside_spectrum(self) -> NDArray[np.complexfloating[Any, Any]]:
        """Transform of the box's voxels outside the brain, in float64: counts must be exact."""
        return self.transform((~self.inside).astype(np.float64))

    def transform(self, volume: Array) -> NDArray[np.complexfloating[Any, Any]]:
        """The transform of a volume at the start of the box, padded with zeros."""
        return np.asarray(fft.rfftn(volume, self.lengths, workers=self.workers))

    def correlate(self, spectrum: NDArray[Any], kernel_spectrum: NDArray[Any]) -> Array:
        """Σ_x volume(x) kernel(x − t) for every shift t, from both transforms."""
        product = spectrum * kernel_spectrum.conj()
        moved = fft.irfftn(product, self.lengths, workers=self.workers, overwrite_x=True)
        return np.asarray(moved)


class Placements:
    """All translations that keep one mask in the brain; for any number of maps.

    Args:
        mask: (i, j, k) boolean; only its part inside the brain counts, and moves.
        brain: the brain's box.
        grid: the grid of both; needed for tolerances in mm only.

    Raises:
        GridMismatchError: if mask and brain differ in shape.
        VolumeError: if the mask is not boolean.

    Attributes:
        m: voxels of the mask in the brain.
        kernel: the mask in its own box.
        home: where that box starts in the brain's box.
        valid: boolean, for every start of the kernel's box in the brain's box.
        n_valid: how many are valid; 0 for an empty mask, else at least 1.
    """

    def __init__(self, mask: Mask, brain: BrainBox, grid: Grid | None = None) -> None:
        check_mask(mask, brain.domain.shape, name="mask")
        self.brain, self.grid = brain, grid
        inside = mask[window(brain.start, brain.inside.shape)] & brain.inside
        self.m = int(inside.sum())
        start, shape = bounding_box(inside) if self.m else ((0, 0, 0), (1, 1, 1))
        self.home: Shape3 = start
        self.kernel = inside[window(start, shape)]
        self.room = tuple(b - k + 1 for b, k in zip(brain.inside.shape, shape, strict=True))
        self.valid = self._find_valid()
        self.n_valid = int(self.valid.sum())

    def _find_valid(self) -> NDArray[np.bool_]:
        if not self.m:
            return np.zeros(self.room, dtype=bool)
        kernel = self.brain.transform(self.kernel.astype(np.float64))
        lost = self.brain.correlate(self.brain.outside_spectrum, kernel)
        return np.asarray(lost[window((0, 0, 0), self.room)] < 0.5)

    @property
    def index_home(self) -> int:
        """The place of the translation by nothing among the valid ones."""
        flat = int(np.ravel_multi_index(self.home, self.room))
        return int(np.count_nonzero(self.valid.ravel()[:flat]))

    @property
    def positions(self) -> NDArray[np.intp]:
        """Where the mask's voxels stand in ``volume[domain]``, before it is moved."""
        inside = np.zeros_like(self.brain.inside)
        inside[window(self.home, self.kernel.shape)] = self.kernel
        return np.flatnonzero(inside[self.brain.inside])

    @property
    def translations(self) -> NDArray[np.intp]:
        """(n_valid, 3) by how many voxels each valid translation moves the mask."""
        return np.asarray(np.argwhere(self.valid) - np.array(self.home))

    def moved(self, translation: NDArray[np.intp]) -> Mask:
        """(i, j, k) the mask after a valid translation, on the whole grid."""
        at = np.add(translation, self.home) + self.brain.start
        volume = np.zeros_like(self.brain.domain)
        volume[window(tuple(at), self.kernel.shape)] = self.kernel
        return volume

    def spectrum(self) -> NDArray[np.complexfloating[Any, Any]]:
        """The kernel's transform; not kept, since those of all masks would fill the memory."""
        return self.brain.transform(self.kernel.astype(self.brain.dtype))

    def grown(self, tolerance_mm: float) -> tuple[Mask, Shape3]:
        """The kernel grown by a tolerance, and where its box starts in the kernel's."""
        if tolerance_mm == 0:
            return self.kernel, (0, 0, 0)
        if self.grid is None:
            raise ConfigError("a tolerance in mm needs the grid: give it to Placements")
        if tolerance_mm not in self._grown:
            self._grown[tolerance_mm] = dilated_kernel(self.kernel, self.grid, tolerance_mm)
        return self._grown[tolerance_mm]

    @cached_property
    def _grown(self) -> dict[float, tuple[Mask, Shape3]]:
        return {}


def window(start: Any, shape: Any) -> tuple[slice, ...]:
    """The slices of a box."""
    return tuple(slice(int(a), int(a) + int(b)) for a, b in zip(start, shape, strict=True))
