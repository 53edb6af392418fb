"""The network that every study of xrano trains: a backbone that meets the explainable protocol."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xrano.channels import ChannelLayout
from xrano.errors import ModelError, UnknownNameError
from xrano.models.late_fusion import ClinicalFusion
from xrano.models.stems import STEMS


class ResponseClassifier(nn.Module):
    """A backbone over the channels of both scans, offering what explaining it needs.

    It is one way to meet :class:`xrano.channels.ExplainableModel`; any module with the same three
    attributes is as good.

    Args:
        backbone: maps what the stem makes of ``(batch, len(layout), i, j, k)`` to logits
            ``(batch, num_classes)``; to the features that ``fusion`` takes, if there is one.
        layout: which input channel is which.
        num_classes: number of logits.
        cam_layers: modules of the backbone for class activation maps, coarse to fine; empty if
            there are none.
        stem: how the scans come in, a key of :data:`xrano.models.stems.STEMS`.
        cam_note: why there is no layer for class activation maps, and which methods fit.
        fusion: makes logits of image features and clinical data; none if images are all it sees.

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
        fusion: ClinicalFusion | None = None,
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
        self.fusion = fusion

    @property
    def clinical(self) -> tuple[str, ...]:
        """The clinical variables that it sees beside the images; empty if none."""
        return self.fusion.variables if self.fusion is not None else ()

    def forward(self, inputs: Tensor, clinical: Tensor | None = None) -> Tensor:
        """Logits ``(batch, num_classes)`` of ``(batch, channel, i, j, k)``.

        Args:
            inputs: both scans.
            clinical: ``(batch, 2 · variables)``, each variable's value and whether it is missing,
                for a network that sees clinical data.

        Raises:
            ModelError: if the input has another number of channels or axes, or there are clinical
                data but the network sees none, or the other way round.
        """
        if inputs.ndim != 5 or inputs.shape[1] != len(self.layout):
            raise ModelError(
                f"this network needs (batch, {len(self.layout)}, i, j, k) with channels "
                f"{', '.join(self.layout.names)}; got shape {tuple(inputs.shape)}"
            )
        if self.fusion is None and clinical is not None:
            raise ModelError(
                "this network sees images alone, but was given clinical data as well; make it "
                "with the names of the variables (clinical=...), or leave them out"
            )
        features: Tensor = self.backbone(STEMS[self.stem].arrange(inputs))
        if self.fusion is None:
            return features
        logits: Tensor = self.fusion(features, clinical)
        return logits


def initialise(model: nn.Module, seed: int) -> None:
    """Give every layer fresh random weights by its own default, leaving the global RNG alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
