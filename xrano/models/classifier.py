"""The network that every study of xrano trains: a backbone that meets the explainable protocol."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xrano.channels import ChannelLayout
from xrano.errors import ModelError


class ResponseClassifier(nn.Module):
    """A backbone over the channels of both scans, offering what explaining it needs.

    It is one way to meet :class:`xrano.channels.ExplainableModel`; any module with the same three
    attributes is as good.

    Args:
        backbone: maps ``(batch, len(layout), i, j, k)`` to logits ``(batch, num_classes)``.
        layout: which input channel is which.
        num_classes: number of logits.
        cam_layers: modules of the backbone for class activation maps, coarse to fine; empty if
            there are none.

    Raises:
        ModelError: if a layer named is not a module of the backbone.
    """

    def __init__(
        self,
        backbone: nn.Module,
        layout: ChannelLayout,
        num_classes: int,
        cam_layers: tuple[str, ...],
    ) -> None:
        super().__init__()
        known = dict(backbone.named_modules())
        for name in cam_layers:
            if name not in known:
                raise ModelError(f"the backbone has no module {name!r} for class activation maps")
        self.backbone = backbone
        self.layout = layout
        self.num_classes = num_classes
        self.cam_layers = tuple(f"backbone.{name}" for name in cam_layers)

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
        logits: Tensor = self.backbone(inputs)
        return logits


def initialise(model: nn.Module, seed: int) -> None:
    """Give every layer fresh random weights by its own default, leaving the global RNG alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
