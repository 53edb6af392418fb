"""DeepLift with the rescale rule (Shrikumar et al., ICML 2017, arXiv:1704.02685).

The multiplier of a nonlinear step is Δoutput / Δinput between the scans and the baseline instead of
its derivative; everything else passes gradients. The rule is put in the place of the function, so
that functional activations, in-place ones and modules that run twice count too, on which Captum
gives another map or fails. Whether the multipliers add up is checked: they do not where features
are multiplied or normalised by one another (attention, layer normalisation, gates).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor
from torch.overrides import TorchFunctionMode

from xrano.attribution.baselines import PATHS
from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question
from xrano.attribution.model_state import accumulating, run
from xrano.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work

EPSILON = 1e-10
"""Below this |Δinput| the derivative stands for the multiplier, as in Captum."""

ADDS_UP = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Largest completeness gap, as a share of the largest change of an output."""


def deeplift(work: Work, request: MethodRequest) -> list[Attribution]:
    """Multipliers times scans − baseline, complete; one forward of both serves every target."""
    if work.settings.precision != "32":
        raise ConfigError(
            "DeepLift divides by differences of activations, which bf16 rounds away; take "
            "--precision 32, or ig"
        )
    baseline = work.baseline(request.baseline)
    leaf = torch.cat([work.inputs, baseline]).detach().requires_grad_(True)
    with _RescaleRule():
        logits = run(work.model, leaf)
    objective = work.objective
    outputs = objective.values(logits.detach()).double()
    changes = (outputs[0] - outputs[1]).tolist()
    difference = (work.inputs - baseline)[0].to(accumulating(work.inputs.dtype))
    largest = work.largest_change(request.baseline)
    results = []
    seeds = _seeds(work, logits)
    for row, (target, change) in enumerate(zip(objective.targets, changes, strict=True)):
        last = row == len(changes) - 1
        (gradient,) = torch.autograd.grad(logits, leaf, seeds[:, row], retain_graph=not last)
        values = gradient[0].detach().to(difference) * difference
        gap = float(values.double().sum()) - change
        if abs(gap) > ADDS_UP[work.inputs.dtype] * max(largest, abs(change)):
            raise ModelError(
                f"DeepLift's multipliers do not add up for this {type(work.model).__name__}: they "
                f"miss {gap:.2g} of a change of {change:.2g}, so it multiplies or normalises "
                "features by one another (attention, layer normalisation, gates); ig and "
                "gradient_shap fit any network"
            )
        results.append(work.result(request, target, values, convergence_delta=gap))
    return results


def _seeds(work: Work, logits: Tensor) -> Tensor:
    """What goes back from the logits of both, ``(2, target, class)``.

    A softmax over classes is not rescaled (its inputs compete), so its numbers are refused.
    """
    if work.settings.output != "logit":
        raise ConfigError("DeepLift explains logits; a probability or log-softmax by ig")
    return work.objective.slopes(logits)


class _Kept(torch.autograd.Function):
    """A step over (scans, baseline) that keeps what a backward of its own needs."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """The step itself."""
        outputs = function(inputs)
        ctx.save_for_backward(inputs, outputs)
        ctx.function = function
        return outputs


class _Rescaled(_Kept):
    """A nonlinear step whose backward is the rescale rule."""

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Gradient times Δoutput / Δinput."""
        inputs, outputs = ctx.saved_tensors
        (gradient,) = gradients
        rise, run_ = _both(outputs), _both(inputs)
        local = _local(ctx.function, inputs, gradient)
        small = run_.abs() < EPSILON
        return torch.where(small, local, gradient * rise / torch.where(small, 1, run_)), None


class _RescaledPool(_Kept):
    """A max pooling, whose change is shared out to both largest voxels."""

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Each voxel's share of gradient · Δoutput, by its Δinput."""
        inputs, outputs = ctx.saved_tensors
        (gradient,) = gradients
        here, there = outputs.chunk(2)
        most = torch.maximum(here, there)
        shares = torch.cat([most - there, here - most]) * gradient
        first, second = _local(ctx.function, inputs, shares).chunk(2)
        change = _both(inputs)
        small = change.abs() < EPSILON
        # One multiplier for both halves, which a pooling further down counts on.
        local = torch.cat([_local(ctx.function, inputs, gradient).chunk(2)[0]] * 2)
        total = torch.cat([first + second] * 2)
        return torch.where(small, local, total / torch.where(small, 1, change)), None


def _both(values: Tensor) -> Tensor:
    """Scans − baseline, for both halves of the batch."""
    here, there = values.chunk(2)
    return torch.cat([here - there] * 2)


def _local(function: Callable[[Tensor], Tensor], inputs: Tensor, gradient: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_(True)
        (found,) = torch.autograd.grad(function(leaf), leaf, gradient)
    return found


def _names(*names: str) -> set[Any]:
    homes = (torch, F, Tensor)
    return {getattr(home, name) for home in homes for name in names if hasattr(home, name)}


_STEPS = _names(
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
    *("sigmoid", "tanh", "hardtanh", "hardswish", "hardsigmoid", "prelu", "logsigmoid"),
    *("exp", "square", "abs"),
)
_STEPS_IN_PLACE = {
    getattr(home, f"{step.__name__}_"): step
    for step in _STEPS
    for home in (torch, F, Tensor)
    if hasattr(home, f"{step.__name__}_")
}
_POOLS = _names("max_pool1d", "max_pool2d", "max_pool3d")


class _RescaleRule(TorchFunctionMode):
    """Runs nonlinear steps by the rescale rule."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = dict(kwargs or {})
        step = _STEPS_IN_PLACE.get(func, func)
        known = step in _STEPS or step in _POOLS
        values = args[0] if args else kwargs.get("input")
        indices = kwargs.get("return_indices", False)
        if not known or indices or not isinstance(values, Tensor) or not values.requires_grad:
            return func(*args, **kwargs)
        kwargs.pop("input", None)
        rest = args[1:]
        in_place = bool(kwargs.pop("inplace", False)) or step is not func
        rule = _RescaledPool if step in _POOLS else _Rescaled
        if step in _STEPS:
            # Some modules say inplace by position. In place, it would spoil what the rule keeps.
            in_place = in_place or any(item is True for item in rest)
            rest = tuple(False if item is True else item for item in rest)
        found = rule.apply(  # type: ignore[no-untyped-call]
            values.clone(), lambda tensor: step(tensor, *rest, **kwargs)
        )
        return values.copy_(found) if in_place else found


def _passes(question: Question) -> Passes:
    return Passes(3, 2 * question.targets)


SPEC = MethodSpec(
    "DeepLift (rescale rule)",
    "Shrikumar et al. 2017, arXiv:1704.02685",
    deeplift,
    captum="DeepLift",
    multiplicative=True,
    baselines=PATHS,
    fits="networks of convolutions, activations and poolings; no attention or layer normalisation",
    graphs=2,
    recomputes=False,
    passes=_passes,
)
