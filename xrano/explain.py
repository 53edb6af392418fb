"""Pairs × methods × targets → attribution maps, with everything a reader of a map must know."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import nn

import xrano
from xrano.attribution.methods import (
    Attribution,
    AttributionSettings,
    MethodRequest,
    attribute,
)
from xrano.attribution.model_state import find_layer, require_explainable
from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import ConfigError, ModelError, UnknownNameError
from xrano.geometry import Grid
from xrano.maps import MERGED_CHANNEL, AttributionMap
from xrano.models.clinical_fusion import with_clinical
from xrano.models.layer_geometry import feature_grid
from xrano.rano import RESPONSES
from xrano.tasks import REST, Task, task_of

TARGET_CHOICES = ("predicted", "response", "all", *RESPONSES, REST)
"""Which class is explained: the network's, the true one, every one, or one by name."""

ClinicalOf = Callable[[PairVolumes], torch.Tensor]
"""The clinical vector (column,) of a pair, for a network that takes one."""


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
        methods: ``saliency``, ``gradcam``, ``ig``, ``ig:prior``, ``ig:brain_mean``.
        settings: layer, steps, memory.
        meta: entries for every sidecar (run, fold, weights).
        clinical: gives the clinical vector of a pair, which is held fixed while the scans are
            explained; needed for a network that takes one.

    Raises:
        UnknownNameError: for an unknown method, baseline or layer.
        ModelError: if the network cannot be explained.

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
    ) -> None:
        if not methods:
            raise ConfigError("name at least one method")
        self._model = model
        self._requests = [MethodRequest.parse(method) for method in dict.fromkeys(methods)]
        self._settings = settings or AttributionSettings()
        protocol = require_explainable(model)
        self._task = task_of(protocol.num_classes)
        self._clinical = clinical
        self._layout: ChannelLayout = protocol.layout
        if any(request.method == "gradcam" for request in self._requests):
            find_layer(model, self._settings.layer)
        self.weights_sha256 = weights_hash(model)
        self._meta = {**(meta or {}), "weights_sha256": self.weights_sha256}
        self._cam_grids: dict[tuple[str, bytes], Grid] = {}

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, with their baselines."""
        return tuple(request.label for request in self._requests)

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
            target: one of :data:`TARGET_CHOICES`.
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
        home = next(self._model.parameters(), torch.empty(0))
        inputs = torch.from_numpy(pair.inputs)[None].to(home.device, home.dtype)
        brain = torch.from_numpy(pair.brain).to(home.device)
        try:
            targets = _targets(target, pair, self._task)
            logits, attributions = attribute(
                self._network_of(pair),
                inputs,
                self._requests,
                targets,
                brain=brain,
                settings=self._settings,
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
            **_pair_meta(pair, target),
            "predicted": predicted,
            "logits": named,
            **(meta or {}),
        }
        maps = tuple(self._map(item, pair, details) for item in attributions)
        probabilities = {name: float(v) for name, v in zip(classes, share, strict=True)}
        return Explanation(pair, named, probabilities, predicted, maps)

    def clinical_vector(self, pair: PairVolumes) -> list[float]:
        """The clinical columns that the network gets beside a pair's scans; empty if none."""
        return [] if self._clinical is None else [float(item) for item in self._clinical(pair)]

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
            "target": found.target,
            "target_name": self._task.classes[found.target],
            "layer": found.layer or "",
        }
        if found.convergence_delta is not None:
            details["convergence_delta"] = found.convergence_delta
            details["n_steps"] = self._settings.n_steps
        values = found.values.float().cpu().numpy()
        if found.layer is None:
            return AttributionMap(values, pair.grid, pair.layout.names, details)
        grid = self._cam_grid(found.layer, pair.grid)
        details["feature_grid"] = {"shape": list(grid.shape), "spacing_mm": list(grid.spacing)}
        return AttributionMap(values, grid, (MERGED_CHANNEL,), details)

    def _cam_grid(self, layer: str, grid: Grid) -> Grid:
        key = (layer, np.array([*grid.shape, *grid.affine.ravel()]).tobytes())
        if key not in self._cam_grids:
            names = getattr(self._model, "clinical", ())
            # Any clinical vector: the grid of a layer does not depend on it.
            model = with_clinical(self._model, [0.0] * (2 * len(names))) if names else self._model
            self._cam_grids[key] = feature_grid(model, layer, len(self._layout), grid)
        return self._cam_grids[key]


def _targets(target: str, pair: PairVolumes, task: Task) -> list[int] | None:
    """Class indices, or ``None`` for the class that the network will predict."""
    if target not in TARGET_CHOICES:
        raise UnknownNameError("target", target, TARGET_CHOICES)
    if target == "predicted":
        return None
    if target == "all":
        return list(range(len(task.classes)))
    if target == "response" and not pair.response:
        raise ConfigError(f"{pair.pair_id} is unrated, so its response cannot be explained")
    if target not in ("response", *task.classes):
        raise ConfigError(
            f"the network knows the classes {', '.join(task.classes)}; target {target} is none"
        )
    return [task.index(pair.response if target == "response" else target)]


def _pair_meta(pair: PairVolumes, target: str) -> dict[str, Any]:
    return {
        "pair_id": pair.pair_id,
        "patient_id": pair.patient_id,
        "prior": pair.prior_session,
        "current": pair.current_session,
        "response": pair.response,
        "rating_source": pair.rating_source,
        "spans_surgery": pair.spans_surgery,
        "normalised_by": pair.normalised_by,
        "target_choice": target if target not in (*RESPONSES, REST) else "named",
        "input_sha256": hashlib.sha256(pair.inputs.tobytes()).hexdigest(),
        "threads": torch.get_num_threads(),
        "versions": {
            "xrano": xrano.__version__,
            **{name: version(name) for name in ("torch", "captum", "monai")},
        },
    }


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over names and values of all weights and statistics."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        # As bytes, since numpy does not know bfloat16.
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()
