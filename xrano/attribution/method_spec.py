"""What a row of the table of methods says, and what one result holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from xrano.attribution.settings import AttributionSettings
from xrano.attribution.targets import TargetLike

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


@dataclass(frozen=True)
class Attribution:
    """One map of one method for one target.

    ``values`` is ``(channel, i, j, k)``; ``(1, i, j, k)`` of a method that does not tell channels
    apart; ``(1, a, b, c)`` on the feature grid of ``grid_layer``. ``layer`` names the module that
    it was taken from (several joined by ``+`` if layers are fused), ``target`` is as it was asked
    for, ``output`` the kind of number explained. ``details`` are what the sidecar says besides
    (steps, samples, seed, players, remarks), JSON values only.
    """

    request: MethodRequest
    target: TargetLike
    values: Tensor
    layer: str | None = None
    convergence_delta: float | None = None
    output: str = "logit"
    grid_layer: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What a plan knows before anything runs.

    ``backwards`` is how many backward passes a forward needs for all targets that share one;
    ``targets`` how many targets there are; ``layers`` how many layers.
    """

    settings: AttributionSettings
    request: MethodRequest
    targets: int
    backwards: int
    channels: int
    shape: tuple[int, int, int]
    layers: int
    regions: int
    references: Mapping[str, int]


@dataclass(frozen=True)
class Passes:
    """Forward passes of one pair, backward passes, and what to know of them.

    ``at_most``: fewer may do. ``shared``: a name; steps of one name are made once.
    """

    forwards: int = 0
    backwards: int = 0
    at_most: bool = False
    shared: str = ""


CamFunction = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
"""A map ``(a, b, c)`` of a layer's features ``(1, feature, a, b, c)`` and their gradients, each
once a run of the layer."""


def no_passes(question: Question) -> Passes:  # noqa: ARG001
    """A method for which the shared forward and its backwards are enough."""
    return Passes()


@dataclass(frozen=True)
class MethodSpec:
    """A row of the table.

    ``captum``: Captum's class that defines the method, empty if there is none. ``signed``: whether
    values speak for and against. ``multiplicative`` methods scale with input − baseline and follow
    it even on an untrained network; ``local`` ones say what a small change of a voxel does, and
    must be multiplied by a change to be held against its effect. ``uses_layer``: whether the map
    lies on a layer's grid or is made of one. ``baselines``: reference inputs on offer, the default
    first; ``settings``: fields of :class:`~xrano.attribution.settings.AttributionSettings` that it
    reads; ``stochastic``: draws, from ``seed`` alone. ``fits``: which networks, in words.

    ``compute`` makes the maps, in the order of layers, then targets; ``by_input`` and ``cams`` say
    what of the shared pass it needs, ``passes`` what it needs besides. ``token_layers``: takes
    patch embeddings instead of ``cam_layers``. ``groups``: what regions it needs from the caller.
    ``graphs``: how many scans' graphs it holds at once beside the shared pass, and ``recomputes``:
    whether it works where activations are computed again in the backward pass.
    """

    title: str
    citation: str
    compute: Callable[[Work, MethodRequest], list[Attribution]]
    captum: str = ""
    signed: bool = True
    multiplicative: bool = False
    local: bool = False
    uses_layer: bool = False
    coarse: bool = False
    baselines: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    stochastic: bool = False
    fits: str = "any network"
    by_input: bool = False
    cams: tuple[CamFunction, ...] = ()
    token_layers: bool = False
    fewest_layers: int = 1
    groups: str = ""
    graphs: int = 0
    recomputes: bool = True
    passes: Callable[[Question], Passes] = no_passes
