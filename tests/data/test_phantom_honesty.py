"""An honest phantom tells the response by the tumour alone: three seeds, one probe."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.normalisation import normalise, pair_statistics
from xrano.data.phantom import PhantomSession, PhantomSettings, phantom_patient
from xrano.data.quality.probe import distant_tissue, leak_probe, tissue_features

SEEDS = (301, 302, 303)
PATIENTS = 32
DISTANCE_MM = 16.0


def features(
    prior: PhantomSession, current: PhantomSession, normalisation: str
) -> np.ndarray | None:
    lesions = prior.labels > 0, current.labels > 0
    statistics = pair_statistics(
        prior.images, current.images, prior.brain, current.brain, *lesions,
        prior.grid.spacing, normalisation=normalisation,
    )  # fmt: skip
    channels = [
        normalise(session.images[sequence], measured[sequence], session.brain)
        for session, measured in ((prior, statistics.prior), (current, statistics.current))
        for sequence in KNOWN_SEQUENCES
    ]
    brain = prior.brain & current.brain
    tissue = distant_tissue(brain, lesions[0] | lesions[1], prior.grid.spacing, DISTANCE_MM)
    return tissue_features(np.stack(channels), tissue)


@pytest.fixture(scope="module")
def probed():
    """For every normalisation the probe's result on each seed."""
    results: dict[str, list] = {"healthy": [], "brain": []}
    for seed in SEEDS:
        settings = PhantomSettings(seed=seed, visits=(4, 4))
        pairs = [
            pair
            for number in range(1, PATIENTS + 1)
            for pair in pairwise(phantom_patient(settings, number))
            if pair[1].rating is not None
        ]
        told = [str(current.rating) for _, current in pairs]
        people = [current.patient_id for _, current in pairs]
        for normalisation, found in results.items():
            table = [features(*pair, normalisation) for pair in pairs]
            found.append(leak_probe(table, told, people, permutations=20))
    return results


@pytest.mark.slow
def test_normal_tissue_does_not_tell_the_response_after_xranos_normalisation(probed):
    scores = [result.balanced_accuracy for result in probed["healthy"]]
    assert all(result.pairs + result.dropped == 4 * PATIENTS for result in probed["healthy"])
    assert np.mean(scores) <= 0.33, scores


@pytest.mark.slow
def test_the_probe_would_see_a_leak(probed):
    """With statistics that see the tumour the same probe on the same scans finds it."""
    for result in probed["brain"]:
        assert result.balanced_accuracy > 0.45
        assert result.balanced_accuracy > result.band[1] + 0.1
