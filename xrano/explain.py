"""Pairs × methods × targets → attribution maps, with everything a reader of a map must know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xrano.attribution.devices import device_of, in_best_format, to_device
from xrano.attribution.methods import (
    Attribution,
    AttributionSettings,
    MethodRequest,
    Regions,
    attribute,
)
from xrano.attribution.model_state import require_explainable, unwrapped
from xrano.attribution.pass_time import pass_seconds
from xrano.attribution.placement import Place
from xrano.attribution.plan import Plan, make_plan, resolve_layers
from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import ConfigError, ModelError
from xrano.geometry import Grid
from xrano.maps import MERGED_CHANNEL, AttributionMap
from xrano.models.clinical_fusion import with_clinical
from xrano.models.layer_geometry import feature_grid
from xrano.sidecar import pair_facts, weights_hash
from xrano.target_words import target_meta, targets_of
from xrano.tasks import task_of

ClinicalOf = Callable[[PairVolumes], torch.Tensor]
"""The clinical vector (column,) of a pair, for a network that takes one."""

RegionsOf = Callable[[PairVolumes], Regions]
"""The regions of a pair's segmentations, for methods that hide them."""


@dataclass(frozen=True)
class Explanation:
    """What one network says of one pair, and where it looked.

    ``logits`` and ``probabilities`` are by response; ``maps`` in the order of methods, then
    targets.
    """

    pair: PairVolumes
    logits: Mapping[str, float]
    probabilities: Mapping[str, float]
    predicted: str
    maps: tuple[AttributionMap, ...]


class Explainer:
    """A network with the methods to explain it by; cheap to use for pair after pair.

    Args:
        model: a network that meets :class:`xrano.channels.ExplainableModel`.
        methods: names of :data:`xrano.attribution.method_table.METHODS`, with baselines where they
            have them: ``saliency``, ``gradcam``, ``ig:prior``.
        settings: layer, steps, memory, output; if a device is named, the network is moved there,
            and maps come back to the processor's memory.
        meta: entries for every sidecar (run, fold, weights).
        clinical: gives the clinical vector of a pair, which is held fixed while the scans are
            explained; needed for a network that takes one.
        references: baselines of the data set (``training_mean``, ``another``, ``training``), of
            training pairs of this network's fold.
        regions: gives the regions of a pair, for methods that hide them.

    Raises:
        UnknownNameError: for an unknown method, baseline or layer.
        ModelError: if the network cannot be explained.
        ConfigError: if no method is named, or the device is not there.

    Example:
        >>> from xrano.models.factory import create_model
        >>> model = create_model("densenet_small", ChannelLayout(("T1", "FLAIR")))
        >>> Explainer(model, ["saliency", "ig:prior"]).methods
        ('saliency', 'ig:prior')
    """

    def __init__(
        self,
        model: nn.Module,
        methods: Sequence[str],
        *,
        settings: AttributionSettings | None = None,
        meta: Mapping[str, Any] | None = None,
        clinical: ClinicalOf | None = None,
        references: Mapping[str, NDArray[np.float32]] | None = None,
        regions: RegionsOf | None = None,
    ) -> None:
        if not methods:
            raise ConfigError("name at least one method")
        model = unwrapped(model)
        self._model = model
        self._requests = list(dict.fromkeys(MethodRequest.parse(method) for method in methods))
        self._settings = settings or AttributionSettings()
        if self._settings.device:
            to_device(model, self._settings.device)
        protocol = require_explainable(model)
        self._task = task_of(protocol.num_classes)
        self._clinical = clinical
        self._layout: ChannelLayout = protocol.layout
        resolve_layers(model, self._requests, self._settings)
        self._references = {
            name: torch.from_numpy(np.ascontiguousarray(values))
            for name, values in (references or {}).items()
        }
        self._regions = regions
        self.weights_sha256 = weights_hash(model)
        self._meta = {
            **(meta or {}),
            "weights_sha256": self.weights_sha256,
            "device": device_of(model).type,
            "precision": self._settings.precision,
        }
        self._cam_grids: dict[tuple[str, bytes], Grid] = {}

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, with their baselines."""
        return tuple(request.label for request in self._requests)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name, with the device that the network really lies on."""
        return {**asdict(self._settings), "device": device_of(self._model).type}

    def explain(
        self,
        pair: PairVolumes,
        target: str = "predicted",
        *,
        meta: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Explain one pair.

        Args:
            pair: a pair with the network's channels.
            target: one of :data:`~xrano.target_words.TARGET_CHOICES`, or a contrast such as
                ``PD-SD``.
            meta: entries of the sidecars that replace what this network would say, such as the
                class that the trained network predicted when a random-weight copy is explained.

        Raises:
            ConfigError: if ``response`` is asked for and the pair is unrated, or the channels
                are not the network's.
            UnknownNameError: for an unknown target.
            ModelError: if the network's logits are not finite; the message names the pair.
        """
        if pair.layout != self._layout:
            raise ConfigError(
                f"{pair.pair_id} has channels {', '.join(pair.layout.names)}, the network needs "
                f"{', '.join(self._layout.names)}"
            )
        network = self._network_of(pair)
        inputs = self._placed(torch.from_numpy(pair.inputs)[None])
        brain = torch.from_numpy(pair.brain).to(inputs.device)
        try:
            targets = targets_of(target, pair, self._task)
            logits, attributions = attribute(
                network,
                inputs,
                self._requests,
                targets,
                brain=brain,
                settings=self._settings,
                references=self._references,
                regions=self._regions_of(pair),
                place_of=lambda layer: self._place(layer, pair.grid),
            )
        except ModelError as error:
            raise ModelError(f"{pair.pair_id}: {error}") from error
        values = logits.double().cpu().numpy()
        share = np.exp(values - values.max())
        share /= share.sum()
        predicted = self._task.classes[int(values.argmax())]
        classes = self._task.classes
        named = {name: float(value) for name, value in zip(classes, values, strict=True)}
        details = {
            **self._meta,
            **pair_facts(pair, target),
            "predicted": predicted,
            "logits": named,
            **(meta or {}),
        }
        maps = tuple(self._map(item, pair, details) for item in attributions)
        probabilities = {name: float(v) for name, v in zip(classes, share, strict=True)}
        return Explanation(pair, named, probabilities, predicted, maps)

    def plan(
        self, shape: tuple[int, int, int], target: str = "predicted", *, regions: int = 0
    ) -> Plan:
        """What a pair of this many voxels will take, before anything runs.

        Args:
            shape: voxels of the scans.
            target: as in :meth:`explain`; a response counts as one class.
            regions: how many regions a pair has, for methods that hide them.
        """
        classes = range(len(self._task.classes))
        model = self._any_clinical()
        return make_plan(
            model,
            shape,
            self._requests,
            list(classes) if target == "all" else [0],
            settings=self._settings,
            regions=regions,
            references={name: len(values) for name, values in self._references.items()},
        )

    def pass_seconds(self, shape: tuple[int, int, int]) -> tuple[float, float]:
        """Seconds of one forward and of one backward pass by the input, measured on noise.

        A backward pass that does not fit the memory is not run, and taken to last twice a forward.
        """
        noise = torch.randn(
            (1, len(self._layout), *shape), generator=torch.Generator().manual_seed(0)
        )
        return pass_seconds(self._any_clinical(), self._placed(noise), self._settings)

    def clinical_vector(self, pair: PairVolumes) -> list[float]:
        """The clinical columns that the network gets beside a pair's scans; empty if none."""
        return [] if self._clinical is None else [float(item) for item in self._clinical(pair)]

    def _placed(self, scans: torch.Tensor) -> torch.Tensor:
        """Scans where the network is, in its type."""
        home = next(self._model.parameters(), torch.empty(0))
        return in_best_format(scans.to(home.device, home.dtype))

    def _regions_of(self, pair: PairVolumes) -> Regions | None:
        """Only where a method hides them: other methods need no segmentation of a pair."""
        needed = any(request.spec.groups for request in self._requests)
        return self._regions(pair) if self._regions is not None and needed else None

    def _network_of(self, pair: PairVolumes) -> nn.Module:
        """The network, with the pair's clinical vector put in."""
        if self._clinical is None:
            return self._model
        home = next(self._model.parameters())
        return with_clinical(self._model, self._clinical(pair).to(home.device, home.dtype))

    def _map(
        self, found: Attribution, pair: PairVolumes, meta: Mapping[str, Any]
    ) -> AttributionMap:
        details = {
            **meta,
            "method": found.request.method,
            "baseline": found.request.baseline,
            **target_meta(found.target, self._task),
            "output": found.output,
            "layer": found.layer or "",
            **found.details,
        }
        if found.convergence_delta is not None:
            details["convergence_delta"] = found.convergence_delta
        values = found.values.float().cpu().numpy()
        if found.grid_layer is None:
            channels = pair.layout.names if len(values) > 1 else (MERGED_CHANNEL,)
            return AttributionMap(values, pair.grid, channels, details)
        grid = self._cam_grid(found.grid_layer, pair.grid)
        details["feature_grid"] = {"shape": list(grid.shape), "spacing_mm": list(grid.spacing)}
        return AttributionMap(values, grid, (MERGED_CHANNEL,), details)

    def _place(self, layer: str, grid: Grid) -> Place:
        """Where a layer's cells lie, in voxels of a grid."""
        cells = np.linalg.inv(grid.affine) @ self._cam_grid(layer, grid).affine
        stride, offset = cells.diagonal()[:3].tolist(), cells[:3, 3].tolist()
        return Place((stride[0], stride[1], stride[2]), (offset[0], offset[1], offset[2]))

    def _cam_grid(self, layer: str, grid: Grid) -> Grid:
        key = (layer, np.array([*grid.shape, *grid.affine.ravel()]).tobytes())
        if key not in self._cam_grids:
            # The grid of a layer does not depend on clinical data.
            model = self._any_clinical()
            self._cam_grids[key] = feature_grid(model, layer, len(self._layout), grid)
        return self._cam_grids[key]

    def _any_clinical(self) -> nn.Module:
        """The network, with some clinical vector put in if it takes one."""
        names = getattr(self._model, "clinical", ())
        return with_clinical(self._model, [0.0] * (2 * len(names))) if names else self._model
