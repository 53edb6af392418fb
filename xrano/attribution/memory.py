"""How many bytes a forward pass keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


@dataclass
class GraphBytes:
    """The sum over distinct storages of what autograd saved."""

    total: int = 0
    _seen: set[int] = field(default_factory=set)

    def count(self, tensor: Tensor) -> Tensor:
        """Note one saved tensor; views of one storage count once."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.total += storage.nbytes()
        return tensor


@contextmanager
def graph_bytes() -> Iterator[GraphBytes]:
    """Measure the graph that is built inside, weights included."""
    counter = GraphBytes()
    with saved_tensors_hooks(counter.count, lambda tensor: tensor):
        yield counter
