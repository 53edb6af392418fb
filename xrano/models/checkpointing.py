"""Activation checkpointing: a backward pass in less memory, for about a third more time.

A segment of the network keeps only its input; what lies between is computed again in the backward
pass (Chen et al. 2016, arXiv:1604.06174). Gradients are those of the plain network to rounding.

A network computes again in training if it is told to (``checkpointing``), and in any mode inside
:meth:`Recomputing.recomputing`, which explaining enters where one pass would not fit its memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

Segment = Sequence[nn.Module]
"""Modules that run one after another, of which only the first one's input is kept."""


class Recomputing:
    """A module that runs others one after another and may keep only some of what they give.

    ``checkpointing``: computes again in training.
    """

    training: bool
    checkpointing: bool = False
    _whole: frozenset[nn.Module] | None = None

    @contextmanager
    def recomputing(self, whole: Collection[nn.Module] = ()) -> Iterator[None]:
        """Compute activations again in the backward passes of what runs inside, in any mode.

        A backward pass may run inside or later, and several may follow one forward pass; each
        computes anew.

        Args:
            whole: modules that keep all of their activations, since their output is taken, or
                replaced, by a hook, which must see each forward pass once.
        """
        before, self._whole = self._whole, frozenset(whole)
        try:
            yield
        finally:
            self._whole = before

    def run_through(
        self,
        modules: Iterable[nn.Module],
        values: Tensor,
        *,
        size: int | None = None,
        randomness: bool = False,
    ) -> Tensor:
        """Run modules one after another, in segments if activations are computed again.

        A module that computes again by itself stands alone, between segments.

        Args:
            modules: run in this order.
            values: what the first one is given.
            size: modules of a segment; all that follow one another if not given.
            randomness: as for :func:`run_segments`.
        """
        training = self.checkpointing and self.training
        if not torch.is_grad_enabled() or not (training or self._whole is not None):
            return _run(list(modules), values)
        hooked = False
        for alone, following in groupby(modules, self._stands_alone):
            group = list(following)
            if hooked and not alone:
                # What a hook gave is the segment's input, which a first step in place would spoil.
                group = [_Copy(), *group]
            hooked = not isinstance(group[-1], Recomputing) and alone
            segments: list[Segment] = [group]
            if size is not None and not alone:
                segments = in_groups(group, size)
            values = run_segments(segments, values, recompute=not alone, randomness=randomness)
        return values

    def _stands_alone(self, module: nn.Module) -> bool:
        whole = self._whole or frozenset()
        return isinstance(module, Recomputing) or not whole.isdisjoint(module.modules())


class Spine(Recomputing, nn.Sequential):
    """A ``Sequential`` that may keep only some of its modules' outputs.

    Args:
        modules: by name, in the order in which they run.
        size: modules of a segment; all that follow one another if not given.
        checkpointing: compute again in training.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        *,
        size: int | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.checkpointing = checkpointing
        self._size = size

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """What the last module gives."""
        return self.run_through(self.children(), input, size=self._size)


class _Copy(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.clone()


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
    return nullcontext(), _StatisticsKept(segment)


class _StatisticsKept(AbstractContextManager[None]):
    """Lets batch normalisation note its statistics in copies that are thrown away.

    The second run of a segment would move the running mean a second time. It is entered once a
    backward pass, of which several may follow one forward pass.
    """

    def __init__(self, segment: Segment) -> None:
        self._layers = [
            layer
            for module in segment
            for layer in module.modules()
            if isinstance(layer, _BatchNorm) and layer.training
        ]
        self._owned: list[dict[str, Tensor]] = []

    def __enter__(self) -> None:
        self._owned = [dict(layer.named_buffers(recurse=False)) for layer in self._layers]
        for layer, buffers in zip(self._layers, self._owned, strict=True):
            for name, buffer in buffers.items():
                setattr(layer, name, buffer.clone())

    def __exit__(self, *_: object) -> None:
        for layer, buffers in zip(self._layers, self._owned, strict=True):
            for name, buffer in buffers.items():
                setattr(layer, name, buffer)


def in_groups(modules: Iterable[nn.Module], size: int | None = None) -> list[Segment]:
    """Groups of ``size``; if not given, √n groups of √n modules.

    √n of each is about the least memory for one more forward pass.

    Example:
        >>> [len(group) for group in in_groups([nn.ReLU()] * 12)]
        [4, 4, 4]
        >>> [len(group) for group in in_groups([nn.ReLU()] * 3, 2)]
        [2, 1]
    """
    items = list(modules)
    size = root_size(len(items)) if size is None else size
    return [items[start : start + size] for start in range(0, len(items), size)]


def root_size(count: int) -> int:
    """√n, rounded up.

    Example:
        >>> [root_size(count) for count in (1, 4, 5, 64)]
        [1, 2, 3, 8]
    """
    return max(1, -int(-(count**0.5) // 1))
