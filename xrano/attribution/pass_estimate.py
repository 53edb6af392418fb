"""What a pass takes, estimated without running it: on tensors that have a shape and no values."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xrano.attribution.memory import LiveBytes, graph_bytes
from xrano.attribution.model_state import require_explainable
from xrano.attribution.shared_pass import capture

Shape = tuple[int, int, int]
"""Voxels along i, j, k."""


@contextmanager
def recomputing(model: nn.Module, whole: Collection[nn.Module] = ()) -> Iterator[bool]:
    """Inside, backward passes compute activations again, as far as the network offers it.

    A network offers it by modules (itself or any inside) with a method ``recomputing(whole)`` that
    gives a context manager (:class:`xrano.models.checkpointing.Recomputing`). Modules in ``whole``
    must run once a forward: their output is captured by hooks. Yields whether anything is offered.
    """
    with ExitStack() as stack:
        offered = False
        for module in model.modules():
            offer = getattr(module, "recomputing", None)
            if callable(offer):
                stack.enter_context(offer(whole))
                offered = True
        yield offered


def estimate_graph_bytes(
    model: nn.Module,
    shape: Shape,
    starts: Sequence[nn.Module] = (),
    beside: Sequence[Tensor] = (),
) -> int | None:
    """What one forward keeps for its backward, weights included, without running it.

    Args:
        model: the network; untouched.
        shape: voxels of the scans.
        starts: modules that the graph starts at; at the scans if there are none.
        beside: what the network is given beside the scans.

    Returns:
        Bytes; ``None`` if the network does not run on tensors without values.
    """
    with graph_bytes() as graph:
        ran = _run_without_values(model, shape, starts, beside, backward=False)
    return graph.total if ran else None


def estimate_live_bytes(
    model: nn.Module, shape: Shape, starts: Sequence[nn.Module], beside: Sequence[Tensor]
) -> int | None:
    """The most that is alive in a forward and a backward pass, scans and weights included."""
    with LiveBytes() as live:
        ran = _run_without_values(model, shape, starts, beside, backward=True)
    return live.most if ran else None


def _run_without_values(
    model: nn.Module,
    shape: Shape,
    starts: Sequence[nn.Module],
    beside: Sequence[Tensor],
    *,
    backward: bool,
) -> bool:
    """Whether the network ran on tensors without values."""
    channels = len(require_explainable(model).layout)
    try:
        shadow, copies = _without_values(model)
        dtype = next((p.dtype for p in shadow.parameters() if p.is_floating_point()), None)
        inputs = torch.empty((1, channels, *shape), device="meta", dtype=dtype or torch.float32)
        inputs.requires_grad_(not starts)
        given = (inputs.clone(), *(item.detach().to("meta") for item in beside))
        captured: list[Tensor] = []
        with (
            torch.random.fork_rng(devices=[]),
            torch.enable_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            for module in starts:
                capture(copies[id(module)], captured)
            logits = shadow(*given)
            if backward:
                torch.autograd.grad(logits.sum(), captured or [inputs])
    except Exception:
        # It is an estimate; a network that fails says so when it runs.
        return False
    return True


def _without_values(model: nn.Module) -> tuple[nn.Module, dict[int, Any]]:
    """A copy in evaluation mode with weights that have no values, and copies by their model's id.

    A copy, since hooks and counters of the network itself should not notice.
    """
    copies: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(tensor, device="meta", requires_grad=False)
        is_weight = isinstance(tensor, nn.Parameter)
        copies[id(tensor)] = nn.Parameter(empty, requires_grad=False) if is_weight else empty
    shadow = copy.deepcopy(model, copies).eval()
    for module in shadow.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.clear()
    return shadow, copies
