"""One pair with the networks of its fold: what all faithfulness tests of it share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrano.data.label_schemes import WHOLE, region_mask
from xrano.data.pair_volumes import PairVolumes
from xrano.experiments.faithfulness_networks import FoldNetworks
from xrano.experiments.faithfulness_settings import FaithfulnessSettings
from xrano.explain import Explainer
from xrano.faithfulness.agreement import relevance_in_brain
from xrano.faithfulness.infill import INFILLS, infill
from xrano.faithfulness.prediction import BATCH, Predict
from xrano.maps import AttributionMap
from xrano.metrics.ranked import RankedMap
from xrano.types import Mask

_BATCH_VOXELS = 600_000
"""Voxels of a grid that go through the network at once, over all copies of a pair."""


@dataclass(frozen=True, eq=False)
class Case:
    """One pair, the networks of its fold, and what is asked.

    ``record`` is the pair's row of the pairs table.
    """

    pair: PairVolumes
    record: Mapping[str, Any]
    networks: FoldNetworks
    settings: FaithfulnessSettings

    @cached_property
    def maps(self) -> dict[str, AttributionMap]:
        """The trained network's maps of the class that it predicts, by method."""
        return by_method(self.networks.trained.explain(self.pair, self.predicted).maps)

    @cached_property
    def predicted(self) -> str:
        """The class that the trained network predicts, which is the one explained."""
        with torch.no_grad():
            logits = self.predict(self.inputs[None])
        return self.classes[int(logits[0].argmax())]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the logits."""
        return self.networks.run.task.classes

    @property
    def target(self) -> int:
        """Index of the class that is explained."""
        return self.classes.index(self.predicted)

    @cached_property
    def inputs(self) -> Tensor:
        """(channel, i, j, k)."""
        return torch.from_numpy(self.pair.inputs)

    @cached_property
    def brain(self) -> Tensor:
        """(i, j, k) boolean."""
        return torch.from_numpy(self.pair.brain)

    @cached_property
    def predict(self) -> Predict:
        """The trained network."""
        return self.networks.predict_of(self.pair)

    @property
    def batch(self) -> int:
        """Copies of the pair that fit through the network at once."""
        return max(1, min(BATCH, _BATCH_VOXELS // max(1, self.pair.brain.size)))

    @cached_property
    def infills(self) -> dict[str, Tensor]:
        """Each infill of the pair."""
        grid = self.pair.grid
        return {
            name: infill(self.inputs, self.pair.layout, self.brain, name, spacing=grid.spacing)
            for name in INFILLS
        }

    def ranked(self, maps: Mapping[str, AttributionMap]) -> dict[str, RankedMap]:
        """Maps in the brain, for comparing ranks."""
        grid, brain = self.pair.grid, self.pair.brain
        return {name: relevance_in_brain(one, grid, brain) for name, one in maps.items()}

    def explained_by(self, explainer: Explainer) -> dict[str, RankedMap]:
        """Another network's maps, of the class that the trained one predicts."""
        return self.ranked(by_method(explainer.explain(self.pair, self.predicted).maps))

    def facts(self) -> dict[str, Any]:
        """What all rows share."""
        return {
            "pair_id": self.pair.pair_id,
            "patient_id": self.pair.patient_id,
            "response": self.pair.response,
            "predicted": self.predicted,
        }


def by_method(maps: Sequence[AttributionMap]) -> dict[str, AttributionMap]:
    """Maps by method with its baseline, and its layer where a method has several."""
    labels = [_label(one) for one in maps]
    found: dict[str, AttributionMap] = {}
    for label, one in zip(labels, maps, strict=True):
        several = labels.count(label) > 1
        found[f"{label}@{one.meta['layer']}" if several else label] = one
    return found


def _label(attribution: AttributionMap) -> str:
    method, baseline = attribution.meta["method"], attribution.meta.get("baseline")
    return f"{method}:{baseline}" if baseline else str(method)


def lesion_of(pair: PairVolumes) -> Mask:
    """(i, j, k) the whole tumour of both scans, by the first segmentation that both have.

    Empty if none has, and then nothing can be erased.
    """
    for prior, current, scheme in pair.segmentations.values():
        if prior is not None and current is not None:
            both = region_mask(prior, scheme, WHOLE) | region_mask(current, scheme, WHOLE)
            return np.asarray(both & pair.brain)
    return np.zeros(pair.grid.shape, dtype=np.bool_)
