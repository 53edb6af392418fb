"""How a network takes in the two scans: the stem, which always gets the same channels.

Whatever a stem does, the input stays ``(batch, channel, i, j, k)`` with the sequences of the prior
scan first, so every network is explained by maps of the same channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn


def split_scans(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The prior and the current scan, each ``(batch, sequence, i, j, k)``."""
    prior, current = inputs.chunk(2, dim=1)
    return prior, current


def difference(inputs: Tensor) -> Tensor:
    """Current − prior, sequence by sequence."""
    prior, current = split_scans(inputs)
    return current - prior


@dataclass(frozen=True)
class StemSpec:
    """A row of the table.

    ``channels`` is the number of channels that the first convolution gets for each sequence, and
    ``arrange`` makes them. With ``shared`` one encoder sees each scan by itself.
    """

    channels: int
    arrange: Callable[[Tensor], Tensor]
    description: str
    shared: bool = False


STEMS: Mapping[str, StemSpec] = {
    "concat": StemSpec(2, lambda inputs: inputs, "both scans side by side"),
    "subtract": StemSpec(1, difference, "current − prior alone: what did not change is not seen"),
    "concat+subtract": StemSpec(
        3,
        lambda inputs: torch.cat([inputs, difference(inputs)], dim=1),
        "both scans and their difference",
    ),
    "siamese": StemSpec(
        1,
        lambda inputs: inputs,
        "one encoder for both scans; their features are joined with the features' difference",
        shared=True,
    ),
}
"""Name to stem."""

JOINED = 3
"""Feature sets that :class:`Siamese` joins: prior, current, current − prior."""


class EncodingNetwork(Protocol):
    """A network in two parts: features, then logits.

    ``encode`` gives ``(batch, feature, a, b, c)`` or ``(batch, feature)``; ``classify`` gives
    logits of ``joined`` times as many features (a setting of its constructor), which come
    rectified if they are joined. After ``drop_head`` it gives, instead of logits, the features
    that its last linear layer took, for another layer to classify.
    """

    def encode(self, inputs: Tensor) -> Tensor:
        """The features of an image."""
        ...

    def classify(self, features: Tensor) -> Tensor:
        """The logits of features."""
        ...

    def drop_head(self) -> int:
        """Take the last linear layer off; the number of features that it took."""
        ...


class Siamese(nn.Module):
    """One encoder for both scans, and a classifier over [prior, current, current − prior].

    The features are joined cell by cell, and rectified, before anything is averaged over cells: a
    mean of differences would only repeat the difference of the means, while this one sees a
    lesion grow in one place though another shrinks.

    A layer inside the encoder runs twice, once a scan, so that it has no single class activation
    map, and asking for one is refused. The module ``join`` runs once: a Grad-CAM there weights the
    features of the prior scan, of the current scan and of their difference by their own mean
    gradients and sums them, one map of where the comparison looked. Its cells lie where those of
    the encoder's last layer lie.

    Args:
        encoder: an :class:`EncodingNetwork` over the channels of one scan that classifies
            :data:`JOINED` times its features.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.join = nn.Identity()
        self.rectify = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of both scans' channels."""
        logits: Tensor = self._parts.classify(self.rectify(self.features(inputs)))
        return logits

    def features(self, inputs: Tensor) -> Tensor:
        """Features of the prior scan, the current scan, and their difference, along axis 1."""
        prior, current = self._encode(*split_scans(inputs))
        joined: Tensor = self.join(torch.cat([prior, current, current - prior], dim=1))
        return joined

    def _encode(self, prior: Tensor, current: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self._parts.encode(prior), self._parts.encode(current)
        # As one batch: normalised scan by scan, a change of the whole brain would cancel.
        first, second = self._parts.encode(torch.cat([prior, current])).chunk(2)
        return first, second

    @property
    def _parts(self) -> EncodingNetwork:
        return cast(EncodingNetwork, self.encoder)
