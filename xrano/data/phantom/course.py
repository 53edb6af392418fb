"""The course of a patient's enhancing volume: which responses are open, and what volumes mean them.

A visit's response is drawn first, among those that the rule still allows from where the patient
stands; then a volume is drawn inside that response's interval, at a margin from every threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrano.data.phantom.settings import LARGEST_ML, MIXES, PhantomSettings
from xrano.rano import VOLUMETRIC, Response

Interval = tuple[float, float]
"""Least and largest enhancing volume in ml, both allowed."""

_ROOM = 1.1
"""An interval is open if its ends differ by this factor, so that whole voxels fall into it."""

_LARGEST_RISE = 3.5
_REGROWN_ML = 9.0
_RELAPSE_ML = (2.5, 16.0)
_PREFERRED_ML = 2.0
"""Only a partial response leaves less than this, if it can be helped: smaller lesions are hard to
see at 4 mm."""

_BALANCING = 1.2
_STILL_NOTHING = 0.25
_OPEN_SELDOM = 1.35


@dataclass(frozen=True)
class Standing:
    """What the next visit is rated against, in ml."""

    rano_baseline: float
    nadir: float


def open_intervals(settings: PhantomSettings, standing: Standing) -> dict[Response, Interval]:
    """The volumes that give each response at the settings' margin; closed responses are left out.

    Example:
        >>> opened = open_intervals(PhantomSettings(margin=0.0), Standing(10.0, 10.0))
        >>> {str(response): (round(a, 3), round(b, 3)) for response, (a, b) in opened.items()}
        {'CR': (0.0, 0.0), 'PR': (1.2, 3.5), 'SD': (3.5, 14.0), 'PD': (14.0, 35.0)}
    """
    keep = 1.0 + settings.margin
    baseline, nadir, least = standing.rano_baseline, standing.nadir, settings.least_ml
    rise, fall = VOLUMETRIC.progression, VOLUMETRIC.response
    if baseline == 0.0:
        return {Response.SD: (0.0, 0.0), Response.PD: _RELAPSE_ML}
    stable_top = rise / keep * nadir
    intervals = {Response.CR: (0.0, 0.0)}
    if baseline >= VOLUMETRIC.measurable * keep:
        intervals[Response.PR] = (least, min(fall / keep * baseline, stable_top))
    stable_bottom = max(least, fall * keep * baseline, min(_PREFERRED_ML, 0.85 * stable_top))
    intervals[Response.SD] = (stable_bottom, min(stable_top, LARGEST_ML))
    bottom = max(_PREFERRED_ML, least, rise * keep * nadir)
    top = max(_LARGEST_RISE * nadir, _REGROWN_ML, 1.3 * bottom)
    intervals[Response.PD] = (bottom, min(top, LARGEST_ML)) if nadir > 0.0 else _RELAPSE_ML
    return {
        response: (low, high)
        for response, (low, high) in intervals.items()
        if response is Response.CR or high >= low * _ROOM
    }


def draw_response(
    rng: np.random.Generator,
    settings: PhantomSettings,
    opened: Mapping[Response, Interval],
    seen: Mapping[Response, int],
) -> Response:
    """One of the open responses; those the patient has had less often than the mix are likelier.

    Args:
        rng: random stream.
        settings: for the mix.
        opened: from :func:`open_intervals`.
        seen: how often the patient has had each response.
    """
    mix = MIXES[settings.mix]
    total = sum(seen.values())
    weights = {
        response: mix[response] * np.exp(_BALANCING * (mix[response] * total - seen[response]))
        for response in opened
    }
    # A remnant cannot shrink by two thirds and still be seen, so PR is closed more often.
    if Response.PR in weights:
        weights[Response.PR] *= _OPEN_SELDOM
    if opened.get(Response.SD) == (0.0, 0.0):
        weights[Response.SD] *= _STILL_NOTHING
    responses = list(weights)
    chances = np.array([weights[response] for response in responses])
    return responses[int(rng.choice(len(responses), p=chances / chances.sum()))]


def draw_volume(rng: np.random.Generator, interval: Interval) -> float:
    """A volume in ml, log-uniform within an interval, which may be the single value 0."""
    low, high = interval
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))) if high > 0.0 else 0.0


def holds(interval: Interval, volume_ml: float) -> bool:
    """Whether a counted volume respects an interval."""
    return interval[0] <= volume_ml <= interval[1]
