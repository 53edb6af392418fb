"""Leave a network exactly as it was found: mode, gradients, hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from xrano.channels import ExplainableModel
from xrano.errors import ModelError, UnknownNameError


@contextmanager
def explaining(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and parameters without gradients while inside; as before afterwards.

    The mode is restored module by module, since a network may be partly frozen. The global random
    state is restored too, should a module draw from it in evaluation mode.
    """
    modes = {name: module.training for name, module in model.named_modules()}
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    devices = {parameter.device.index for parameter in model.parameters() if parameter.is_cuda}
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    try:
        with torch.random.fork_rng(devices=sorted(devices)), torch.enable_grad():
            yield
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted[name])


def require_explainable(model: nn.Module) -> ExplainableModel:
    """The model itself, if it offers :class:`xrano.channels.ExplainableModel`.

    Raises:
        ModelError: naming the attributes that are missing.
    """
    missing = [name for name in ("layout", "num_classes", "cam_layers") if not hasattr(model, name)]
    if missing or not isinstance(model, ExplainableModel):
        raise ModelError(
            f"{type(model).__name__} cannot be explained: it lacks {', '.join(missing)}; see "
            "xrano.channels.ExplainableModel"
        )
    return model


def require_logits(logits: object, model: nn.Module, batch: int) -> Tensor:
    """The logits, if they are finite numbers of shape ``(batch, num_classes)``.

    Raises:
        ModelError: for another type or shape, or NaN or infinite values.
    """
    num_classes = require_explainable(model).num_classes
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (batch, num_classes):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"the network must give logits ({batch}, {num_classes}), gave {found}")
    if not torch.isfinite(logits).all():
        raise ModelError(
            f"the network gave NaN or infinite logits: {logits.detach().cpu().tolist()}"
        )
    return logits


def find_layer(model: nn.Module, layer: str | None) -> tuple[str, nn.Module]:
    """The module to take class activation maps from.

    Args:
        model: the network.
        layer: a name of ``named_modules()``, or ``None`` for the network's own coarsest.

    Raises:
        ModelError: if no layer is named and the network offers none.
        UnknownNameError: if there is no such module; the message lists the offered layers.
    """
    offered = require_explainable(model).cam_layers
    if layer is None:
        if not offered:
            # A network of ours that has none says why, and what fits it.
            if note := str(getattr(model, "cam_note", "")):
                raise ModelError(note)
            raise ModelError(
                "this network names no layers for class activation maps (cam_layers is empty); "
                "name one with --layer"
            )
        layer = offered[0]
    modules = dict(model.named_modules())
    if layer not in modules or not layer:
        raise UnknownNameError("layer", layer, offered or list(modules)[1:])
    return layer, modules[layer]
