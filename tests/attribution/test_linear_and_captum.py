"""Saliency, Grad-CAM and integrated gradients of a linear network, and against Captum."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from random_networks import (
    LAYOUT,
    SHAPE,
    Linear,
    Small,
    brain_of,
    explain,
    logits_of,
    made,
    scans,
)

from xrano.attribution.baselines import BASELINES, REFERENCES, make_baseline
from xrano.attribution.grad_cam import captum_grad_cam
from xrano.attribution.integrated_gradients import captum_integrated_gradients
from xrano.attribution.methods import METHODS, AttributionSettings
from xrano.attribution.saliency import captum_saliency
from xrano.errors import ModelError


class TestLinearModel:
    @pytest.fixture
    def model(self):
        return made(Linear)

    @pytest.mark.parametrize("target", range(4))
    def test_saliency_is_the_weights(self, model, target):
        (found,) = explain(model, "saliency", [target])
        assert torch.equal(found.values, model.weight[target])

    @pytest.mark.parametrize("baseline", BASELINES)
    @pytest.mark.parametrize("n_steps", [1, 2, 7])
    def test_integrated_gradients_are_weight_times_difference(self, model, baseline, n_steps):
        inputs = scans()
        reference = make_baseline(baseline, inputs, LAYOUT, brain_of())
        (found,) = explain(model, f"ig:{baseline}", [1], n_steps=n_steps)
        expected = model.weight[1] * (inputs - reference)[0]
        assert torch.allclose(found.values, expected, atol=1e-12)
        gain = logits_of(model, inputs)[1] - logits_of(model, reference)[1]
        assert float(found.values.sum()) == pytest.approx(float(gain), abs=1e-10)
        assert found.convergence_delta == pytest.approx(0, abs=1e-10)

    def test_there_is_no_layer_to_take_a_cam_from(self, model):
        with pytest.raises(ModelError, match="--layer"):
            explain(model, "gradcam")


def by_captum(model, inputs, request, target, n_steps):
    if request.method == "saliency":
        return captum_saliency(model, inputs.clone().requires_grad_(True), target)
    if request.method == "gradcam":
        layer = dict(model.named_modules())[model.cam_layers[0]]
        return captum_grad_cam(model, inputs, target, layer)
    reference = make_baseline(request.baseline, inputs, LAYOUT, brain_of(inputs.shape[2:]))
    return captum_integrated_gradients(model, inputs, target, reference, n_steps)


class TestCaptum:
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
    @pytest.mark.parametrize("kind", [Small, "densenet"])
    @pytest.mark.parametrize(
        "name", ["saliency", "gradcam", *(f"ig:{baseline}" for baseline in BASELINES)]
    )
    def test_every_method_equals_captum(self, name, kind, dtype, tolerance):
        model = made(kind, dtype)
        inputs = scans(dtype, (17, 21, 19) if kind == "densenet" else SHAPE)
        # In float32 the batch's shape decides which side of a kink a value near it falls.
        found = explain(model, name, [0, 3], inputs, n_steps=5, chunk=1)
        for result in found:
            expected = by_captum(model, inputs, result.request, result.target, 5)
            largest = expected.abs().max()
            assert largest > 0
            assert result.values.shape == expected.shape
            assert (result.values - expected).abs().max() <= tolerance * largest

    def test_every_row_of_the_table_names_captums_class(self):
        import captum.attr

        for spec in METHODS.values():
            assert not spec.captum or hasattr(captum.attr, spec.captum)
            assert any(word in spec.citation for word in ("arXiv", "doi"))
            assert set(spec.settings) <= {field.name for field in fields(AttributionSettings)}
            assert set(spec.baselines) <= {*BASELINES, *REFERENCES}
