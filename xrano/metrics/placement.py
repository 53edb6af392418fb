"""The placement null: the score of one map under every translation of a mask inside the brain.

A translation moves the mask by whole voxels and is *valid* if every voxel of the mask inside the
brain lands inside the brain; staying put is one of them. All valid translations are found, and all
their scores computed, by cross-correlation through FFTs: exact for scores that are linear in the
mask (:mod:`xrano.metrics.linear`), not for average precision. The mask keeps its size, so the m of
every formula is fixed.

p is the share of valid translations with at least the observed score. It is exact if the lesion
could as well have lain anywhere that it fits. Lesions do not (they keep to white matter and off
the midline), and maps favour the middle or the rim, so it is **descriptive**: read the percentile,
and test with the shuffle null (:mod:`xrano.metrics.shuffle`).

Shared work: :class:`~xrano.metrics.translations.BrainBox` for all maps and masks of a pair,
:class:`~xrano.metrics.translations.Placements` for all maps, :class:`PlacedMap` for all masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from xrano.errors import GridMismatchError, UnknownNameError
from xrano.geometry import Shape3
from xrano.metrics.catalogue import MASK_METRICS, OverlapStatus, first_reason
from xrano.metrics.linear import LINEAR, POINTING
from xrano.metrics.nulls import NullResult, against_null, undefined_null
from xrano.metrics.ranked import RankedMap
from xrano.metrics.translations import Array, BrainBox, Placements, window
from xrano.types import Mask

PLACEMENT_METRICS = (*LINEAR, *POINTING)
"""Metrics that have a placement null."""

_MOST_PEAKS = 256
"""With more equal maxima than this, one FFT is quicker than a slice for each."""


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A ranked map in the brain's box; the transforms of its weights serve all masks.

    Raises:
        GridMismatchError: if the map was ranked in another brain.
    """

    ranked: RankedMap
    brain: BrainBox
    _spectra: dict[tuple[str, int], NDArray[Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        voxels = int(np.count_nonzero(self.brain.inside))
        if self.ranked.n != voxels:
            raise GridMismatchError(
                f"the map was ranked in a brain of {self.ranked.n} voxels, the masks are placed in "
                f"one of {voxels}; use one brain mask for both"
            )

    def scores(
        self, placements: Placements, metrics: Iterable[str] | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Scores (n_valid,) of every valid translation, in the order of ``translations``.

        Raises:
            UnknownNameError: for a metric without a placement null.
            ConfigError: for a tolerance in mm if the placements do not know their grid.
        """
        names = placement_metrics(metrics, placements)
        dense = [name for name in names if name in LINEAR]
        kernel = placements.spectrum() if dense else np.empty(0)
        sums: dict[tuple[str, int], Array] = {}
        found = {}
        for name in dense:
            score, m = LINEAR[name], placements.m
            key = score.key(self.ranked, m)
            if key not in sums:
                moved = self.brain.correlate(self._spectrum(name, m), kernel)
                sums[key] = moved[window((0, 0, 0), placements.room)][placements.valid]
            values = score.of_sum(sums[key].astype(np.float64), self.ranked, m)
            found[name] = np.asarray(values, dtype=np.float64)
        for name in (name for name in names if name in POINTING):
            found[name] = self._hits(placements, POINTING[name])
        return {name: found[name] for name in names}

    def _spectrum(self, name: str, m: int) -> NDArray[Any]:
        score = LINEAR[name]
        key = score.key(self.ranked, m)
        if key in self._spectra:
            return self._spectra[key]
        box = np.zeros(self.brain.inside.shape, dtype=self.brain.dtype)
        box[self.brain.inside] = score.weights(self.ranked, m)
        spectrum = self.brain.transform(box)
        # The top m voxels serve one mask; the other weights all.
        if name != "relevance_rank_accuracy":
            self._spectra[key] = spectrum
        return spectrum

    def _hits(self, placements: Placements, tolerance_mm: float) -> NDArray[np.float64]:
        kernel, offset = placements.grown(tolerance_mm)
        peaks = self.brain.indices(self.ranked.peaks)
        if len(peaks) > _MOST_PEAKS:
            sums = _correlate_all(self.brain.inside, peaks, kernel, offset, placements.room)
        else:
            sums = np.zeros(placements.room)
            for peak in peaks:
                _add_hits(sums, kernel, peak - np.array(offset))
        return np.asarray(sums[placements.valid] / len(peaks), dtype=np.float64)


def placement_null(
    placed: PlacedMap,
    placements: Placements,
    *,
    metrics: Iterable[str] | None = None,
    least_voxels: int = 0,
) -> dict[str, NullResult]:
    """Every score against its placement null.

    Args:
        placed: the map.
        placements: the mask.
        metrics: names in :data:`PLACEMENT_METRICS`; all that can be had if not given.
        least_voxels: a mask with fewer voxels is ``below_measurable``.

    Returns:
        A result a metric, undefined where the score is; ``n`` is the number of valid translations,
        the observed place among them.

    Raises:
        UnknownNameError: for a metric without a placement null.
        ConfigError: for a tolerance in mm if the placements do not know their grid.
    """
    names = placement_metrics(metrics, placements)
    seen = placed.ranked.within(placements.positions)
    why = {name: first_reason(seen, least_voxels, MASK_METRICS[name].undefined) for name in names}
    wanted = [name for name in names if why[name] == OverlapStatus.OK]
    found = placed.scores(placements, wanted) if wanted else {}
    return {
        name: _result(found[name], placements.index_home, placed.brain.rounding)
        if name in found
        else undefined_null("placement", why[name])
        for name in names
    }


def placement_metrics(names: Iterable[str] | None, placements: Placements) -> tuple[str, ...]:
    """The named metrics, or all that these placements allow.

    Raises:
        UnknownNameError: for a metric without a placement null.
    """
    if names is None:
        return tuple(n for n in PLACEMENT_METRICS if placements.grid or not POINTING.get(n))
    wanted = tuple(names)
    for name in wanted:
        if name not in PLACEMENT_METRICS:
            raise UnknownNameError("metric with a placement null", name, PLACEMENT_METRICS)
    return wanted


def _result(values: NDArray[np.float64], home: int, rounding: float) -> NullResult:
    tolerance = rounding * float(np.abs(values).max())
    return against_null(
        float(values[home]), values, null="placement", complete=True, tolerance=tolerance
    )


def _add_hits(sums: Array, kernel: Mask, peak: NDArray[np.intp]) -> None:
    """Add 1 for every start t of the kernel's box with kernel[peak − t] set."""
    into, read = [], []
    for at, size, room in zip(peak.tolist(), kernel.shape, sums.shape, strict=True):
        low, high = max(0, at - size + 1), min(room - 1, at)
        if low > high:
            return
        into.append(slice(low, high + 1))
        read.append(np.arange(at - low, at - high - 1, -1))
    sums[tuple(into)] += kernel[np.ix_(*read)]


def _correlate_all(
    inside: Mask, peaks: NDArray[np.intp], kernel: Mask, offset: Shape3, room: tuple[int, ...]
) -> Array:
    """The same as :func:`_add_hits` for many peaks, by one convolution with the turned kernel."""
    box = np.zeros(inside.shape)
    box[tuple(peaks.T)] = 1.0
    full = signal.fftconvolve(box, kernel[::-1, ::-1, ::-1].astype(np.float64))
    first = [size - 1 + more for size, more in zip(kernel.shape, offset, strict=True)]
    return np.rint(full[window(first, room)])
