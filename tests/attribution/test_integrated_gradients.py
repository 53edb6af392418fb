"""Integrated gradients: they add up, leave the prior scan out if asked to, and keep to memory."""

from __future__ import annotations

import pytest
import torch
from random_networks import LAYOUT, Small, brain_of, explain, logits_of, made, scans

from xrano.attribution.baselines import BASELINES, make_baseline
from xrano.attribution.memory import CPU_POINTS, graph_bytes
from xrano.errors import ConfigError


class TestIntegratedGradients:
    @pytest.mark.parametrize("baseline", BASELINES)
    def test_completeness_improves_with_steps(self, baseline):
        model, inputs = made(Small), scans()
        reference = make_baseline(baseline, inputs, LAYOUT, brain_of())
        gain = float(logits_of(model, inputs)[2] - logits_of(model, reference)[2])
        gaps = []
        for n_steps in (2, 32, 256):
            (found,) = explain(model, f"ig:{baseline}", n_steps=n_steps)
            gap = float(found.values.sum()) - gain
            assert found.convergence_delta == pytest.approx(gap, abs=1e-12)
            gaps.append(abs(gap))
        assert gaps[-1] < 1e-4 * abs(gain)
        assert gaps[-1] < gaps[0]

    def test_the_prior_scans_share_is_exactly_zero(self):
        model, inputs = made(Small), scans()
        unchanged = make_baseline("prior", inputs, LAYOUT, brain_of())
        (found,) = explain(model, "ig:prior", n_steps=200)
        assert not found.values[list(LAYOUT.select(timepoint="prior"))].any()
        assert found.values[list(LAYOUT.select(timepoint="current"))].all()
        change = logits_of(model, inputs)[2] - logits_of(model, unchanged)[2]
        assert float(found.values.sum()) == pytest.approx(float(change), rel=1e-4)

    def test_nothing_changed_is_no_relevance_at_all(self):
        inputs = make_baseline("prior", scans(), LAYOUT, brain_of())
        (found,) = explain(made(Small), "ig:prior", inputs=inputs)
        assert not found.values.any()
        assert found.convergence_delta == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize("share", [1.5, 3.2, 1e6])
    def test_chunks_keep_to_the_memory_budget_and_the_result(self, share):
        model, n_steps = made(Small), 10
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        with graph_bytes() as one:
            model(scans().requires_grad_(True))
        assert one.total > 0
        batches = []
        handle = model.register_forward_pre_hook(lambda _m, args: batches.append(len(args[0])))
        budget = share * one.total / 1e9
        found = explain(model, "ig", [0, 3], n_steps=n_steps, memory_gb=budget, chunk=100)
        handle.remove()
        steps = batches[2:]
        assert sum(steps) == n_steps, "one forward for the logits, one for the baseline"
        assert max(steps) == min(int(share), n_steps)
        whole = explain(model, "ig", [0, 3], n_steps=n_steps)
        for one_map, other in zip(found, whole, strict=True):
            assert torch.allclose(one_map.values, other.values, atol=1e-12)

    @pytest.mark.parametrize(("chunk", "most"), [(1, 1), (2, 2), (None, CPU_POINTS)])
    def test_chunks_are_of_so_many_points_at_most(self, chunk, most):
        model, batches = made(Small), []
        handle = model.register_forward_pre_hook(lambda _m, args: batches.append(len(args[0])))
        found = explain(model, "ig", [0, 3], n_steps=10, chunk=chunk)
        handle.remove()
        assert max(batches) == most
        for one_map, other in zip(
            found, explain(model, "ig", [0, 3], n_steps=10, chunk=9), strict=True
        ):
            assert torch.allclose(one_map.values, other.values, atol=1e-12)

    @pytest.mark.parametrize("n_steps", [0, -3])
    def test_no_steps(self, n_steps):
        with pytest.raises(ConfigError, match="n_steps"):
            explain(made(Small), "ig", n_steps=n_steps)
