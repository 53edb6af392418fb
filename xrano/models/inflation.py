"""The first convolution of a one-channel network made one over the channels of a stem."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

INFLATION: Mapping[str, tuple[float, ...]] = {
    "concat": (1 / 2, 1 / 2),
    "subtract": (1.0,),
    "concat+subtract": (1 / 2, 1 / 2, 1.0),
    "siamese": (1.0,),
}
"""Stem to the share of a one-channel filter that each of its sets of sequences gets (prior and
current scan, difference); within a set every sequence gets an equal part. See :func:`inflate`."""


def inflate(weight: Tensor, stem: str, sequences: int) -> Tensor:
    """A first convolution of one channel made one of a stem's channels, its scale kept.

    * ``concat`` (C channels) and ``siamese`` (a scan's sequences, S): ``w / C`` and ``w / S`` each.
      The same image in all channels gives the response that it gave alone.
    * ``subtract``: ``w / S``. Equal scans give 0 here whatever the weights; with this scale the
      response to the differences is the difference of the responses to both scans.
    * ``concat+subtract``: the channels of the scans as in ``concat``, those of the differences as
      in ``subtract``, so that its response is the sum of theirs, and equal images still give what
      one gave. (``w / 2S`` for the differences would cancel the prior scan exactly.)

    Args:
        weight: ``(feature, 1, a, b, c)``.
        stem: a key of :data:`xrano.models.stems.STEMS`.
        sequences: how many the network sees.

    Example:
        >>> inflate(torch.ones(1, 1, 1, 1, 1), "concat+subtract", 2).flatten().tolist()
        [0.25, 0.25, 0.25, 0.25, 0.5, 0.5]
    """
    shares = torch.tensor(INFLATION[stem], dtype=torch.float64).repeat_interleave(sequences)
    wide = weight.double() * (shares / sequences).view(1, -1, 1, 1, 1)
    return wide.to(weight.dtype)


def is_inflatable(weight: Tensor, needed: Tensor) -> bool:
    """Whether a weight differs from the needed one by having one channel, and in nothing else."""
    if weight.ndim != needed.ndim or weight.shape[1] != 1 or needed.shape[1] == 1:
        return False
    return weight.shape[0] == needed.shape[0] and weight.shape[2:] == needed.shape[2:]
