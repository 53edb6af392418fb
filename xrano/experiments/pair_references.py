"""What a pair's maps are compared with that no network made: reference maps, masks at the cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xrano.attribution.baselines import BASELINES, make_baseline
from xrano.channels import Timepoint
from xrano.data.pair_volumes import PairVolumes
from xrano.maps import AttributionMap
from xrano.scoring.pair_masks import PairMasks
from xrano.scoring.reference_maps import (
    centre_map,
    change_map,
    edges_map,
    enhancement_map,
    input_difference_map,
    resolution_rows,
    training_mask_map,
    uniform_map,
)


def reference_maps(
    pair: PairVolumes,
    baselines: Iterable[str],
    meta: Mapping[str, Any],
    training_mask: NDArray[np.float32] | None,
) -> list[AttributionMap]:
    """The maps of a pair that need no network: see :mod:`xrano.scoring.reference_maps`.

    Args:
        pair: the pair.
        baselines: those of the methods; an empty name is none.
        meta: facts of the pair, of any of its maps.
        training_mask: (i, j, k) mean mask of training pairs, if there is one.
    """
    half, grid = len(pair.layout.sequences), pair.grid
    prior, current = pair.inputs[:half], pair.inputs[half:]
    found = [
        change_map(prior, current, grid, meta),
        uniform_map(grid, meta),
        centre_map(pair.brain, grid, meta),
        edges_map(current, grid, meta),
    ]
    brain = torch.from_numpy(pair.brain)
    for name in dict.fromkeys(baselines):
        # |x − x′| of the prior scan is the change; baselines of a data set are not at hand.
        if name in BASELINES and name != "prior":
            inputs = torch.from_numpy(pair.inputs)[None]
            baseline = make_baseline(name, inputs, pair.layout, brain)[0].numpy()
            found.append(input_difference_map(pair.inputs, baseline, name, grid, meta))
    if {"CT1", "T1"} <= set(pair.layout.sequences):
        ct1, t1 = (
            np.stack([pair.volume(str(time), sequence) for time in Timepoint])
            for sequence in ("CT1", "T1")
        )
        found.append(enhancement_map(ct1, t1, grid, meta))
    if training_mask is not None:
        found.append(training_mask_map(training_mask, grid, meta))
    return found


def mask_rows(
    maps: Iterable[AttributionMap], masks: PairMasks, *, reduction: str
) -> list[dict[str, Any]]:
    """What the masks themselves score at the resolution of each layer among the maps."""
    layers: dict[str, AttributionMap] = {}
    for item in maps:
        if item.on_cells:
            layers.setdefault(str(item.meta["layer"]), item)
    return [
        row for cam in layers.values() for row in resolution_rows(cam, masks, reduction=reduction)
    ]


@dataclass
class MapsNoted:
    """Lets the maps of a pair pass one at a time, and keeps what their references need.

    Attributes:
        meta: facts of the first map; empty if none has passed.
        baselines: of the network's own maps, in order.
        cams: the network's own coarse maps, which are small.
    """

    meta: Mapping[str, Any] = field(default_factory=dict)
    baselines: dict[str, None] = field(default_factory=dict)
    cams: list[AttributionMap] = field(default_factory=list)

    def passing(self, maps: Iterable[AttributionMap]) -> Iterator[AttributionMap]:
        """The maps as they come."""
        for item in maps:
            self.meta = self.meta or item.meta
            if not str(item.meta.get("weights") or "").startswith("random"):
                self.baselines[str(item.meta.get("baseline") or "")] = None
                if item.on_cells:
                    self.cams.append(item)
            yield item
