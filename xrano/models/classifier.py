"""The network that every study of xrano trains: a backbone that meets the explainable protocol."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xrano.channels import ChannelLayout
from xrano.errors import ModelError, UnknownNameError
from xrano.models.stems import STEMS


class ResponseClassifier(nn.Module):
    """A backbone over the channels of both scans, offering what explaining it needs.

    It is one way to meet :class:`xrano.channels.ExplainableModel`; any module with the same three
    attributes is as good.

    Args:
        backbone: maps what the stem makes of ``(batch, len(layout), i, j, k)`` to logits
            ``(batch, num_classes)``.
        layout: which input channel is which.
        num_classes: number of logits.
        cam_layers: modules of the backbone for class activation maps, coarse to fine; empty if
            there are none.
        stem: how the scans come in, a key of :data:`xrano.models.stems.STEMS`.
        cam_note: why there is no layer for class activation maps, and which methods fit.

    Raises:
        ModelError: if a layer named is not a module of the backbone.
        UnknownNameError: if there is no such stem.
    """

    def __init__(
        self,
        backbone: nn.Module,
        layout: ChannelLayout,
        num_classes: int,
        cam_layers: tuple[str, ...],
        *,
        stem: str = "concat",
        cam_note: str = "",
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise UnknownNameError("stem", stem, STEMS)
        known = dict(backbone.named_modules())
        for name in cam_layers:
            if name not in known:
                raise ModelError(f"the backbone has no module {name!r} for class activation maps")
        self.backbone = backbone
        self.layout = layout
        self.num_classes = num_classes
        self.cam_layers = tuple(f"backbone.{name}" for name in cam_layers)
        self.stem = stem
        self.cam_note = cam_note

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``(batch, num_classes)`` of ``(batch, channel, i, j, k)``.

        Raises:
            ModelError: if the input has another number of channels or axes.
        """
        if inputs.ndim != 5 or inputs.shape[1] != len(self.layout):
            raise ModelError(
                f"this network needs (batch, {len(self.layout)}, i, j, k) with channels "
                f"{', '.join(self.layout.names)}; got shape {tuple(inputs.shape)}"
            )
        logits: Tensor = self.backbone(STEMS[self.stem].arrange(inputs))
        return logits


def initialise(model: nn.Module, seed: int) -> None:
    """Give every layer fresh random weights by its own default, leaving the global RNG alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
