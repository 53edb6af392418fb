"""Patients with a rating of their own, which their visits repeat.

:mod:`xrano.data.phantom.operations` says how all four responses can be repeated.
"""

from __future__ import annotations

import numpy as np

from xrano.data.phantom.settings import MIXES, PhantomSettings
from xrano.rano import Response

_BLOCK = 4


def own_response(settings: PhantomSettings, number: int) -> Response | None:
    """The response that patient ``number`` (from 1) repeats; none if the settings ask for none.

    Any four patients in a row (1 to 4, 5 to 8, …) have the settings' mix as nearly as four can.

    Example:
        >>> settings = PhantomSettings(repeat_ratings=0.9)
        >>> sorted(str(own_response(settings, number)) for number in range(1, 5))
        ['CR', 'PD', 'PR', 'SD']
        >>> own_response(PhantomSettings(), 1) is None
        True
    """
    if settings.repeat_ratings == 0.0:
        return None
    block, place = divmod(number - 1, _BLOCK)
    # No patient has the number 0, so this is nobody's stream.
    rng = np.random.default_rng([settings.seed, 0, 2, block])
    positions = (rng.permutation(_BLOCK) + rng.random(_BLOCK)) / _BLOCK
    mix = MIXES[settings.mix]
    responses = list(mix)
    ends = np.cumsum([mix[response] for response in responses])
    index = int(np.searchsorted(ends, positions[place], side="right"))
    return responses[min(index, len(responses) - 1)]
