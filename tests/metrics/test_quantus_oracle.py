"""Scores beside those of Quantus, where Quantus is right: no ties, a mask that is not empty.

Where it is not (ties follow the order of memory, negative relevance counts against itself) the
definitions are held to brute force in ``test_overlap.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from quantus.metrics.localisation import (
    AUC,
    PointingGame,
    RelevanceMassAccuracy,
    RelevanceRankAccuracy,
    TopKIntersection,
)
from scipy import ndimage

from xrano.metrics.formulas import TOP_FRACTION, top_count
from xrano.metrics.overlap import score_overlap

SHAPE = (7, 11, 9)
QUIET = {"disable_warnings": True, "display_progressbar": False}
PEERS = {
    "relevance_mass_accuracy": lambda _n: RelevanceMassAccuracy(**QUIET),
    "relevance_rank_accuracy": lambda _n: RelevanceRankAccuracy(**QUIET),
    "pointing_game": lambda _n: PointingGame(**QUIET),
    "top_k_intersection": lambda n: TopKIntersection(k=top_count(n, TOP_FRACTION), **QUIET),
    "auroc": lambda _n: AUC(**QUIET),
}


def made(seed):
    """A map without ties, a lesion and a brain around it."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), 0.8 * (seed % 3))
    values = np.abs(smooth).astype(np.float32)
    assert np.unique(values).size == values.size
    brain = ndimage.binary_dilation(rng.random(SHAPE) < 0.3)
    mask = brain & (rng.random(SHAPE) < (0.02, 0.1, 0.4)[seed % 3])
    mask[tuple(np.argwhere(brain)[seed])] = True
    return values, mask, brain


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", PEERS)
def test_equals_quantus_inside_the_brain(name, seed):
    values, mask, brain = made(seed)
    ours = score_overlap(values, mask, domain=brain, metrics=[name])[name]
    # Quantus knows no brain: it gets the voxels of one, as an image with a single column.
    seen = {"a_batch": values[brain][None, None, :, None].astype(np.float64)}
    seen["s_batch"] = mask[brain][None, None, :, None]
    theirs = float(PEERS[name](int(brain.sum())).evaluate_batch(**seen)[0])
    assert ours.status == "ok"
    assert ours.value == pytest.approx(theirs, abs=1e-6)


def test_the_cases_are_hits_and_misses():
    hits = {
        score_overlap(values, mask, domain=brain, metrics=["pointing_game"])["pointing_game"].value
        for values, mask, brain in map(made, range(12))
    }
    assert hits == {0.0, 1.0}
