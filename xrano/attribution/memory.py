"""How many bytes a pass through the network keeps, and how many points fit into a chunk."""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, UntypedStorage, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class GraphBytes:
    """The sum over distinct storages of what autograd saved."""

    total: int = 0
    _seen: set[int] = field(default_factory=set)

    def count(self, tensor: Tensor) -> Tensor:
        """Note one saved tensor; views of one storage count once."""
        storage = tensor.untyped_storage()
        # Tensors without values (meta) have no address; the storage itself has one.
        place = storage._cdata if tensor.is_meta else storage.data_ptr()
        if place not in self._seen:
            self._seen.add(place)
            self.total += storage.nbytes()
        return tensor


@contextmanager
def graph_bytes() -> Iterator[GraphBytes]:
    """Measure the graph that is built inside, weights included."""
    counter = GraphBytes()
    with saved_tensors_hooks(counter.count, lambda tensor: tensor):
        yield counter


class LiveBytes(TorchDispatchMode):
    """Inside, the most bytes of tensors that were alive at once, of those that were made inside.

    Runs on tensors without values (meta) as on others; what kernels need beside is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._now = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: UntypedStorage) -> None:
        place = storage._cdata
        if place in self._alive:
            return
        self._alive.add(place)
        self._now += storage.nbytes()
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._forget, place, storage.nbytes())

    def _forget(self, place: int, size: int) -> None:
        self._alive.discard(place)
        self._now -= size


@dataclass
class LayerBytes:
    """The largest input and output of any one layer."""

    largest: int = 0


LAYERS_ALIVE = 3
"""How many times the largest layer's input and output a forward pass without a graph is taken to
hold: an estimate, since what a network holds on to (shortcuts, concatenations) is its own."""


@contextmanager
def layer_bytes(model: nn.Module) -> Iterator[LayerBytes]:
    """Measure the largest layer of the forward passes made inside."""
    found = LayerBytes()

    def note(_module: nn.Module, args: tuple[object, ...], output: object) -> None:
        tensors = [item for item in (*args, output) if isinstance(item, Tensor)]
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        found.largest = max(found.largest, size)

    leaves = [module for module in model.modules() if not any(module.children())]
    handles = [module.register_forward_hook(note) for module in leaves]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def chunk_size(memory_bytes: float, one: int) -> int:
    """Points that fit into a budget; one at least."""
    return max(1, int(memory_bytes // max(one, 1)))


CPU_POINTS = 4
"""Most points of a chunk on a processor: 4 at once took 0.50 × the time of one by one at
45 × 54 × 45 voxels, 8 at once 0.52 ×."""

CPU_VOXELS = 440_000
"""Most voxels of a chunk of points on a processor: at 90 × 108 × 90 one point at a time was the
fastest, 2 at once took 1.11 × as long and 4 at once 1.18 × (``benchmarks.chunks``, two cores)."""


def most_points(device: torch.device, voxels: int) -> int:
    """Most points of a chunk, whatever the memory, for scans of so many voxels."""
    if device.type != "cpu":
        return sys.maxsize
    return max(1, min(CPU_POINTS, CPU_VOXELS // voxels))


def told_size(size: float) -> str:
    """Bytes as ``--memory`` takes them, rounded up, so that what is told is enough.

    Example:
        >>> told_size(3_114_000_000), told_size(45_210_000), told_size(1)
        ('3.12GB', '45.3MB', '0.1KB')
    """
    for unit, scale, places in (("GB", 1e9, 2), ("MB", 1e6, 1)):
        if size >= scale:
            shown = math.ceil(size / scale * 10**places) / 10**places
            return f"{shown:.{places}f}{unit}"
    return f"{math.ceil(size / 100) / 10:.1f}KB"
