"""One forward, one backward a class: the gradients that saliency and Grad-CAM share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xrano.attribution.model_state import require_logits
from xrano.errors import ModelError


@dataclass(frozen=True)
class ClassGradients:
    """What one forward and one backward a target give.

    ``targets`` are the classes differentiated;
    ``inputs[target]`` is the gradient of that logit by the input ``(1, channel, i, j, k)``;
    ``layer[target]`` by the layer's output ``activation`` ``(1, feature, a, b, c)``.
    Each is empty or ``None`` if it was not asked for.
    """

    logits: Tensor
    targets: tuple[int, ...]
    inputs: Mapping[int, Tensor]
    activation: Tensor | None
    layer: Mapping[int, Tensor]


def class_gradients(
    model: nn.Module,
    inputs: Tensor,
    targets: Sequence[int] | None,
    *,
    by_input: bool,
    layer: nn.Module | None,
) -> ClassGradients:
    """Gradients of several logits in one forward and ``len(targets)`` backwards.

    If only the layer's gradients are wanted, nothing before the layer is differentiated.

    Args:
        model: the network, in evaluation mode with parameters that need no gradient
            (see :func:`xrano.attribution.model_state.explaining`).
        inputs: ``(1, channel, i, j, k)``; not changed.
        targets: class indices; the class of the largest logit if ``None``.
        by_input: whether gradients by the input are wanted.
        layer: the module whose output is wanted with its gradients, if any.

    Raises:
        ModelError: if the layer is not on the way to the logits, runs more than once, or does
            not give ``(1, feature, a, b, c)``.
    """
    captured: list[Tensor] = []

    def capture(_module: nn.Module, _args: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 5:
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ModelError(
                f"a class activation map needs a layer that gives (batch, feature, a, b, c), "
                f"this one gives {found}"
            )
        kept = output if by_input else output.detach().requires_grad_(True)
        captured.append(kept)
        # What follows may work in place (ReLU): it gets a copy, the captured tensor stays.
        return kept.clone()

    leaf = inputs.detach().clone().requires_grad_(by_input)
    handle = layer.register_forward_hook(capture) if layer is not None else None
    try:
        # A network may work in place on what it is given, which a leaf does not allow.
        logits = require_logits(model(leaf.clone()), model, len(inputs))
    finally:
        if handle is not None:
            handle.remove()
    if layer is not None and len(captured) != 1:
        raise ModelError(
            f"a class activation map needs a layer that runs once a forward, this one ran "
            f"{len(captured)} times"
        )
    if targets is None:
        targets = [int(logits[0].detach().argmax())]
    sources = ([leaf] if by_input else []) + captured
    by_inputs: dict[int, Tensor] = {}
    by_layer: dict[int, Tensor] = {}
    for position, target in enumerate(targets):
        gradients = _gradients(logits[0, target], sources, last=position == len(targets) - 1)
        if by_input:
            by_inputs[target] = gradients[0]
        if layer is not None:
            by_layer[target] = gradients[-1]
    activation = captured[0].detach() if captured else None
    return ClassGradients(logits.detach(), tuple(targets), by_inputs, activation, by_layer)


def _gradients(logit: Tensor, sources: list[Tensor], *, last: bool) -> tuple[Tensor, ...]:
    if not sources:
        return ()
    try:
        gradients = torch.autograd.grad(logit, sources, retain_graph=not last)
    except RuntimeError as error:
        raise ModelError(
            f"the logits cannot be differentiated by the input or layer: {error}"
        ) from error
    return tuple(gradient.detach() for gradient in gradients)
