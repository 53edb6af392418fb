"""Random maps with the values and the smoothness of a map, to be judged as the map is."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from xrano.metrics.surrogates import surrogate_maps


def blur_matched(relevance: Tensor, brain: Tensor, *, draws: int, seed: int) -> Iterator[Tensor]:
    """Surrogates of a map (:func:`xrano.metrics.surrogates.surrogate_maps`).

    Each channel of a map with channels is drawn on its own. One that is constant in the brain has
    no smoothness and stays as it is.

    Args:
        relevance: (i, j, k) or (channel, i, j, k), finite; it may be signed.
        brain: (i, j, k) boolean, not empty.
        draws: how many.
        seed: the same seed gives the same maps; no other random state is touched.

    Yields:
        Maps of the same shape, with the map's own values in the brain at other places; outside of
        it as the map.
    """
    channels = relevance.reshape(-1, *brain.shape)
    drawn = [_channel(one, brain, draws, seed + 7919 * n) for n, one in enumerate(channels)]
    for _ in range(draws):
        yield torch.stack([next(one) for one in drawn]).reshape(relevance.shape)


def _channel(values: Tensor, brain: Tensor, draws: int, seed: int) -> Iterator[Tensor]:
    inside = values[brain]
    if not draws or inside.min() == inside.max():
        yield from (values for _ in range(draws))
        return
    # Surrogates are made by rank: they only ask for values from zero up.
    lowest = inside.min()
    above = torch.where(brain, values - lowest, 0).cpu().numpy()
    for drawn in surrogate_maps(above, brain.cpu().numpy(), n_surrogates=draws, seed=seed):
        yield torch.where(brain, torch.from_numpy(drawn).to(values) + lowest, values)
