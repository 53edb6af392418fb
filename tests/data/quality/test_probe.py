from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from xrano.data.quality.probe import (
    LEAST_VOXELS,
    _out_of_fold_score,
    distant_tissue,
    leak_probe,
    tissue_features,
)
from xrano.errors import ConfigError, GridMismatchError, SplitError

RESPONSES = ["CR", "PR", "SD", "PD"]


def table(signal: float, pairs: int = 160, seed: int = 0):
    rng = np.random.default_rng(seed)
    responses = [RESPONSES[int(index)] for index in rng.integers(4, size=pairs)]
    features = rng.normal(size=(pairs, 6))
    features[:, 2] += signal * np.array([RESPONSES.index(response) for response in responses])
    patients = [f"Patient-{index // 4:03d}" for index in range(pairs)]
    return list(features), responses, patients


def test_distant_tissue_is_farther_than_the_distance():
    spacing, brain = (2.0, 3.0, 1.5), np.ones((9, 8, 11), dtype=bool)
    lesion = np.zeros_like(brain)
    lesion[4, 3, 5] = True
    away = np.linalg.norm((np.argwhere(brain) - [4, 3, 5]) * spacing, axis=1).reshape(brain.shape)
    assert np.array_equal(distant_tissue(brain, lesion, spacing, 6.0), away > 6.0)
    assert distant_tissue(brain, ~brain, spacing, 6.0).all()
    with pytest.raises(GridMismatchError):
        distant_tissue(brain, lesion[:-1], spacing, 6.0)


def test_features_are_means_then_spreads_then_medians():
    rng = np.random.default_rng(1)
    channels, tissue = rng.gamma(2.0, size=(3, 6, 7, 8)), rng.random((6, 7, 8)) < 0.6
    values = [channel[tissue] for channel in channels]
    wanted = [np.mean(v) for v in values] + [np.std(v) for v in values]
    wanted += [np.median(v) for v in values]
    assert np.allclose(tissue_features(channels, tissue), wanted, rtol=1e-12)


def test_too_little_tissue_has_no_features():
    tissue = np.zeros((10, 11, 12), dtype=bool)
    tissue.ravel()[: LEAST_VOXELS - 1] = True
    assert tissue_features(np.ones((2, 10, 11, 12)), tissue) is None
    with pytest.raises(GridMismatchError):
        tissue_features(np.ones((2, 3, 3, 3)), tissue)


def test_a_planted_leak_is_found():
    result = leak_probe(*table(signal=2.0), permutations=20)
    assert result.balanced_accuracy > 0.6
    assert result.balanced_accuracy > result.band[1]
    assert result.p_value == pytest.approx(1 / 21)
    assert result.chance == 0.25


def test_without_a_leak_the_probe_stays_inside_the_band_most_of_the_time():
    results = [leak_probe(*table(0.0, seed=seed), permutations=20) for seed in range(5)]
    inside = [r.band[0] <= r.balanced_accuracy <= r.band[1] for r in results]
    assert sum(inside) >= 3
    assert abs(np.mean([r.balanced_accuracy for r in results]) - 0.25) < 0.05


def test_patients_are_kept_apart():
    """A feature that names the patient helps only if a patient is in both parts."""
    rng = np.random.default_rng(0)
    features, responses, patients = [], [], []
    for patient in range(40):
        centre = rng.normal(size=30) * 10.0
        response = RESPONSES[patient % 4]
        for _ in range(4):
            features.append(centre + rng.normal(size=30) * 0.01)
            responses.append(response)
            patients.append(str(patient))
    assert leak_probe(features, responses, patients).balanced_accuracy < 0.45
    mixed = [str(index % 40) for index in range(160)]
    assert leak_probe(features, responses, mixed).balanced_accuracy > 0.9


def test_pairs_without_features_are_counted():
    features, responses, patients = table(0.0)
    features[3] = features[10] = None
    result = leak_probe(features, responses, patients)
    assert (result.pairs, result.dropped, result.patients) == (158, 2, 40)
    assert math.isnan(result.p_value)
    assert math.isnan(result.band[0])


def test_what_cannot_be_probed_is_refused():
    features, responses, patients = table(0.0)
    with pytest.raises(ConfigError, match="one entry a pair"):
        leak_probe(features, responses[:-1], patients)
    with pytest.raises(SplitError, match="5 patients"):
        leak_probe(features[:16], responses[:16], patients[:16])
    with pytest.raises(SplitError, match="two responses"):
        leak_probe(features, ["PD"] * len(features), patients)


def test_rare_classes_of_a_small_cohort_warn_of_nothing():
    rng = np.random.default_rng(1)
    patients = np.repeat([f"P{number}" for number in range(8)], 3)
    truth = np.array((["CR"] + ["SD", "PD"] * 12)[:24])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = _out_of_fold_score(rng.normal(size=(24, 3)), truth, patients, seed=0)
    assert 0 <= score <= 1
