"""What is explained, how many passes it takes, and when integrated gradients stop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import Explainable, Features, Linear, count_passes, explain, scans

from xrano.attribution.methods import (
    METHODS,
    AttributionSettings,
    Contrast,
    MethodRequest,
    Regions,
)
from xrano.attribution.pass_estimate import estimate_graph_bytes
from xrano.attribution.plan import make_plan
from xrano.attribution.stop_rule import NestedRule, most_points
from xrano.attribution.targets import Objective
from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, ModelError, UnknownNameError
from xrano.models.factory import create_model

PD_SD = Contrast.between(3, 2)
TARGETS = [0, PD_SD, 3, Contrast(((0, 0.5), (1, 2.0), (2, -1.0)))]


class Curved(Explainable):
    """Smooth along the path, so that quadratures converge fast."""

    cam_layers = ("layer",)

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.layer = nn.Conv3d(4, 6, 2)
            self.head = nn.Linear(6, 4)
        self.double()

    def forward(self, x):
        return self.head(torch.sin(self.layer(x)).mean(dim=(2, 3, 4)))


def number(logits, target, output):
    values = {
        "logit": logits,
        "log_softmax": torch.log_softmax(logits, 1),
        "probability": torch.softmax(logits, 1),
    }[output]
    weights = target.weights if isinstance(target, Contrast) else ((target, 1.0),)
    return sum(weight * values[0, index] for index, weight in weights)


class TestTargets:
    @pytest.mark.parametrize("output", ["logit", "log_softmax", "probability"])
    @pytest.mark.parametrize("targets", [TARGETS, [*range(4), *TARGETS[1::2]], [PD_SD]])
    def test_every_output_of_classes_and_contrasts(self, output, targets):
        """With more targets than classes, the classes are differentiated and summed."""
        model, names = Features(), ["saliency", "hirescam", "ig"]
        results = explain(model, names, targets, output=output, layer="fine", n_steps=3)
        for result in results:
            assert result.output == output
            if result.request.method == "saliency":
                leaf = scans().requires_grad_(True)
                value = number(model(leaf), result.target, output)
                (expected,) = torch.autograd.grad(value, leaf)
                assert torch.allclose(result.values, expected[0], atol=1e-14)
        saliency, maps, paths = (
            results[i::1][: len(targets)] for i in (0, len(targets), 2 * len(targets))
        )
        for group in (saliency, maps, paths):
            for result in group:
                (alone,) = explain(
                    model,
                    result.request.label,
                    [result.target],
                    output=output,
                    layer="fine",
                    n_steps=3,
                )
                assert torch.allclose(result.values, alone.values, atol=1e-13)

    def test_a_contrast_of_logits_is_the_difference_of_maps(self):
        for method in ("saliency", "ig", "gradcam", "deeplift", "occlusion", "shapley_sequences"):
            first, second, both = explain(Features(), method, [3, 2, PD_SD], n_steps=4, block=3)
            assert torch.allclose(both.values, first.values - second.values, atol=1e-12)

    @pytest.mark.parametrize("output", ["log_softmax", "probability"])
    def test_integrated_gradients_complete_what_they_explain(self, output):
        model, inputs = Curved(), scans()
        found = explain(model, "ig", TARGETS, output=output, n_steps=20)
        for result in found:
            with torch.no_grad():
                here, there = model(inputs), model(0 * inputs)
                change = number(here, result.target, output) - number(there, result.target, output)
            assert float(result.values.sum()) == pytest.approx(float(change), abs=1e-7)
            assert abs(result.convergence_delta) < 1e-7

    def test_hiding_sees_the_output_that_is_explained(self):
        model, inputs = Features(), scans()
        (found,) = explain(model, "occlusion", [PD_SD], output="probability", block=9)
        with torch.no_grad():
            fall = number(model(inputs), PD_SD, "probability") - number(
                model(0 * inputs), PD_SD, "probability"
            )
        assert found.values.numpy() == pytest.approx(float(fall))

    @pytest.mark.parametrize(
        "weights", [(), ((1, 0.0),), ((1, 1.0), (1, -1.0)), ((0, math.nan),), ((0, math.inf),)]
    )
    def test_no_contrast(self, weights):
        with pytest.raises(ConfigError, match="contrast"):
            Contrast(weights)

    def test_a_contrast_of_a_class_that_there_is_not(self):
        with pytest.raises(ConfigError, match="target 4 is not one of the 4"):
            explain(Features(), "saliency", [Contrast.between(4, 0)])

    def test_deeplift_explains_logits(self):
        with pytest.raises(ConfigError, match="DeepLift explains logits"):
            explain(Features(), "deeplift", output="probability")

    def test_settings_out_of_range(self):
        for bad in (
            {"tolerance": 0.0},
            {"tolerance": math.nan},
            {"memory_gb": math.inf},
            {"block": 0},
            {"noise": -1.0},
            {"max_steps": 2},
        ):
            with pytest.raises(ConfigError, match=next(iter(bad))):
                AttributionSettings(**bad)
        with pytest.raises(UnknownNameError, match="log_softmax, logit, probability"):
            AttributionSettings(output="logits")


class Counting(Features):
    """Notes every backward pass that reaches the head."""

    def __init__(self):
        super().__init__()
        self.backwards = 0

    def forward(self, x):
        logits = super().forward(x)
        if logits.requires_grad:
            logits = logits.clone()
            logits.register_hook(self._note)
        return logits

    def _note(self, gradient):
        # As many as pairs in the batch, as a plan counts them.
        self.backwards += len(gradient)


REGIONS = Regions((torch.arange(6) // 2).view(6, 1, 1).expand(6, 5, 4).contiguous())
EVERY = [m for m in METHODS if m != "tokengrad"]
WITH_TRAINING = {"training": torch.cat([scans(8), scans(9)])}


class TestPlan:
    @pytest.mark.parametrize(
        "methods",
        [
            *[[name] for name in EVERY],
            ["saliency", "input_x_gradient", "gradcam", "hirescam", "layercam", "layercam_fused"],
            ["guided_backprop", "guided_gradcam", "ig:zero", "ig:prior"],
        ],
    )
    @pytest.mark.parametrize("targets", [None, [1, 3], [*range(4), PD_SD]])
    def test_the_passes_are_those_planned(self, methods, targets):
        settings = AttributionSettings(
            layer="all", n_steps=3, n_samples=4, block=3, supervoxels=4, occlude="visit"
        )
        model = Counting()
        requests = [MethodRequest.parse(name) for name in methods]
        plan = make_plan(
            model,
            (6, 5, 4),
            requests,
            targets,
            settings=settings,
            regions=3,
            references={"training": 2},
        )
        forwards = count_passes(
            model,
            lambda: explain(
                model,
                methods,
                targets,
                settings=settings,
                regions=REGIONS,
                references=WITH_TRAINING,
            ),
        )
        if any(step.passes.at_most for step in plan.steps):
            assert forwards <= plan.forwards
            assert forwards > plan.forwards / 2
        else:
            assert forwards == plan.forwards
        assert model.backwards == plan.backwards

    def test_one_forward_serves_everything_at_the_scans(self):
        methods = ["saliency", "input_x_gradient", "gradcam", "gradcampp", "hirescam", "layercam"]
        requests = [MethodRequest.parse(name) for name in methods]
        plan = make_plan(
            Features(), (6, 5, 4), requests, range(4), settings=AttributionSettings(layer="all")
        )
        assert (plan.forwards, plan.backwards) == (1, 4)
        assert "saliency, input_x_gradient, gradcam" in plan.text()
        assert "in all: 1 forward and 4 backward passes a pair" in plan.text()
        assert plan.seconds(2.0, 3.0) == 14.0

    def test_memory_is_that_of_a_real_graph(self):
        from xrano.attribution.memory import graph_bytes

        for model in (Features(), create_model("densenet_small", ChannelLayout(("T1", "FLAIR")))):
            shape = (16, 17, 18)
            if isinstance(model, Features):
                shape = (6, 5, 4)
            for parameter in model.eval().parameters():
                parameter.requires_grad_(False)
            dtype = next(model.parameters()).dtype
            with graph_bytes() as graph:
                model(scans(dtype=dtype, shape=shape).requires_grad_(True).clone())
            # What normalisation keeps is a little less on the processor than it says it will be.
            assert estimate_graph_bytes(model, shape) == pytest.approx(graph.total, rel=0.02)

    def test_a_budget_that_is_too_small_is_said(self):
        plan = make_plan(
            Features(),
            (6, 5, 4),
            [MethodRequest.parse("ig")],
            [0],
            settings=AttributionSettings(memory_gb=1e-9),
        )
        assert not plan.fits
        assert "more than the budget" in plan.text()

    def test_a_network_that_needs_values_has_no_estimate(self):
        class Looking(Linear):
            def forward(self, x):
                return super().forward(x) * (1 if float(x.sum()) > 0 else 2)

        assert estimate_graph_bytes(Looking(), (6, 5, 4)) is None

    def test_what_does_not_fit_is_said_before_anything_runs(self):
        with pytest.raises(ModelError, match="patch embedding"):
            make_plan(Features(), (6, 5, 4), [MethodRequest.parse("tokengrad")], [0])


class TestStopRule:
    def gap(self, result, model, baseline):
        with torch.no_grad():
            change = (model(scans()) - model(baseline))[0, result.target]
        return float(result.values.sum() - change)

    def test_it_stops_when_the_gap_is_small(self):
        model = Curved()
        with torch.no_grad():
            largest = float((model(scans()) - model(0 * scans())).abs().max())
        steps = []
        for tolerance in (0.3, 1e-2, 1e-4):
            results = explain(model, "ig", range(4), tolerance=tolerance)
            for result in results:
                assert result.details["converged"]
                assert result.details["tolerance"] == tolerance
                gap = self.gap(result, model, 0 * scans())
                assert result.convergence_delta == pytest.approx(gap, abs=1e-12)
                assert abs(gap) <= tolerance * largest
            steps.append(max(result.details["n_steps"] for result in results))
        assert steps == sorted(steps)
        assert steps[0] < steps[-1]

    def test_points_are_reused(self):
        model = Curved()
        passes = count_passes(
            model, lambda: explain(model, "ig", range(4), tolerance=1e-12, max_steps=33)
        )
        # The scans, the baseline, and each of 33 points once.
        assert passes == 2 + 33

    def test_a_gap_that_does_not_close_is_flagged(self):
        (result,) = explain(Curved(), "ig", [1], tolerance=1e-12, max_steps=9)
        assert result.details["converged"] is False
        assert result.details["n_steps"] == 9

    @pytest.mark.parametrize("kind", [Curved, Features])
    @pytest.mark.parametrize("most", [5, 17])
    def test_the_estimate_is_the_rule_named_with_all_points(self, kind, most):
        model, inputs = kind(), scans()
        (result,) = explain(model, "ig:prior", [1], tolerance=1e-12, max_steps=most)
        baseline = inputs.clone()
        baseline[:, 2:] = inputs[:, :2]
        alphas = np.linspace(0, 1, most)
        weights = np.ones(most)
        rule = result.details["quadrature"]
        if rule == "nested simpson":
            weights[1:-1:2], weights[2:-1:2] = 4, 2
        else:
            weights[1:-1] = 2
        assert rule == "nested trapezoid" or most > 5
        total = torch.zeros_like(inputs)
        for alpha, weight in zip(alphas, weights / weights.sum(), strict=True):
            point = (baseline + alpha * (inputs - baseline)).requires_grad_(True)
            (gradient,) = torch.autograd.grad(model(point)[0, 1], point)
            total += weight * gradient
        assert torch.allclose(result.values, ((inputs - baseline) * total)[0], atol=1e-13)

    def test_simpson_closes_a_smooth_network_sooner(self):
        (result,) = explain(Curved(), "ig", [1], tolerance=1e-6)
        assert result.details["quadrature"] == "nested simpson"
        assert result.details["n_steps"] <= 33

    def test_a_target_alone_stops_where_it_does_among_others(self):
        together = explain(Features(), "ig", range(4), tolerance=0.05)
        for result in together:
            (alone,) = explain(Features(), "ig", [result.target], tolerance=0.05)
            assert alone.details["n_steps"] == result.details["n_steps"]
            assert torch.allclose(alone.values, result.values, atol=1e-13)
        assert len({result.details["n_steps"] for result in together}) > 1

    def test_nothing_changed_converges_at_once(self):
        inputs = scans()
        inputs[:, 2:] = inputs[:, :2]
        (result,) = explain(Curved(), "ig:prior", [1], inputs=inputs, tolerance=1e-6)
        assert (result.details["converged"], result.details["n_steps"]) == (True, 5)
        assert not result.values.any()

    @pytest.mark.parametrize("most", [3, 4, 5, 8, 9, 100])
    def test_most_points(self, most):
        seen = []

        def gradients(alphas, weights):
            from xrano.attribution.point_gradients import PointSums

            seen.extend(alphas.tolist())
            return PointSums({0: torch.full((1, 1, 1, 1), float(weights.sum()))}, {})

        rule = NestedRule(gradients, torch.ones(1, 1, 1, 1), [0], torch.tensor([5.0]))
        found = rule.run(1e-9, most)[0]
        assert len(seen) == len(set(seen)) == found.points == most_points(most) <= most
        assert float(found.values) == pytest.approx(1.0), "weights always add up to 1"


def test_an_objective_says_how_many_backwards_it_needs():
    assert Objective([3, 2, PD_SD], 4).backwards == 2
    assert Objective([PD_SD], 4).backwards == 1
    assert Objective([*range(4), PD_SD], 4).backwards == 4
    assert Objective([3, 2, PD_SD], 4, "probability").backwards == 3
