"""When a patient is operated on, and how much is left.

Where visits repeat ratings, everybody is operated on before most visits, whatever the rating, with
a scan before each operation: what is left after it can do anything, so that all four responses can
be repeated, and neither the operations, nor the cavities, nor the volume that a visit starts from
tell which one it is.
"""

from __future__ import annotations

from xrano.data.phantom.settings import LARGEST_ML, PhantomSettings
from xrano.rano import VOLUMETRIC

PREOP_ML = (12.0, 32.0)
"""Least and largest enhancing ml before an operation."""

_RESIDUAL_ML = {"balanced": (5.0, 20.0), "lumiere": (2.0, 6.0)}
_OPERABLE_ML = 18.0
_ROOM = 1.25


def operation_chance(settings: PhantomSettings, burden_ml: float) -> float:
    """Probability of an operation between two visits, at an enhancing volume in ml."""
    if settings.repeat_ratings:
        return settings.repeat_ratings
    if burden_ml == 0.0:
        return 0.4
    return 0.5 if burden_ml > _OPERABLE_ML else 0.03


def preop_chance(settings: PhantomSettings, burden_ml: float) -> float:
    """Probability of a scan before an operation that follows visits."""
    # Cavities are made of what was there last, which would tell the rating before.
    return 1.0 if settings.repeat_ratings or burden_ml == 0.0 else 0.3


def residual_interval(settings: PhantomSettings) -> tuple[float, float]:
    """Least and largest enhancing ml that an operation leaves.

    Where ratings are repeated, every response is open from anywhere in it.

    Example:
        >>> residual_interval(PhantomSettings(mix="lumiere"))
        (2.0, 6.0)
        >>> low, high = residual_interval(PhantomSettings(repeat_ratings=0.9))
        >>> round(low, 1), round(high, 1)
        (5.0, 17.4)
    """
    if not settings.repeat_ratings:
        return _RESIDUAL_ML[settings.mix]
    keep = 1.0 + settings.margin
    low = max(5.0, _ROOM * settings.least_ml * keep / VOLUMETRIC.response)
    return low, max(low, LARGEST_ML / (_ROOM * VOLUMETRIC.progression * keep))
