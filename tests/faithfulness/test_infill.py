"""What stands in the place of what is taken away."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from linear_pair import BRAIN, LAYOUT, SCANS, SHAPE, SPACING, nothing_else_changed

from xrano.attribution.baselines import blurred
from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, GridMismatchError, UnknownNameError, VolumeError
from xrano.faithfulness.infill import INFILLS, infill


def blur(**options):
    return infill(SCANS, LAYOUT, BRAIN, "blurred", **options)


def test_blurred_is_the_gaussian_mean_of_the_brains_voxels_in_mm():
    places = [place for place in itertools.product(*map(range, SHAPE)) if BRAIN[place]]
    found = blur(spacing=SPACING, blur_mm=2.0)
    for centre in places[::7]:
        weights = [
            np.exp(
                -sum(
                    (step * (a - b)) ** 2 for step, a, b in zip(SPACING, centre, other, strict=True)
                )
                / 8
            )
            for other in places
        ]
        for channel in range(4):
            values = [float(SCANS[channel][other]) for other in places]
            expected = np.average(values, weights=weights)
            # Kernels are cut off at four standard deviations.
            assert float(found[channel][centre]) == pytest.approx(expected, abs=2e-3)


def test_on_equal_spacing_it_is_the_attribution_baseline_of_the_same_name():
    found = blur(spacing=(2.0, 2.0, 2.0), blur_mm=3.0)
    expected = blurred(SCANS[None], LAYOUT, BRAIN, 1.5)[0]
    assert torch.allclose(found, expected, atol=1e-12)


def test_outside_the_brain_the_scans_stay_and_a_flat_scan_stays_flat():
    found = blur(spacing=SPACING)
    assert torch.equal(found[:, ~BRAIN], SCANS[:, ~BRAIN])
    assert not torch.equal(found[:, BRAIN], SCANS[:, BRAIN])
    flat = torch.where(BRAIN, 3.0, 70.0).expand(4, *SHAPE)
    assert torch.allclose(infill(flat, LAYOUT, BRAIN, "blurred"), flat)
    assert torch.allclose(blur(blur_mm=0.0), SCANS)


def test_prior_takes_the_change_away():
    found = infill(SCANS, LAYOUT, BRAIN, "prior")
    assert torch.equal(found[:2], SCANS[:2])
    assert torch.equal(found[2:], SCANS[:2])


@pytest.mark.parametrize("name", INFILLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_and_scans_are_kept(name, dtype):
    scans = SCANS.to(dtype)
    found = nothing_else_changed(lambda: infill(scans, LAYOUT, BRAIN, name, spacing=SPACING))
    assert found.dtype == dtype
    assert torch.equal(scans, SCANS.to(dtype))
    found += 1
    assert torch.equal(scans, SCANS.to(dtype)), "the infill is no view of the scans"


def test_bad_input_is_refused():
    with pytest.raises(UnknownNameError, match="blurred, prior"):
        infill(SCANS, LAYOUT, BRAIN, "zero")
    with pytest.raises(ConfigError, match="4 channels, the layout 2"):
        infill(SCANS, ChannelLayout(("T1",)), BRAIN, "prior")
    with pytest.raises(ConfigError, match="positive"):
        blur(spacing=(1.0, 0.0, 1.0))
    with pytest.raises(GridMismatchError, match=r"\(4, 7, 5, 4\)"):
        infill(SCANS, LAYOUT, BRAIN[:5], "prior")
    for brain in (BRAIN.double(), torch.zeros_like(BRAIN)):
        with pytest.raises(VolumeError, match="boolean"):
            infill(SCANS, LAYOUT, brain, "blurred")
    with pytest.raises(VolumeError, match="NaN"):
        infill(SCANS * torch.nan, LAYOUT, BRAIN, "prior")
