"""The placement null rejects 5 % where the lesion's place is drawn, and says nothing where not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xrano.errors import UnknownNameError
from xrano.metrics.null_calibration import placement_rejections, rejections

BAND = {"coverage": 0.999}


@pytest.mark.parametrize("maps", ["stationary", "central"])
@pytest.mark.parametrize("smoothness", [0.0, 1.0, 3.0])
def test_a_lesion_drawn_over_the_valid_places_is_rejected_at_five_percent(smoothness, maps):
    found = placement_rejections(
        shape=(20, 18, 16), smoothness=smoothness, n_maps=250, seed=17, maps=maps, **BAND
    )
    for name in ("relevance_mass_accuracy", "auroc"):
        assert found[name].inside, name
    for name, one in found.items():  # ties of counts make a test stricter, never looser
        assert one.rate <= one.high, name


@pytest.mark.parametrize("lesion", ["central", "edge"])
def test_a_fixed_lesion_and_maps_that_favour_the_middle_break_it(lesion):
    found = placement_rejections(
        shape=(20, 18, 16), smoothness=0.0, n_maps=150, seed=5, lesion=lesion, maps="central"
    )["relevance_mass_accuracy"]
    assert not found.inside
    assert found.rate > 0.9 if lesion == "central" else found.rate == 0.0


def test_the_band_is_that_of_the_binomial():
    found = rejections([0.05] * 10 + [0.051] * 190)
    assert (found.n, found.rejected, found.rate) == (200, 10, 0.05)
    # By summation: the central 95 % of 200 tests at 5 %.
    mass = [math.comb(200, k) * 0.05**k * 0.95 ** (200 - k) for k in range(201)]
    cumulative = np.cumsum(mass)
    assert found.low * 200 == np.argmax(cumulative >= 0.025)
    assert found.high * 200 == np.argmax(cumulative >= 0.975)
    assert not rejections([0.01] * 50 + [0.5] * 150).inside


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownNameError, match="central"):
        placement_rejections(smoothness=1.0, n_maps=1, seed=0, lesion="middle")
