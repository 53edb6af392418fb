"""How much of a map's relevance lies in a mask: pure functions, and all of them at once.

Every function takes one non-negative map, one boolean mask and the domain (brain) that both are
seen in: n voxels in the domain, m of them in the mask, p = m / n. Signed maps are rectified by the
caller, by name. When a metric is undefined (NaN) and what chance scores is written in
:mod:`xrano.metrics.catalogue`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from xrano.errors import ConfigError
from xrano.geometry import Grid
from xrano.metrics.catalogue import (
    METRICS,
    TOP_FRACTION,
    OverlapScore,
    OverlapStatus,
    score_ranked,
    status_of,
)
from xrano.metrics.formulas import top_dice, top_share
from xrano.metrics.places import MaskPlace
from xrano.metrics.ranked import RankedMask, mask_positions, rank_map
from xrano.types import Mask, Volume

__all__ = [
    "METRICS",
    "TOP_FRACTION",
    "OverlapScore",
    "OverlapStatus",
    "auroc",
    "average_precision",
    "normalised_average_precision",
    "pointing_game",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "score_overlap",
    "top_fraction_dice",
    "top_k_intersection",
]


def relevance_mass_accuracy(attribution: Volume, mask: Mask, *, domain: Mask) -> float:
    """The share of the relevance in the domain that lies in the mask (Arras et al. 2022).

    Args:
        attribution: (i, j, k) finite, non-negative relevance.
        mask: (i, j, k) boolean.
        domain: (i, j, k) boolean: the brain.

    Returns:
        0 to 1, higher is better, chance p; NaN where the catalogue's table says so.

    Raises:
        GridMismatchError: if the shapes differ.
        VolumeError: if a mask is not boolean, the domain is empty, or a value is negative or not
            finite.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, False, False]]])
        >>> relevance_mass_accuracy(np.array([[[3.0, 1.0, 0.0, 0.0]]]), mask, domain=everywhere)
        0.75
    """
    return _value("relevance_mass_accuracy", attribution, mask, domain)


def relevance_rank_accuracy(attribution: Volume, mask: Mask, *, domain: Mask) -> float:
    """The share of the m strongest voxels that lie in the mask (Arras et al. 2022).

    Arguments and errors as :func:`relevance_mass_accuracy`; 0 to 1, chance p.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, True, False, False]]])
        >>> relevance_rank_accuracy(np.array([[[3.0, 0.0, 2.0, 0.0]]]), mask, domain=everywhere)
        0.5
    """
    return _value("relevance_rank_accuracy", attribution, mask, domain)


def pointing_game(attribution: Volume, mask: Mask, *, domain: Mask) -> float:
    """Whether the strongest voxel lies in the mask (Zhang et al. 2018), without tolerance.

    With several equal maxima it is the share of them in the mask: the hit rate expected if one
    were drawn. Arguments and errors as :func:`relevance_mass_accuracy`; 0 to 1, chance p.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, False, False]]])
        >>> pointing_game(np.array([[[3.0, 3.0, 1.0, 0.0]]]), mask, domain=everywhere)
        0.5
    """
    return _value("pointing_game", attribution, mask, domain)


def average_precision(attribution: Volume, mask: Mask, *, domain: Mask) -> float:
    """Area under the precision-recall curve as a sum of steps, tied voxels in one step.

    The same as ``sklearn.metrics.average_precision_score``. Arguments and errors as
    :func:`relevance_mass_accuracy`; above 0 to 1, chance p (see :class:`OverlapScore`).

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, True, False]]])
        >>> average_precision(np.array([[[4.0, 3.0, 2.0, 1.0]]]), mask, domain=everywhere)
        0.8333333333333333
    """
    return _value("average_precision", attribution, mask, domain)


def normalised_average_precision(attribution: Volume, mask: Mask, *, domain: Mask) -> float:
    """Average precision corrected for chance: (AP − p) / (1 − p).

    Arguments and errors as :func:`relevance_mass_accuracy`; at most 1, chance 0, negative for a
    map that avoids the mask.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, True, False]]])
        >>> values = np.array([[[4.0, 3.0, 2.0, 1.0]]])
        >>> round(normalised_average_precision(values, mask, domain=everywhere), 3)
        0.667
    """
    return _value("normalised_average_precision", attribution, mask, domain)


def auroc(attribution: Volume, mask: Mask, *, domain: Mask) -> float:
    """The chance that a voxel of the mask outranks one outside, ties counting half (Mann-Whitney).

    It stays near 1 for maps that miss a small lesion's place by centimetres, since nearly all
    voxels lie far away: read it last. Arguments and errors as :func:`relevance_mass_accuracy`;
    0 to 1, chance 0.5.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, True, False]]])
        >>> auroc(np.array([[[4.0, 3.0, 2.0, 1.0]]]), mask, domain=everywhere)
        0.75
    """
    return _value("auroc", attribution, mask, domain)


def top_fraction_dice(
    attribution: Volume, mask: Mask, *, domain: Mask, fraction: float = TOP_FRACTION
) -> float:
    """Dice of the mask with the strongest ``fraction`` of the domain.

    With k = fraction * n voxels (rounded, at least 1) of which h lie in the mask it is
    2h / (k + m). The fraction is the same for all maps and masks, so nothing is tuned on the case
    it is measured on; the price is a best possible value of 2 min(k, m) / (k + m), not 1.
    Arguments and errors as :func:`relevance_mass_accuracy`; chance 2kp / (k + m).

    Raises:
        ConfigError: if the fraction is not above 0 and at most 1.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, False, False]]])
        >>> top_fraction_dice(np.array([[[4.0, 3.0, 2.0, 1.0]]]), mask, domain=everywhere,
        ...                   fraction=0.5)
        0.6666666666666666
    """
    return _of_top("top_fraction_dice", top_dice, attribution, mask, domain, fraction)


def top_k_intersection(
    attribution: Volume, mask: Mask, *, domain: Mask, fraction: float = TOP_FRACTION
) -> float:
    """The share of the strongest k voxels that lies in the mask, k a ``fraction`` of the domain.

    A fixed number of voxels would saturate on small masks and mean another volume on every grid.
    Arguments and errors as :func:`top_fraction_dice`; 0 to min(1, m / k), chance p.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, False, False]]])
        >>> top_k_intersection(np.array([[[4.0, 3.0, 2.0, 1.0]]]), mask, domain=everywhere,
        ...                    fraction=0.5)
        0.5
    """
    return _of_top("top_k_intersection", top_share, attribution, mask, domain, fraction)


def score_overlap(
    attribution: Volume,
    mask: Mask,
    *,
    domain: Mask,
    metrics: Iterable[str] | None = None,
    least_voxels: int = 0,
    grid: Grid | None = None,
) -> dict[str, OverlapScore]:
    """All metrics, or those named, of one map and one mask, with one sort of the map.

    Args:
        attribution: (i, j, k) finite, non-negative relevance.
        mask: (i, j, k) boolean.
        domain: (i, j, k) boolean: the brain.
        metrics: keys of :data:`~xrano.metrics.catalogue.MASK_METRICS`; all if not given.
        least_voxels: a mask with fewer voxels than this in the domain is ``below_measurable``.
        grid: the grid of all three; without it there are no distances in mm.

    Raises:
        ConfigError: if a distance is asked for without a grid.
        GridMismatchError: if the shapes differ.
        VolumeError: as :func:`relevance_mass_accuracy`.
        UnknownNameError: for an unknown metric.

    Example:
        >>> import numpy as np
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, False, False]]])
        >>> scores = score_overlap(np.array([[[3.0, 1.0, 0.0, 0.0]]]), mask, domain=everywhere)
        >>> mass = scores["relevance_mass_accuracy"]
        >>> mass.value, mass.chance, str(mass.status)
        (0.75, 0.25, 'ok')
    """
    place = None if grid is None else MaskPlace(mask, domain, grid)
    seen = rank_map(attribution, domain).within(mask_positions(mask, domain), place)
    return score_ranked(seen, metrics=metrics, least_voxels=least_voxels)


def _value(name: str, attribution: Volume, mask: Mask, domain: Mask) -> float:
    return score_overlap(attribution, mask, domain=domain, metrics=[name])[name].value


def _of_top(
    name: str,
    score: Callable[[RankedMask, float], float],
    attribution: Volume,
    mask: Mask,
    domain: Mask,
    fraction: float,
) -> float:
    if not 0 < fraction <= 1:
        raise ConfigError(f"a top fraction lies above 0 and at most at 1, got {fraction}")
    seen = rank_map(attribution, domain).within(mask_positions(mask, domain))
    return score(seen, fraction) if status_of(name, seen, 0) == OverlapStatus.OK else math.nan
