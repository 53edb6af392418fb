"""Methods and targets that share passes give what each gives alone, whatever the network does."""

from __future__ import annotations

import pytest
import torch
from random_networks import (
    ALL,
    InPlaceFromTheStart,
    Small,
    brain_of,
    explain,
    logits_of,
    made,
    scans,
)

from xrano.attribution.methods import attribute


class TestSharedPasses:
    def test_all_targets_at_once_equal_one_by_one(self):
        model = made(Small)
        _, together = attribute(model, scans(), ALL, [3, 0, 1, 2], brain=brain_of())
        assert [result.target for result in together] == [3, 0, 1, 2] * len(ALL)
        for result in together:
            (alone,) = explain(model, result.request.label, [result.target])
            assert torch.allclose(result.values, alone.values, atol=1e-13)
            assert result.convergence_delta == pytest.approx(alone.convergence_delta, abs=1e-12)

    def test_one_method_does_not_change_another(self):
        model = made("densenet")
        inputs = scans(shape=(17, 21, 19))
        brain = brain_of((17, 21, 19))
        _, together = attribute(model, inputs, ALL, [1], brain=brain)
        for request, result in zip(ALL, together, strict=True):
            _, (alone,) = attribute(model, inputs, [request], [1], brain=brain)
            assert (alone.values - result.values).abs().max() <= 1e-12 * result.values.abs().max()

    def test_the_predicted_class_is_the_largest_logit(self):
        model = made(Small)
        for favourite in range(4):
            with torch.no_grad():
                model.last.bias.zero_()[favourite] = 10
            logits, results = attribute(model, scans(), ALL, None, brain=brain_of())
            assert int(logits.argmax()) == favourite
            assert {result.target for result in results} == {favourite}
            assert torch.allclose(logits.double(), logits_of(model, scans()))

    def test_a_target_twice_is_given_twice(self):
        found = explain(made(Small), "ig", [1, 1])
        assert torch.equal(found[0].values, found[1].values)

    def test_the_same_again_is_the_same(self):
        model = made("densenet", torch.float32)
        inputs = scans(torch.float32, (17, 21, 19))
        brain = brain_of((17, 21, 19))
        first, second = (attribute(model, inputs, ALL, [0, 2], brain=brain)[1] for _ in range(2))
        assert all(torch.equal(a.values, b.values) for a, b in zip(first, second, strict=True))

    def test_evaluation_mode_whatever_the_model_was_in(self):
        expected = explain(made(Small), "saliency")[0].values
        training = made(Small).train()
        before = training.first[1].running_mean.clone()
        assert torch.equal(explain(training, "saliency")[0].values, expected)
        assert torch.equal(training.first[1].running_mean, before)

    def test_results_hold_no_graph(self):
        logits, results = attribute(made(Small), scans(), ALL, [0], brain=brain_of())
        assert not logits.requires_grad
        assert not any(result.values.requires_grad for result in results)

    def test_it_works_where_gradients_are_off(self):
        with torch.no_grad():
            found = explain(made(Small), "saliency")[0].values
            assert not torch.is_grad_enabled()
        assert torch.equal(found, explain(made(Small), "saliency")[0].values)

    @pytest.mark.parametrize("name", ["saliency", "gradcam", "ig:zero", "ig:prior"])
    def test_a_network_that_works_in_place_from_the_start(self, name):
        model, inputs = made(InPlaceFromTheStart), scans()
        (found,) = explain(model, name, inputs=inputs)
        assert torch.equal(inputs, scans()), "the caller's scans are not to be changed"

        class Copying(InPlaceFromTheStart):
            def forward(self, x):
                return super().forward(x.clone())

        (expected,) = explain(made(Copying), name)
        assert torch.equal(found.values, expected.values)
        assert found.convergence_delta == expected.convergence_delta
