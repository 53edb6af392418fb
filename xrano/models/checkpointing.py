"""Activation checkpointing: a training step in less memory, for about a third more time.

A segment of the network keeps only its input; what lies between is computed again in the backward
pass (Chen et al. 2016, arXiv:1604.06174). Gradients are those of the plain network to rounding.
It acts in training alone: maps of an evaluated network are made by plain passes, whose memory
:mod:`xrano.attribution` measures and plans with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

Segment = Sequence[nn.Module]
"""Modules that run one after another, of which only the first one's input is kept."""


def run_segments(
    segments: Iterable[Segment], values: Tensor, *, recompute: bool, randomness: bool = False
) -> Tensor:
    """Run segments one after another.

    Args:
        segments: each a sequence of modules.
        values: what the first one is given.
        recompute: keep only the segments' inputs for the backward pass.
        randomness: the segments draw random numbers (dropout), which must be drawn again alike.
    """
    for segment in segments:
        if recompute:
            values = checkpoint(
                partial(_run, segment),
                values,
                use_reentrant=False,
                preserve_rng_state=randomness,
                context_fn=partial(_contexts, segment),
            )
        else:
            values = _run(segment, values)
    return values


def _run(segment: Segment, values: Tensor) -> Tensor:
    for module in segment:
        values = module(values)
    return values


def _contexts(
    segment: Segment,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _statistics_kept(segment)


@contextmanager
def _statistics_kept(segment: Segment) -> Iterator[None]:
    """Let batch normalisation note its statistics in copies that are thrown away.

    The second run of a segment would move the running mean a second time.
    """
    layers = [
        layer for module in segment for layer in module.modules() if isinstance(layer, _BatchNorm)
    ]
    owned = [dict(layer.named_buffers(recurse=False)) for layer in layers]
    for layer, buffers in zip(layers, owned, strict=True):
        for name, buffer in buffers.items():
            setattr(layer, name, buffer.clone())
    try:
        yield
    finally:
        for layer, buffers in zip(layers, owned, strict=True):
            for name, buffer in buffers.items():
                setattr(layer, name, buffer)


def in_groups(modules: Iterable[nn.Module]) -> list[Segment]:
    """√n groups of √n modules: about the least memory for one more forward pass.

    Example:
        >>> [len(group) for group in in_groups([nn.ReLU()] * 12)]
        [4, 4, 4]
    """
    items = list(modules)
    size = max(1, -int(-(len(items) ** 0.5) // 1))
    return [items[start : start + size] for start in range(0, len(items), size)]
