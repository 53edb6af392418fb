"""What an atlas is drawn over: the mean of the scans, or the template that they were brought to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.data.registration.settings import MNI152
from xrano.data.store import Store
from xrano.errors import ConfigError, UnknownNameError
from xrano.geometry import Grid
from xrano.resampling import resample
from xrano.types import Mask, Volume

BACKGROUNDS = ("auto", "scans", "template")


def template_wanted(background: str, store: Store) -> bool:
    """Whether the template is drawn; see :func:`xrano.experiments.atlas.class_atlas`."""
    if background not in BACKGROUNDS:
        raise UnknownNameError("background of an atlas", background, BACKGROUNDS)
    # Scans that came in an atlas of their own were registered to nothing.
    there = store.settings.get("template") == MNI152 and "atlas" not in set(store.sessions["space"])
    if background == "template" and not there:
        raise ConfigError(
            f"{store.root} was not brought to the MNI152 template, so the template is no "
            "background for it: take background 'scans'"
        )
    return background != "scans" and there


def template_on(grid: Grid) -> Volume:
    """The MNI152 brain (i, j, k) on a grid of its world."""
    from xrano.data.registration.template import load_template

    template = load_template(MNI152)
    if template is None:
        raise ConfigError("the MNI152 template is not there")
    return np.asarray(resample(template.data, template.grid, grid))


def in_units_of_brain(scan: NDArray[Any], brain: Mask) -> Volume:
    """A scan over its median in the brain, so that no scanner outweighs another."""
    values = np.asarray(scan, dtype=np.float32)
    middle = float(np.median(values[brain])) if brain.any() else 0.0
    return np.where(brain, values / np.float32(middle if middle > 0 else 1.0), np.float32(0))
