"""The places of a pair that are hidden together: tumour parts by segmentation, and the rest."""

from __future__ import annotations

import numpy as np
import torch

from xrano.attribution.methods import Regions
from xrano.data.label_schemes import has_region, region_mask
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import ManifestError

OUTSIDE = "outside the brain"
REST = "other brain"
PARTS = ("whole", "core", "enhancing")
"""Regions from the outermost in: of a voxel that several hold, the last one is its part."""

MOST_PARTS = 2 + len(PARTS)
"""With the outside and the rest of the brain."""

_PART_NAMES = {"whole": "oedema", "core": "necrosis", "enhancing": "enhancing"}


def pair_regions(pair: PairVolumes, source: str = "") -> Regions:
    """Labels (i, j, k) of outside, other brain, and the parts of the tumour of either scan.

    A part is what the whole tumour, its core and its enhancing region (prior ∪ current) add to
    each other, so parts do not overlap; where a scheme does not tell a region apart, its voxels
    stay with the next larger one.

    Args:
        pair: the pair.
        source: the segmentation to go by; the first that both scans have if not given.

    Raises:
        ManifestError: if there is no such segmentation of both scans.
    """
    whole = {
        name: found
        for name, found in pair.segmentations.items()
        if found[0] is not None and found[1] is not None and name == (source or name)
    }
    if not whole:
        known = ", ".join(pair.segmentations) or "none"
        raise ManifestError(
            f"{pair.pair_id} has no segmentation {source} of both scans to take regions from "
            f"(there are: {known}); occlusion_supervoxels needs none"
        )
    prior, current, scheme = next(iter(whole.values()))
    labels = np.zeros(pair.grid.shape, dtype=np.int64)
    labels[pair.brain] = 1
    names = {0: OUTSIDE, 1: REST}
    for value, region in enumerate(PARTS, start=2):
        if prior is None or current is None or not has_region(scheme, region):
            continue
        inside = region_mask(prior, scheme, region) | region_mask(current, scheme, region)
        labels[inside & pair.brain] = value
        names[value] = _PART_NAMES[region]
    return Regions(torch.from_numpy(labels), names)
