"""How many bytes a pass through the network keeps, and how many points fit into a chunk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks


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
