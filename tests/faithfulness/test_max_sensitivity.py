"""Max-sensitivity against Captum and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from linear_pair import BRAIN, SCANS, SHAPE, nothing_else_changed

from xrano.errors import ConfigError, GridMismatchError, VolumeError
from xrano.faithfulness.sensitivity import max_sensitivity


def curved(scans):
    """A map of one pair that is not linear in it."""
    return torch.sin(scans).sum(dim=0) * scans[1]


def in_brain(scans):
    return torch.where(BRAIN, curved(scans), 0)


def test_equal_to_captums_with_the_same_noise():
    seen = []

    def record(scans):
        seen.append(scans.clone())
        return in_brain(scans)

    found = max_sensitivity(record, SCANS, BRAIN, 0.3, 6, 2)
    expected = sensitivity_max(
        lambda pairs: (torch.stack([in_brain(one) for one in pairs[0]]),),
        (SCANS[None],),
        perturb_func=lambda _: (torch.stack(seen[1:]),),
        n_perturb_samples=6,
    )
    assert found.value == pytest.approx(float(expected), rel=1e-9)
    assert found.value == found.changes.max() > found.changes.min()


def test_noise_keeps_to_the_radius_and_the_brain():
    seen = []
    max_sensitivity(lambda x: seen.append(x) or x, SCANS, BRAIN, 0.25, 4, 0)
    assert torch.equal(seen[0], SCANS)
    assert len(seen) == 5
    for noisy in seen[1:]:
        moved = noisy - SCANS
        assert not moved[:, ~BRAIN].any()
        assert moved[:, BRAIN].abs().max() <= 0.25 + 1e-12
        assert moved[:, BRAIN].abs().max() > 0.2
        assert abs(float(moved[:, BRAIN].mean())) < 0.05
    assert not torch.equal(seen[1], seen[2])


def test_a_map_that_is_linear_in_the_scans_changes_as_they_do():
    found = max_sensitivity(lambda x: 3 * x, SCANS, BRAIN, 0.1, 5, 1)
    assert found.changes == pytest.approx(found.input_changes)
    (row,) = found.rows()
    assert row["metric"] == "max_sensitivity"
    assert row["value"] == pytest.approx(row["reference"])
    assert row["higher_is_better"] is False
    squared = max_sensitivity(lambda x: 3 * x, SCANS, BRAIN, 0.2, 5, 1)
    assert squared.value == pytest.approx(2 * found.value)


def test_a_constant_map_is_optimal_even_one_that_gives_the_same_tensor():
    fixed = torch.ones(SHAPE)
    assert max_sensitivity(lambda _: fixed, SCANS, BRAIN).value == 0


def coarse(scans):
    return torch.nn.functional.avg_pool3d(scans[:1], 2)


@pytest.mark.parametrize("explain", [curved, coarse])
def test_an_explainer_that_writes_into_one_tensor_is_still_measured(explain):
    shared = torch.zeros_like(explain(SCANS))
    found = max_sensitivity(lambda x: shared.copy_(explain(x)), SCANS, BRAIN)
    assert found.value == max_sensitivity(explain, SCANS, BRAIN).value > 0


def test_only_the_brain_counts_and_a_coarse_map_counts_whole():
    def loud_outside(scans):
        return torch.where(BRAIN, curved(scans), 1e6 * scans.sum())

    assert (
        max_sensitivity(loud_outside, SCANS, BRAIN).value
        == max_sensitivity(curved, SCANS, BRAIN).value
    )

    found = max_sensitivity(coarse, SCANS, BRAIN, 0.1, 1, 3)
    noise = np.random.default_rng(3).uniform(-0.1, 0.1, (4, int(BRAIN.sum())))
    noisy = SCANS.clone()
    noisy[:, BRAIN] += torch.from_numpy(noise)
    expected = (coarse(noisy) - coarse(SCANS)).norm() / coarse(SCANS).norm()
    assert found.value == pytest.approx(float(expected))


def test_a_zero_map_is_undefined():
    found = max_sensitivity(lambda _: torch.where(BRAIN, 0.0, 5.0), SCANS, BRAIN)
    (row,) = found.rows()
    assert row["status"] == "zero_map"
    assert math.isnan(row["value"])
    assert math.isnan(row["reference"])


def test_scans_and_random_state_stay_and_the_seed_decides():
    def greedy(scans):
        scans += 1
        return curved(scans)

    first = nothing_else_changed(lambda: max_sensitivity(greedy, SCANS, BRAIN, seed=4))
    assert np.array_equal(first.changes, max_sensitivity(greedy, SCANS, BRAIN, seed=4).changes)
    assert first.value != max_sensitivity(greedy, SCANS, BRAIN, seed=5).value


def test_bad_input_is_refused():
    for radius, draws in ((0, 1), (-1, 1), (math.nan, 1), (math.inf, 1), (0.1, 0)):
        with pytest.raises(ConfigError, match="radius above 0"):
            max_sensitivity(curved, SCANS, BRAIN, radius, draws)
    with pytest.raises(VolumeError, match="NaN"):
        max_sensitivity(lambda x: x * torch.nan, SCANS, BRAIN)
    shapes = iter([2, 3])
    with pytest.raises(GridMismatchError, match="another shape"):
        max_sensitivity(lambda _: torch.ones(next(shapes), 2, 2), SCANS, BRAIN)
