"""One forward for everything that is a gradient at the scans themselves.

It serves saliency, input × gradient and every class activation map at every layer, for all
targets. If the input's gradients are not wanted, nothing before the first layer is differentiated:
the graph starts there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from xrano.attribution.method_spec import CamFunction
from xrano.attribution.model_state import accumulating, run
from xrano.attribution.targets import Objective, TargetLike
from xrano.errors import ModelError


@dataclass(frozen=True)
class LayerUse:
    """A layer and the maps to make of it; ``runs_often``: it may run more than once a forward."""

    name: str
    module: nn.Module
    cams: tuple[CamFunction, ...]
    runs_often: bool = False


@dataclass(frozen=True)
class SharedPass:
    """What the one forward gives.

    ``logits`` ``(1, class)``; ``inputs``: the gradient of each target by the input
    ``(channel, i, j, k)``; ``cams``: the map ``(1, a, b, c)`` of each CAM function, layer name and
    target.
    """

    logits: Tensor
    objective: Objective
    inputs: Mapping[TargetLike, Tensor] = field(default_factory=dict)
    cams: Mapping[tuple[CamFunction, str, TargetLike], Tensor] = field(default_factory=dict)


def shared_pass(
    model: nn.Module,
    inputs: Tensor,
    objective_of: Callable[[Tensor], Objective],
    *,
    by_input: bool,
    layers: Sequence[LayerUse] = (),
) -> SharedPass:
    """Gradients of all targets in one forward and the fewest backwards.

    Args:
        model: the network, prepared by :func:`xrano.attribution.model_state.explaining`.
        inputs: ``(1, channel, i, j, k)``; not changed.
        objective_of: what to explain, given the logits.
        by_input: whether gradients by the input are wanted.
        layers: the layers with their maps.

    Raises:
        ModelError: if a layer is not on the way to the logits, runs more than once, or does not
            give ``(1, feature, a, b, c)``.
    """
    leaf = inputs.detach().clone().requires_grad_(by_input)
    captured: dict[str, list[Tensor]] = {use.name: [] for use in layers}
    handles = [capture(use.module, captured[use.name]) for use in layers]
    try:
        logits = run(model, leaf)
    finally:
        for handle in handles:
            handle.remove()
    for use in layers:
        _check_runs(use, len(captured[use.name]))
    objective = objective_of(logits)
    sources = [leaf] * by_input + [tensor for use in layers for tensor in captured[use.name]]
    if not sources:
        return SharedPass(logits.detach(), objective)
    by_inputs: dict[TargetLike, Tensor] = {}
    cams: dict[tuple[CamFunction, str, TargetLike], Tensor] = {}
    for target, gradients in objective.gradients(logits, sources):
        remaining = iter(gradients)
        if by_input:
            by_inputs[target] = next(remaining)[0]
        for use in layers:
            wide = accumulating(leaf.dtype)
            features = [tensor.detach().to(wide) for tensor in captured[use.name]]
            slopes = [next(remaining).to(wide) for _ in features]
            # At once, so that a fine layer's gradients are held for one target only.
            for cam in use.cams:
                cams[cam, use.name, target] = cam(features, slopes)[None]
    return SharedPass(logits.detach(), objective, by_inputs, cams)


def capture(module: nn.Module, kept: list[Tensor]) -> RemovableHandle:
    """Note what a module gives in each forward; if it depends on no leaf yet, it becomes one.

    Raises, while the network runs:
        ModelError: if it is not ``(batch, feature, a, b, c)``.
    """

    def note(_module: nn.Module, _args: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 5:
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ModelError(
                f"a class activation map needs a layer that gives (batch, feature, a, b, c), "
                f"this one gives {found}"
            )
        # What depends on no leaf yet becomes one: nothing before it is differentiated.
        output = output if output.requires_grad else output.detach().requires_grad_(True)
        kept.append(output)
        # What follows may work in place (ReLU): it gets a copy, the captured tensor stays.
        return output.clone()

    return module.register_forward_hook(note)


def _check_runs(use: LayerUse, runs: int) -> None:
    if runs == 1 or (runs and use.runs_often):
        return
    raise ModelError(
        f"a class activation map needs a layer that runs once a forward, {use.name} ran {runs} "
        "times; take one that the way to the logits passes once"
    )


def guided_gradients(
    model: nn.Module, inputs: Tensor, objective: Objective
) -> dict[TargetLike, Tensor]:
    """Gradients by the input that pass every ReLU only where they are positive.

    Any ReLU counts, module or function, in place or not, used once or again.

    Args:
        model: the network, prepared by :func:`xrano.attribution.model_state.explaining`.
        inputs: ``(1, channel, i, j, k)``.
        objective: what is explained; every target takes a backward pass of its own, since what is
            cut off depends on it.

    Raises:
        ModelError: if the network has no ReLU.
    """
    leaf = inputs.detach().clone().requires_grad_(True)
    with _RectifierHooks() as rectifiers:
        logits = run(model, leaf)
    if not rectifiers.met:
        raise ModelError(
            f"guided backpropagation changes the gradient at ReLUs and {type(model).__name__} ran "
            "none (a transformer uses GELU): it would be the plain gradient; saliency, smoothgrad "
            "and ig fit any network"
        )
    found: dict[TargetLike, Tensor] = {}
    slopes = objective.slopes(logits)
    for row, target in enumerate(objective.targets):
        last = row == len(objective.targets) - 1
        (gradient,) = torch.autograd.grad(logits, leaf, slopes[:, row], retain_graph=not last)
        found[target] = gradient[0].detach()
    return found


_RECTIFIERS = {
    torch.relu,
    torch.relu_,
    torch.nn.functional.relu,
    torch.nn.functional.relu_,
    Tensor.relu,
    Tensor.relu_,
}


class _RectifierHooks(torch.overrides.TorchFunctionMode):
    """Clips the gradient at the output of each ReLU that runs inside at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if func in _RECTIFIERS:
            self.met += 1
            if result.requires_grad:
                result.register_hook(lambda gradient: gradient.clamp(min=0))
        return result
