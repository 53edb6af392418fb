"""Surrogate maps: the values of a map on a random field as smooth as the map itself.

Asks what a map gets that has the same values and the same smoothness, and knows nothing of the
place of the tumour. A surrogate is a Gaussian field with the map's own autocorrelation inside the
brain, whose voxels are given the map's values by rank: its distribution, and so its entropy and
Gini, are exactly the map's.

The autocorrelation is estimated in the brain alone (products over pairs of voxels that both lie in
it) and fitted by a sum of Gaussians of many widths with non-negative weights, stretched along each
axis as the map is. Every such sum is some field's autocorrelation; the estimate itself is not, and
using it directly, or the map's own phase-randomised transform, left fields too rough in trials.

Limits. One map tells its smoothness only roughly. The autocorrelation is taken as the same
everywhere, so a map that is bright in the middle or at the rim in every patient becomes a field
without that trend, and its null is then as blind to it as that of translations. Ringing (negative
correlations) is not imitated. Values by rank change the autocorrelation of heavy-tailed maps a
little, since only that of their normal scores is matched, and the marginal distribution is fixed
where a true sample's would vary. For maps with many ties (mostly zero, or plateaus) the order
within ties is arbitrary, and smoothness is matched poorly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.optimize import nnls
from scipy.special import ndtri

from xrano.errors import ConfigError, VolumeError
from xrano.metrics.nulls import NullResult, against_null
from xrano.metrics.ranked import RankedMap, RankedMask, rank_map
from xrano.metrics.translations import BrainBox
from xrano.types import Mask, Volume

_LEAST_OVERLAP = 0.3
"""Lags at which less of the brain overlaps itself tell too little."""

_WIDTHS = np.concatenate([[0.0], 0.3 * 1.5 ** np.arange(9)])
"""Widths of the Gaussians, in distances at which the correlation is a half; 0 is white noise."""

_MOST_LAGS = 5000


def surrogate_maps(
    attribution: Volume, domain: Mask, *, n_surrogates: int, seed: int
) -> Iterator[NDArray[np.float32]]:
    """Maps of the same values and autocorrelation, elsewhere.

    Args:
        attribution: (i, j, k) finite, non-negative relevance.
        domain: (i, j, k) boolean: the brain.
        n_surrogates: how many, at least 1.
        seed: the same seed gives the same maps; no other random state is touched.

    Yields:
        (i, j, k) float32 maps, 0 outside the brain.

    Raises:
        ConfigError: if no surrogate is asked for.
        VolumeError: as :func:`xrano.metrics.ranked.rank_map`, and for a map that is constant in
            the brain, which has no autocorrelation.
        GridMismatchError: if the shapes differ.
    """
    ranked = rank_map(attribution, domain)
    for values in _surrogate_values(ranked, n_surrogates, seed):
        volume = np.zeros(domain.shape, dtype=np.float32)
        volume[domain] = values
        yield volume


def surrogate_null(
    seen: RankedMask,
    positions: NDArray[np.intp],
    score: Callable[[RankedMask], float],
    *,
    n_surrogates: int,
    seed: int,
    higher_is_better: bool = True,
) -> NullResult:
    """A score against its values on surrogate maps, with p = (1 + b) / (1 + B).

    Args:
        seen: the mask seen from the map, in a case where the score is defined.
        positions: where its voxels stand in ``volume[domain]``.
        score: a formula of the catalogue, such as ``METRICS["auroc"].score``.
        n_surrogates: B.
        seed: of the surrogates.
        higher_is_better: the score's direction.

    Raises:
        ConfigError: if no surrogate is asked for.
        VolumeError: for a map that is constant in the brain.
    """
    values = [
        score(RankedMap(drawn, seen.ranked.domain).within(positions, seen.place))
        for drawn in _surrogate_values(seen.ranked, n_surrogates, seed)
    ]
    return against_null(score(seen), values, null="surrogate", higher_is_better=higher_is_better)


def _surrogate_values(
    ranked: RankedMap, n_surrogates: int, seed: int
) -> Iterator[NDArray[np.floating[Any]]]:
    """(n,) values of each surrogate in the order of the map's."""
    if n_surrogates < 1:
        raise ConfigError(f"at least 1 surrogate is needed, got {n_surrogates}")
    if ranked.domain is None or ranked.ascending[0] == ranked.ascending[-1]:
        raise VolumeError(
            "surrogates need a map that varies in the brain: a constant map has no autocorrelation"
        )
    brain = BrainBox(ranked.domain)
    shape = _padded(brain.inside.shape)
    amplitude = _amplitude(ranked, brain.inside, shape)
    rng = np.random.default_rng(seed)
    for _ in range(n_surrogates):
        noise = rng.standard_normal(shape, dtype=np.float32)
        field = fft.irfftn(fft.rfftn(noise) * amplitude, shape)
        inside = field[tuple(slice(0, size) for size in brain.inside.shape)][brain.inside]
        values = np.empty_like(ranked.ascending)
        values[np.argsort(inside, kind="stable")] = ranked.ascending
        yield values


def _padded(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Twice the size, so that no lag wraps around."""
    return tuple(int(fft.next_fast_len(2 * size, real=True)) for size in shape)


def _amplitude(
    ranked: RankedMap, inside: Mask, shape: tuple[int, ...]
) -> NDArray[np.floating[Any]]:
    """Square root of the power spectrum whose field has the map's autocorrelation in the brain."""
    scores = ndtri((ranked.midranks - 0.5) / ranked.n)
    box = np.zeros(inside.shape)
    box[inside] = (scores - scores.mean()) / scores.std()
    overlap = _autocorrelation(inside.astype(np.float64), shape)
    known = overlap > _LEAST_OVERLAP * ranked.n
    correlation = _autocorrelation(box, shape) / np.where(known, overlap, np.inf)
    distance = _distance(shape, [_half_width(correlation, axis) for axis in range(3)])
    weights = _fitted(correlation, distance, known)
    model = sum(w * _gaussian(distance, width) for w, width in zip(weights, _WIDTHS, strict=True))
    power = fft.rfftn(model).real
    # Wide Gaussians cut off at the end of the box leave a trace of negative power.
    return np.asarray(np.sqrt(np.maximum(power, 0.0)), dtype=np.float32)


def _half_width(correlation: NDArray[np.float64], axis: int) -> float:
    """The lag in voxels along an axis at which the correlation falls to a half."""
    line = np.moveaxis(correlation, axis, 0)[: correlation.shape[axis] // 2, 0, 0]
    below = np.flatnonzero(line < 0.5)
    if not below.size:
        return float(line.size)
    lag = int(below[0])
    return float(lag - 1 + (line[lag - 1] - 0.5) / (line[lag - 1] - line[lag]))


def _distance(shape: tuple[int, ...], units: list[float]) -> NDArray[np.float64]:
    """Length of every circular lag, each axis in its own unit."""
    square = np.zeros(shape)
    for axis, (size, unit) in enumerate(zip(shape, units, strict=True)):
        lag = np.minimum(np.arange(size), size - np.arange(size)) / unit
        square += np.expand_dims(lag**2, [other for other in range(3) if other != axis])
    return np.sqrt(square)


def _fitted(
    correlation: NDArray[np.float64], distance: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Non-negative weight of each width, by least squares over the lags that matter."""
    shape = correlation.shape
    near = np.flatnonzero(known & (distance <= 3.0))
    chosen = near[:: max(1, near.size // _MOST_LAGS)]
    shortest = [1, shape[2], shape[1] * shape[2]]
    lags = np.concatenate([[0], shortest, chosen])
    basis = np.stack([_gaussian(distance.flat[lags], width) for width in _WIDTHS], axis=1)
    # There are as many lags of a length as its square; short ones make a map smooth.
    importance = 1.0 / np.maximum(distance.flat[lags], 0.1) ** 2
    found, _ = nnls(basis * importance[:, None], correlation.flat[lags] * importance)
    return np.asarray(found / found.sum(), dtype=np.float64)


def _gaussian(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    if width == 0:
        return np.asarray(distance == 0, dtype=np.float64)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def _autocorrelation(volume: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    spectrum = fft.rfftn(volume, shape)
    return np.asarray(fft.irfftn(np.abs(spectrum) ** 2, shape))
