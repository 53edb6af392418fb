"""What a path of integrated gradients may start from, against closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from random_networks import LAYOUT, SHAPE, brain_of, scans

from xrano.attribution.baselines import BASELINES, blurred, make_baseline
from xrano.errors import ConfigError, UnknownNameError


class TestBaselines:
    def test_zero(self):
        assert not make_baseline("zero", scans(), LAYOUT, brain_of()).any()

    def test_brain_mean_in_closed_form(self):
        inputs, brain = scans(), brain_of()
        found = make_baseline("brain_mean", inputs, LAYOUT, brain)[0].numpy()
        data, inside = inputs[0].numpy(), brain.numpy()
        assert 0 < inside.sum() < inside.size
        for channel in range(4):
            mean = sum(data[channel][inside].tolist()) / int(inside.sum())
            assert found[channel][inside] == pytest.approx(mean)
            assert np.array_equal(found[channel][~inside], data[channel][~inside])

    def test_an_empty_brain_leaves_the_scan(self):
        empty = torch.zeros(SHAPE, dtype=torch.bool)
        assert torch.equal(make_baseline("brain_mean", scans(), LAYOUT, empty), scans())

    def test_prior_stands_for_current_sequence_by_sequence(self):
        inputs = scans()
        found = make_baseline("prior", inputs, LAYOUT, brain_of())
        for sequence in LAYOUT.sequences:
            before = LAYOUT.index("prior", sequence)
            assert torch.equal(found[:, before], inputs[:, before])
            assert torch.equal(found[:, LAYOUT.index("current", sequence)], inputs[:, before])

    @pytest.mark.parametrize("name", BASELINES)
    def test_the_scans_stay(self, name):
        inputs = scans()
        make_baseline(name, inputs, LAYOUT, brain_of()).add_(1)
        assert torch.equal(inputs, scans())

    def test_an_unknown_name(self):
        with pytest.raises(
            UnknownNameError, match="blurred, brain_mean, prior, training, training_mean, zero"
        ):
            make_baseline("blur", scans(), LAYOUT, brain_of())

    def test_one_that_the_caller_must_bring(self):
        with pytest.raises(ConfigError, match="training pairs.*was not given.*blurred"):
            make_baseline("training_mean", scans(), LAYOUT, brain_of())
        for bad in (scans(shape=(9, 7, 9)), scans().expand(2, -1, -1, -1, -1)):
            with pytest.raises(ConfigError, match="must have shape"):
                make_baseline("another", scans(), LAYOUT, brain_of(), references={"another": bad})
        with pytest.raises(ConfigError, match="NaN"):
            make_baseline(
                "another", scans(), LAYOUT, brain_of(), references={"another": scans() * math.nan}
            )

    def test_one_that_was_brought(self):
        other = scans() + 1
        for values in (other, other[0], other.float()):
            found = make_baseline(
                "another", scans(), LAYOUT, brain_of(), references={"another": values}
            )
            assert found.dtype == torch.float64
            assert torch.allclose(found, other, atol=1e-6)

    @pytest.mark.parametrize("voxels", [0, 0.7, 2.0])
    def test_blurred_is_a_gaussian_mean_of_the_brain(self, voxels):
        from scipy.ndimage import gaussian_filter

        inputs, brain = scans(), brain_of()
        found = blurred(inputs, LAYOUT, brain, voxels)[0].numpy()
        inside = brain.numpy().astype(float)

        def smooth(volume):
            return gaussian_filter(volume, voxels, mode="constant") if voxels else volume

        for channel, data in zip(found, inputs[0].numpy(), strict=True):
            mean = smooth(data * inside) / np.maximum(smooth(inside), 1e-300)
            assert channel[brain] == pytest.approx(mean[brain])
            assert np.array_equal(channel[~brain], data[~brain])

    def test_a_constant_brain_is_its_own_blur(self):
        inputs = torch.full((1, 4, *SHAPE), 3.0, dtype=torch.float64)
        assert torch.allclose(blurred(inputs, LAYOUT, brain_of()), inputs, atol=1e-12)
