"""What the methods share while one pair is explained: the network, the scans, the shared pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from xrano.attribution.baselines import make_baseline
from xrano.attribution.memory import most_points
from xrano.attribution.method_spec import Attribution, CamFunction
from xrano.attribution.model_state import run
from xrano.attribution.placement import Place
from xrano.attribution.settings import AttributionSettings
from xrano.attribution.shared_pass import SharedPass, guided_gradients
from xrano.attribution.targets import Objective, TargetLike
from xrano.channels import ChannelLayout
from xrano.errors import ConfigError

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest


@dataclass(frozen=True)
class Regions:
    """Places that are hidden together.

    Args:
        labels: integers ``(i, j, k)``; each value is one region.
        names: of values; a value without one is called by its number.
    """

    labels: Tensor
    names: Mapping[int, str] = field(default_factory=dict)

    def name(self, value: int) -> str:
        """The name of a value."""
        return self.names.get(value, str(value))


PlaceOf = Callable[[str], Place]
"""Where the cells of a layer lie in the scan."""


@dataclass
class Work:
    """One pair being explained.

    ``references``: baselines of the data set; ``regions``: what a method that hides regions needs;
    ``place_of``: where a layer's cells lie, ``None`` if nobody knows; ``recompute``: whether
    activations are computed again in backward passes; ``point_bytes``: what the graph of one point
    takes, if that is known.
    """

    model: nn.Module
    layout: ChannelLayout
    inputs: Tensor
    brain: Tensor
    settings: AttributionSettings
    shared: SharedPass
    layers: Mapping[str, tuple[str, ...]]
    references: Mapping[str, Tensor]
    regions: Regions | None
    place_of: PlaceOf | None
    recompute: bool = False
    point_bytes: int | None = None
    _guided: dict[TargetLike, Tensor] = field(default_factory=dict)
    _logits: dict[str, Tensor] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        """What is explained."""
        return self.shared.objective

    @property
    def targets(self) -> tuple[TargetLike, ...]:
        """The targets, each once."""
        return self.objective.targets

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the scans."""
        i, j, k = self.inputs.shape[2:]
        return i, j, k

    @property
    def at_once(self) -> int:
        """Most points of a chunk."""
        if self.recompute:
            # Chosen because one point alone is too much to keep.
            return 1
        chunk = self.settings.chunk
        if chunk is not None:
            return chunk
        return most_points(self.inputs.device, self.inputs[0, 0].numel())

    def baseline(self, name: str) -> Tensor:
        """A reference input by name, as :func:`~xrano.attribution.baselines.make_baseline`."""
        return make_baseline(
            name,
            self.inputs,
            self.layout,
            self.brain,
            references=self.references,
            blur=self.settings.blur,
        )

    def guided(self) -> Mapping[TargetLike, Tensor]:
        """Guided gradients, computed once."""
        if not self._guided:
            self._guided.update(guided_gradients(self.model, self.inputs, self.objective))
        return self._guided

    def outputs(self) -> Tensor:
        """The numbers explained, ``(target,)`` in float64, at the scans."""
        return self.objective.values(self.shared.logits)[0].double()

    def baseline_outputs(self, name: str) -> Tensor:
        """The numbers explained, ``(row, target)`` in float64, at a baseline; computed once."""
        if name not in self._logits:
            with torch.no_grad():
                # One by one: a batch would cost the memory that chunks are chosen to save.
                logits = [run(self.model, row[None]) for row in self.baseline(name)]
            self._logits[name] = torch.cat(logits)
        return self.objective.values(self._logits[name]).double()

    def largest_change(self, name: str) -> float:
        """The largest change of any class's output between a baseline and the scans.

        The same whatever the targets, it is the scale that completeness gaps are held against.
        """
        self.baseline_outputs(name)
        classes = range(self.shared.logits.shape[1])
        every = Objective(classes, len(classes), self.settings.output)
        here, there = every.values(self.shared.logits), every.values(self._logits[name])
        return float((here - there).abs().max())

    def place(self, layer: str) -> Place | None:
        """Where a layer's cells lie in the scans; ``None`` if nobody knows."""
        return None if self.place_of is None else self.place_of(layer)

    def need_regions(self, method: str) -> Regions:
        """The regions brought.

        Raises:
            ConfigError: if there are none, or they do not lie on the scans' grid.
        """
        if self.regions is None:
            raise ConfigError(
                f"{method} hides the regions of a segmentation, and none was given; occlusion and "
                "occlusion_supervoxels make their own"
            )
        labels = self.regions.labels
        if tuple(labels.shape) != self.shape or labels.is_floating_point():
            raise ConfigError(
                f"{method} needs integer labels of shape {self.shape}, got {labels.dtype} "
                f"{tuple(labels.shape)}"
            )
        return self.regions

    def cam(self, request: MethodRequest, function: CamFunction) -> list[Attribution]:
        """A class activation map of the shared pass, at each of a method's layers."""
        found = []
        for layer in self.layers[request.method]:
            for target in self.targets:
                values = self.shared.cams[function, layer, target]
                found.append(
                    self.result(
                        request,
                        target,
                        values,
                        layer=layer,
                        grid_layer=layer,
                        details=remark(values),
                    )
                )
        return found

    def result(
        self,
        request: MethodRequest,
        target: TargetLike,
        values: Tensor,
        *,
        layer: str | None = None,
        grid_layer: str | None = None,
        convergence_delta: float | None = None,
        details: Mapping[str, Any] | None = None,
        unread: tuple[str, ...] = (),
    ) -> Attribution:
        """One result, with the settings that its method reads, but for those ``unread`` now."""
        read = {
            name: getattr(self.settings, name)
            for name in request.spec.settings
            if name not in ("layer", "memory_gb", *unread)
        }
        return Attribution(
            request,
            target,
            values,
            layer,
            convergence_delta,
            self.settings.output,
            grid_layer,
            {**read, **(details or {})},
        )


def remark(values: Tensor) -> dict[str, str]:
    """What to know of a map that has no positive part: it is kept, and marked."""
    if not values.any():
        return {"remark": "zero_map"}
    return {"remark": "no_positive_part"} if float(values.max()) <= 0 else {}
