"""A phantom built to leak, so that the measure of a leak can be seen to find one.

Each patient has a private texture and a rating that most visits repeat. Folds of timepoints put
other scans of the people they test among the training ones, and a network can then answer by whom
it sees. Folds of patients leave the tumour alone to answer by, which coarse voxels, noise,
misalignment, narrow margins and the texture itself make hard. The rule still gives every rating.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xrano.data.phantom.settings import PhantomSettings

LEAKING = PhantomSettings(
    patients=32,
    visits=(4, 4),
    spacing_mm=6.0,
    margin=0.1,
    misalignment_mm=1.5,
    noise=0.05,
    texture=0.15,
    repeat_ratings=0.95,
    quirks=False,
)
"""Settings of the phantom built to leak."""


def leaking_settings(patients: int = 32, seed: int = 0, **changes: Any) -> PhantomSettings:
    """The settings of :data:`LEAKING` for a number of patients and a seed.

    Args:
        patients: number of patients; a multiple of four has each response equally often.
        seed: of the phantom.
        changes: other settings of :class:`PhantomSettings` to set.

    Raises:
        ConfigError: if a number is out of its range.
        UnknownNameError: if a name is none of the listed ones.

    Example:
        >>> settings = leaking_settings(patients=24, seed=3)
        >>> settings.patients, settings.seed, settings.repeat_ratings
        (24, 3, 0.95)
    """
    return replace(LEAKING, patients=patients, seed=seed, **changes)
