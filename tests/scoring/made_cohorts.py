"""Cohorts of masks, and maps against them, for the shuffle test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from xrano.metrics.ranked import rank_map
from xrano.scoring.crossed_masks import CohortMasks, crossed_table

SHAPE = (12, 11, 10)


def made_cohort(n: int = 14, seed: int = 0, classes: tuple[str, ...] = ("CR", "PD")) -> CohortMasks:
    """A cube of 27 voxels a patient, somewhere."""
    rng = np.random.default_rng(seed)
    voxels = []
    for _ in range(n):
        mask = np.zeros(SHAPE, bool)
        i, j, k = (int(rng.integers(0, size - 2)) for size in SHAPE)
        mask[i : i + 3, j : j + 3, k : k + 3] = True
        voxels.append(np.flatnonzero(mask))
    return CohortMasks(
        "s",
        tuple(f"p{number}_a_b" for number in range(n)),
        tuple(f"p{number}" for number in range(n)),
        tuple(classes[number % len(classes)] for number in range(n)),
        tuple(voxels),
    )


def made_crossed(
    masks: CohortMasks,
    method: str,
    relevance: Callable[[int], np.ndarray],
    weights: str = "trained",
) -> pd.DataFrame:
    """A map a pair, with the relevance of its number, against all that it may be handed."""
    brain, rows = np.ones(SHAPE, bool), []
    for index, pair_id in enumerate(masks.pair_ids):
        seen = masks.seen_from(pair_id, brain)
        if seen is not None:
            named = {"pair_id": pair_id, "weights": weights, "method": method}
            lists = {
                "mask_pair_id": list(seen.pair_ids),
                "mass": seen.mass(rank_map(relevance(index), brain)).tolist(),
                "chance": seen.chance.tolist(),
            }
            rows.append({**named, "layer": "", "baseline": "", **lists})
    return crossed_table(rows)


def knowing(masks: CohortMasks) -> Callable[[int], np.ndarray]:
    """One everywhere, and 20 more on the pair's own mask."""

    def relevance(index: int) -> np.ndarray:
        volume = np.ones(SHAPE)
        volume.ravel()[masks.voxels[index]] += 20
        return volume

    return relevance
