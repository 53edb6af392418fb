"""Whether one pass fits the memory: as it is, with activations computed again, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from xrano.attribution.memory import told_size
from xrano.attribution.pass_estimate import (
    Shape,
    estimate_graph_bytes,
    estimate_live_bytes,
    recomputing,
)
from xrano.attribution.settings import AttributionSettings
from xrano.errors import ConfigError

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest


_KNOWN: WeakKeyDictionary[nn.Module, dict[Any, PassMemory]] = WeakKeyDictionary()
# An estimate takes as long as a tenth of the passes, and pairs of one network are mostly alike.


@dataclass(frozen=True)
class PassMemory:
    """What one pass takes, in bytes, beside the budget.

    ``kept``: with all activations kept for the backward pass; ``None`` if the network does not run
    without values, 0 if there is no backward pass. ``again``: with activations computed again;
    ``None`` where that is not needed or brings nothing. Weights are in both.
    """

    kept: int | None
    again: int | None
    budget: float

    @property
    def recompute(self) -> bool:
        """Whether activations are computed again."""
        return self.again is not None

    @property
    def fits(self) -> bool:
        """Whether one pass fits, in one way or the other; unknown counts as yes."""
        return self.least <= self.budget

    @property
    def least(self) -> int:
        """The smallest budget that will do; 0 if unknown."""
        return (self.kept or 0) if self.again is None else self.again

    def require(self, requests: Sequence[MethodRequest]) -> None:
        """Refuse what does not fit.

        Raises:
            ConfigError: naming the method, what it takes, and what to do.
        """
        for request in requests:
            spec = request.spec
            if not (spec.by_input or spec.cams or spec.graphs):
                continue
            if not spec.recomputes and spec.graphs * (self.kept or 0) > self.budget:
                needed = told_size(spec.graphs * (self.kept or 0))
                raise ConfigError(
                    f"{request.label} keeps the activations of {spec.graphs or 1} scan(s) at once: "
                    f"{needed}, more than the memory of {told_size(self.budget)}; give --memory "
                    f"{needed}, or take ig or saliency, which can compute them again"
                )
            self.require_fit(request.label)

    def require_fit(self, name: str) -> None:
        """Refuse a budget that one pass exceeds in either way.

        Raises:
            ConfigError: with the least that will do.
        """
        if not self.fits:
            how = "computing activations again" if self.recompute else "keeping its activations"
            raise ConfigError(
                f"{name} takes {told_size(self.least)} for one pass, {how}, more than the memory "
                f"of {told_size(self.budget)}; give --memory {told_size(self.least)} or more, a "
                "coarser grid, or a smaller network"
            )

    def text(self) -> str:
        """One line; empty if nothing is known or kept."""
        if not self.kept:
            return ""
        kept, budget = f"{self.kept / 1e9:.2f} GB", f"{self.budget / 1e9:.2f} GB"
        if self.kept <= self.budget:
            return f"memory: {kept} for the graph of one pass, of a budget of {budget}"
        again = "" if self.again is None else f"{self.again / 1e9:.2f} GB"
        if self.fits:
            return (
                f"memory: {again} for one pass that computes activations again in each backward "
                f"({kept} if it kept them), of a budget of {budget}"
            )
        return (
            f"memory: {kept} for the graph of one pass, more than the budget of {budget}"
            f"{f', and {again} if activations are computed again' if again else ''}; give --memory "
            f"{told_size(self.least)} or more, a coarser grid, or a smaller network"
        )


def plan_memory(
    model: nn.Module,
    shape: Shape,
    requests: Sequence[MethodRequest],
    layers: Mapping[str, Sequence[str]],
    settings: AttributionSettings,
) -> PassMemory:
    """What a pass of these methods takes, and whether activations are computed again.

    Args:
        model: the network; untouched.
        shape: voxels of the scans.
        requests: the methods.
        layers: names of each method's layers.
        settings: with the budget.
    """
    cams = cam_modules(model, requests, layers)
    by_input = any(request.spec.by_input or request.spec.graphs for request in requests)
    if not by_input and not cams:
        return PassMemory(0, None, settings.memory_bytes)
    budget = settings.memory_bytes
    weights = [(tuple(item.shape), item.dtype) for item in model.parameters()]
    key = (shape, by_input, tuple(map(id, cams)), budget, tuple(weights))
    known = _KNOWN.setdefault(_first_layer(model), {})
    if key not in known:
        known[key] = pass_memory(model, shape, budget, starts=() if by_input else cams, whole=cams)
    return known[key]


def _first_layer(model: nn.Module) -> nn.Module:
    """What stands for a network: wrappers that hold one pair's clinical data share it."""
    return next((module for module in model.modules() if [*module.parameters(False)]), model)


def pass_memory(
    model: nn.Module,
    shape: Shape,
    budget: float,
    *,
    starts: Sequence[nn.Module] = (),
    whole: Sequence[nn.Module] = (),
    beside: Sequence[Tensor] = (),
) -> PassMemory:
    """What a forward and a backward pass take.

    Args:
        model: the network; untouched.
        shape: voxels of the scans.
        budget: in bytes; how activations are treated follows from it.
        starts: as for :func:`estimate_graph_bytes`.
        whole: as for :func:`recomputing`.
        beside: what the network is given beside the scans.
    """
    kept = estimate_graph_bytes(model, shape, starts, beside)
    again = None
    if kept is not None and kept > budget:
        with recomputing(model, whole) as offered:
            again = estimate_live_bytes(model, shape, starts, beside) if offered else None
    return PassMemory(kept, None if again is None or again >= (kept or 0) else again, budget)


def cam_modules(
    model: nn.Module, requests: Sequence[MethodRequest], layers: Mapping[str, Sequence[str]]
) -> list[nn.Module]:
    """The modules whose output class activation maps are made of."""
    modules = dict(model.named_modules())
    names = [name for one in requests if one.spec.cams for name in layers[one.method]]
    return [modules[name] for name in dict.fromkeys(names)]
