"""Every row of the table on every family of networks and every stem."""

from __future__ import annotations

import json

import pytest
import torch
from method_cases import (
    CAPTUMS,
    FITTING,
    LAYOUT,
    NETWORKS,
    REFUSED,
    SHAPES,
    brain,
    explain,
    made,
    references,
    refusal,
    scans,
)

from xrano.attribution.baselines import make_baseline
from xrano.attribution.methods import METHODS, AttributionSettings, MethodRequest
from xrano.errors import ModelError
from xrano.models.clinical_fusion import with_clinical
from xrano.models.factory import create_model


def infill(method, name, inputs):
    baseline = MethodRequest.parse(method).baseline
    return make_baseline(
        baseline, inputs, LAYOUT, brain(name), references=references(name, inputs.dtype)
    )


@pytest.mark.parametrize(("method", "name", "stem"), FITTING)
def test_maps_are_whole_and_the_network_is_left_as_found(method, name, stem):
    model, inputs = made(name, stem), scans(name)
    first = next(module for module in model.modules() if not list(module.children()))
    first.train()
    modes = [module.training for module in model.modules()]
    before = inputs.clone()
    state = torch.get_rng_state()
    found = explain(method, name, stem, inputs=inputs, targets=range(4))
    assert [module.training for module in model.modules()] == modes
    first.eval()
    spec = found[0].request.spec
    for result in found:
        assert result.values.isfinite().all()
        assert result.values.ndim == 4
        if spec.coarse:
            assert result.grid_layer
            assert len(result.values) == 1
        else:
            assert result.values.shape[1:] == inputs.shape[2:]
            assert len(result.values) in (1, 4)
        if not spec.signed:
            assert result.values.min() >= 0
        said = dict(result.details)
        assert json.loads(json.dumps(said, allow_nan=False)) == said
        assert result.output == "logit"
        assert not result.values.requires_grad
    assert torch.equal(inputs, before)
    assert torch.equal(torch.get_rng_state(), state)
    for module in model.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        assert not any(hooks), "a hook was left behind"
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert any(result.values.any() for result in found)
    zeros = [not result.values.any() for result in found if spec.uses_layer]
    marked = [result.details.get("remark") == "zero_map" for result in found if spec.uses_layer]
    assert zeros == marked


@pytest.mark.parametrize(("method", "name", "stem"), REFUSED)
def test_what_does_not_fit_says_why_and_what_does(method, name, stem):
    model = made(name, stem)
    with pytest.raises(ModelError, match=refusal(method, name, stem)):
        explain(method, name, stem)
    hooks = [h for m in model.modules() for h in (m._forward_hooks, m._forward_pre_hooks)]
    assert not any(hooks)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("method", CAPTUMS)
def test_the_same_again_and_each_target_alone(method):
    name = "vit_small" if method == "tokengrad" else "densenet_small"
    torch.manual_seed(5)
    together = explain(method, name, "concat")
    torch.manual_seed(6)
    again = explain(method, name, "concat")
    assert all(torch.equal(a.values, b.values) for a, b in zip(together, again, strict=True))
    for result in together:
        (alone,) = explain(method, name, "concat", targets=[result.target])
        largest = result.values.abs().max()
        assert (alone.values - result.values).abs().max() <= 1e-12 * largest


DRAWING = {"smoothgrad", "gradient_shap"}


@pytest.mark.parametrize("method", sorted(DRAWING))
def test_another_seed_gives_another_map(method):
    other = AttributionSettings(n_samples=3, seed=1)
    (first,) = explain(method, "densenet_small", "concat", targets=[1])
    (second,) = explain(method, "densenet_small", "concat", targets=[1], settings=other)
    assert not torch.equal(first.values, second.values)
    assert (first.details["seed"], second.details["seed"]) == (0, 1)


BATCHED = ["smoothgrad", "ig", "gradient_shap", "occlusion", "shapley_regions"]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("method", BATCHED)
def test_in_one_batch_or_one_by_one(method, name):
    small = explain(method, name, "concat", targets=[2])
    whole = AttributionSettings(n_steps=3, n_samples=3, block=8, permutations=4, chunk=9)
    model, batches = made(name, "concat"), []
    handle = model.register_forward_pre_hook(lambda _m, args: batches.append(len(args[0])))
    large = explain(method, name, "concat", targets=[2], settings=whole)
    handle.remove()
    assert max(batches) > 1
    largest = small[0].values.abs().max()
    assert (small[0].values - large[0].values).abs().max() <= 1e-9 * largest


COMPLETE = ["deeplift", "shapley_regions", "shapley_sequences"]


@pytest.mark.parametrize(("name", "stem"), [n for n in NETWORKS if n[0] != "vit_small"])
@pytest.mark.parametrize("method", [f"{m}:{b}" for m in COMPLETE for b in ("zero", "prior")])
def test_complete_by_construction(method, name, stem):
    model, inputs = made(name, stem), scans(name)
    reference = infill(method, name, inputs)
    with torch.no_grad():
        change = (model(inputs) - model(reference))[0]
    for result in explain(method, name, stem):
        total = float(result.values.sum())
        assert total == pytest.approx(
            float(change[result.target]), abs=1e-8 * float(change.abs().max())
        )
        assert result.convergence_delta == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "tokengrad"])
def test_a_network_with_clinical_data_held(method):
    model = create_model("densenet_small", LAYOUT, seed=7, clinical=("age", "sex")).double()
    held = with_clinical(model, [0.5, 0.0, 1.0, 0.0])
    found = explain(method, "densenet_small", "concat", model=held)
    assert all(result.values.isfinite().all() for result in found)
    other = explain(
        method, "densenet_small", "concat", model=with_clinical(model, [-2.0, 0.0, 0.0, 1.0])
    )
    # The clinical branch joins before the last linear layer, so it moves outputs, never maps.
    for one, two in zip(found, other, strict=True):
        assert torch.allclose(one.values, two.values, atol=1e-9)
