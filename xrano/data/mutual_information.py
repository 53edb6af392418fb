"""Mutual information of two images: how much one tells about the other, whatever their contrasts.

Two aligned scans of one head share much of it, whether or not their tissues are bright in the same
order; a misplaced scan loses it. Values depend on the number of bins and on the noise, so they are
compared within a cohort, never with a fixed threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError, GridMismatchError

BINS = 48
"""Bins of each image's histogram."""

_LEVELS = (0.5, 99.5)
"""Percentiles that end the histogram: a few far outliers would squeeze the rest into one bin."""


def mutual_information(first: NDArray[Any], second: NDArray[Any], *, bins: int = BINS) -> float:
    """Mutual information of paired values in nats, from a joint histogram.

    Bins are equally wide between the 0.5th and 99.5th percentile of each image; values beyond
    them count in the end bins.

    Args:
        first: values of one image, any shape (the voxels of a mask).
        second: values of the other at the same voxels.
        bins: bins of each histogram, at least 2.

    Returns:
        At least 0, at most the entropy of either histogram; NaN without a value. Of N
        independent values it is about (bins − 1)² / 2N.

    Raises:
        GridMismatchError: if the images differ in shape.
        ConfigError: if there are fewer than two bins.

    Example:
        >>> four = np.repeat(np.arange(4.0), 100)
        >>> bool(np.isclose(mutual_information(four, -four), np.log(4)))
        True
    """
    if first.shape != second.shape:
        raise GridMismatchError(f"values of shape {first.shape} paired with {second.shape}")
    if bins < 2:
        raise ConfigError(f"a histogram for mutual information needs two bins or more, got {bins}")
    count = first.size
    if not count:
        return float("nan")
    cells = _codes(first, bins) * bins + _codes(second, bins)
    joint = np.bincount(cells, minlength=bins * bins).reshape(bins, bins).astype(np.float64)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    filled = joint > 0
    expected = np.outer(rows, columns)[filled] / count
    information = float((joint[filled] * np.log(joint[filled] / expected)).sum() / count)
    # Rounding may end a sum of zeros at −1e-17.
    return max(information, 0.0)


def _codes(values: NDArray[Any], bins: int) -> NDArray[np.int64]:
    flat = np.asarray(values, dtype=np.float32).ravel()
    low, high = (float(end) for end in np.percentile(flat, _LEVELS))
    if not high > low:
        # Almost constant: the few other values still part from the constant one.
        low, high = float(flat.min()), float(flat.max())
    if not high > low:
        return np.zeros(flat.shape, dtype=np.int64)
    scaled = (flat - np.float32(low)) * np.float32(bins / (high - low))
    return np.asarray(np.clip(scaled, 0, bins - 1), dtype=np.int64)
