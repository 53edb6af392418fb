"""A network with clinical data held fixed: a network of the images alone, to be explained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xrano.errors import ModelError
from xrano.models.classifier import ResponseClassifier
from xrano.models.late_fusion import ClinicalFusion


def with_clinical(
    model: nn.Module, vector: Tensor | NDArray[np.float32] | Sequence[float]
) -> ResponseClassifier:
    """The network as it sees the images of one pair, whose clinical data are given.

    It meets :class:`xrano.channels.ExplainableModel`, shares the weights and modes of all layers
    with the network, calls them by the same names (so that ``cam_layers`` and ``--layer`` say the
    same) and has the same ``state_dict``.

    Args:
        model: a network with clinical variables.
        vector: ``(2 · variables,)`` or ``(1, 2 · variables)``, as
            :meth:`xrano.data.clinical.ClinicalEncoder.encode` gives it for the pair.

    Raises:
        ModelError: if the network sees no clinical data (or is none of xrano's), or the vector has
            another size or holds NaN or infinity.
    """
    if not isinstance(model, ResponseClassifier) or model.fusion is None:
        raise ModelError(
            f"this {type(model).__name__} sees images alone: there are no clinical data to hold"
        )
    return _HeldClinical(model, model.fusion, torch.as_tensor(vector))


class _HeldClinical(ResponseClassifier):
    """Shares everything with the network but the call."""

    held: Tensor

    def __init__(self, model: ResponseClassifier, fusion: ClinicalFusion, vector: Tensor) -> None:
        super().__init__(
            model.backbone,
            model.layout,
            model.num_classes,
            tuple(name.removeprefix("backbone.") for name in model.cam_layers),
            stem=model.stem,
            cam_note=model.cam_note,
            fusion=fusion,
        )
        self.training = model.training
        needed = 2 * len(self.clinical)
        if vector.numel() != needed or not torch.isfinite(vector).all():
            raise ModelError(
                f"{needed} finite numbers are needed, value and missingness of each of "
                f"{', '.join(self.clinical)}; got {vector.tolist()}"
            )
        home = fusion.clinical.weight
        # No part of the weights, so that their hash stays that of the network.
        held = vector.detach().reshape(1, needed).to(home.device, home.dtype, copy=True)
        self.register_buffer("held", held, persistent=False)

    def forward(self, inputs: Tensor, clinical: Tensor | None = None) -> Tensor:
        """Logits ``(batch, num_classes)`` of images, whose clinical data are the held ones.

        Raises:
            ModelError: if clinical data are given.
        """
        if clinical is not None:
            raise ModelError("this network's clinical data are held; call it with images alone")
        return super().forward(inputs, self.held.expand(len(inputs), -1))
