"""Relevance of images and clinical variables: closed forms, completeness, brute force."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from xrano.attribution.baselines import make_baseline
from xrano.attribution.clinical_relevance import (
    IMAGE,
    ClinicalRelevance,
    captum_relevance,
    clinical_relevance,
)
from xrano.attribution.methods import AttributionSettings
from xrano.attribution.pass_memory import pass_memory
from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, ModelError, UnknownNameError
from xrano.models.factory import create_model

LAYOUT = ChannelLayout(("T1",))
VARIABLES = ("sex", "age", "idh")
SHAPE = (9, 10, 8)
BRAIN = torch.ones(SHAPE, dtype=torch.bool)
SHAPES = {
    "densenet_small": (16, 17, 9),
    "resnet_small": (17, 20, 19),
    "alexnet3d": (18, 21, 19),
    "vit_small": (9, 8, 11),
}


class Toy(nn.Module):
    """Two logits by a function of (images, vectors)."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula
        self.layout, self.num_classes, self.cam_layers = LAYOUT, 2, ()
        self.clinical = VARIABLES

    def forward(self, images, vectors):
        return torch.stack(self.formula(images, vectors), dim=1)


def scans(shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 2, *shape, generator=generator, dtype=torch.float64)


# Value and missingness of sex, age and idh, which is missing.
VECTOR = torch.tensor([[1.0, 0.0, -0.7, 0.0, 0.0, 1.0]], dtype=torch.float64)


def relevance(model, inputs=None, vector=VECTOR, targets=None, **options):
    inputs = scans() if inputs is None else inputs
    brain = torch.ones(inputs.shape[2:], dtype=torch.bool)
    return clinical_relevance(model, inputs, vector, targets, brain=brain, **options)


def network(name, stem="concat"):
    model = create_model(name, LAYOUT, stem=stem, seed=3, clinical=VARIABLES).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_var.fill_(0.7)
    return model


def total(images):
    return images.sum(dim=(1, 2, 3, 4))


class TestClosedForms:
    def test_one_variable_alone(self):
        model = Toy(lambda images, vectors: (torch.exp(vectors[:, 2]), 0 * total(images)))
        logits, (found, nothing) = relevance(model)
        assert logits[0].item() == pytest.approx(math.exp(-0.7))
        assert found.image == found.image_absolute == 0
        assert found.variables == pytest.approx({"sex": 0, "age": math.exp(-0.7) - 1, "idh": 0})
        for kind in ("absolute", "total"):
            assert found.shares(kind) == {IMAGE: 0, "sex": 0, "age": 1, "idh": 0}
            assert all(math.isnan(share) for share in nothing.shares(kind).values())

    def test_the_images_alone(self):
        model = Toy(lambda images, vectors: (total(images) ** 2, total(images) + 0 * vectors[:, 0]))
        _, found = relevance(model)
        whole = float(scans().sum())
        assert found[0].image == pytest.approx(whole**2)
        assert found[1].image == pytest.approx(whole)
        assert found[1].image_absolute == pytest.approx(float(scans().abs().sum()))
        for item in found:
            assert item.variables == {"sex": 0, "age": 0, "idh": 0}
            assert item.shares("absolute") == item.shares("total")
            assert item.shares()[IMAGE] == 1

    def test_a_sum_is_shared_out_by_its_terms(self):
        model = Toy(
            lambda images, vectors: (total(images) + 3 * vectors[:, 0] - 2 * vectors[:, 2],) * 2
        )
        _, (found, _) = relevance(model)
        assert found.relevances == pytest.approx(
            {IMAGE: float(scans().sum()), "sex": 3.0, "age": 1.4, "idh": 0.0}
        )

    def test_a_product_is_shared_out_in_halves(self):
        model = Toy(lambda images, vectors: (total(images) * vectors[:, 2],) * 2)
        _, (found, _) = relevance(model)
        product = float(scans().sum()) * -0.7
        assert found.relevances == pytest.approx(
            {IMAGE: product / 2, "sex": 0, "age": product / 2, "idh": 0}
        )
        assert found.shares("total")["age"] == pytest.approx(0.5)
        assert found.shares("absolute")["age"] < 0.1, "voxels that cancel count there"

    def test_missingness_counts_for_its_variable(self):
        model = Toy(
            lambda images, vectors: (0 * total(images) + 5 * vectors[:, 5] + 9 * vectors[:, 4],) * 2
        )
        _, (found, _) = relevance(model)
        assert found.variables == pytest.approx({"sex": 0, "age": 0, "idh": 5.0})

    def test_the_image_baseline_is_the_one_named(self):
        model = Toy(
            lambda images, vectors: (
                images[:, 0].sum(dim=(1, 2, 3)) + 0 * vectors[:, 0],
                total(images) + 0 * vectors[:, 0],
            )
        )
        _, found = relevance(model, baseline="prior")
        change = float((scans()[:, 1] - scans()[:, 0]).sum())
        assert [item.image for item in found] == pytest.approx([0, change])


class TestNetworks:
    @pytest.mark.parametrize("stem", ["concat", "siamese"])
    @pytest.mark.parametrize("name", SHAPES)
    def test_completeness(self, name, stem):
        model, inputs = network(name, stem), scans(SHAPES[name])
        with torch.no_grad():
            change = model(inputs, VECTOR) - model(torch.zeros_like(inputs), 0 * VECTOR)
        gaps = []
        for n_steps in (2, 32):
            _, found = relevance(model, inputs, settings=AttributionSettings(n_steps=n_steps))
            assert [item.target for item in found] == [0, 1, 2, 3]
            sums = change.new_tensor([sum(item.relevances.values()) for item in found])
            deltas = change.new_tensor([item.convergence_delta for item in found])
            assert torch.allclose(sums - change[0], deltas, atol=1e-9), "what is said is so"
            gaps.append(float(deltas.abs().max() / change.abs().max()))
        # Rectified networks have kinks on the path, so that more steps help, but slowly.
        assert gaps[1] < 0.1
        assert gaps[1] < gaps[0]

    def test_it_is_what_captum_gives_for_two_inputs(self):
        model, inputs = network("densenet_small"), scans(SHAPES["densenet_small"])
        baseline = make_baseline(
            "brain_mean", inputs, LAYOUT, torch.ones(inputs.shape[2:], dtype=torch.bool)
        )
        by_image, by_vector = captum_relevance(
            model, (inputs, VECTOR), (baseline, torch.zeros_like(VECTOR)), 2, 5
        )
        settings = AttributionSettings(n_steps=5)
        _, (found,) = relevance(
            model, inputs, targets=[2], baseline="brain_mean", settings=settings
        )
        # Captum's weights of the steps are float32.
        assert found.image == pytest.approx(float(by_image.sum()), rel=1e-6)
        assert found.image_absolute == pytest.approx(float(by_image.abs().sum()), rel=1e-6)
        expected = by_vector.reshape(3, 2).sum(dim=1).tolist()
        assert list(found.variables.values()) == pytest.approx(expected, rel=1e-6)
        assert all(expected)

    def test_chunks_of_steps_give_the_same(self):
        model, inputs = network("vit_small"), scans(SHAPES["vit_small"])
        batches = []
        handle = model.register_forward_pre_hook(lambda _m, args: batches.append(len(args[0])))
        found = [
            relevance(model, inputs, settings=AttributionSettings(n_steps=6, chunk=chunk))[1]
            for chunk in (1, 9)
        ]
        handle.remove()
        # One step measures the graph; both ends of the path come last.
        assert batches == [*[1] * 6, 1, 1, 1, 5, 1, 1]
        for small, large in zip(*found, strict=True):
            assert small.relevances == pytest.approx(large.relevances, rel=1e-7)

    def test_activations_computed_again_give_the_same(self):
        shape = (33, 34, 35)
        model, inputs = network("densenet_small"), scans(shape)
        memory = pass_memory(model, shape, 0.0, beside=(VECTOR,))
        assert memory.again < memory.kept
        plain, again = (
            relevance(model, inputs, settings=AttributionSettings(n_steps=2, **options))[1]
            for options in ({"chunk": 1}, {"memory_gb": (memory.again + 1) / 1e9})
        )
        for one, other in zip(plain, again, strict=True):
            assert one.relevances == pytest.approx(other.relevances, rel=1e-12)
        with pytest.raises(ConfigError, match=r"clinical relevance takes .*give --memory"):
            relevance(model, inputs, settings=AttributionSettings(memory_gb=1e-6))

    def test_nothing_is_left_changed(self):
        model, inputs, vector = (
            network("densenet_small").train(),
            scans((16, 17, 9)),
            VECTOR.clone(),
        )
        model.backbone.features.norm0.eval()
        modes = [module.training for module in model.modules()]
        weights = {key: value.clone() for key, value in model.state_dict().items()}
        before, state = inputs.clone(), torch.get_rng_state()
        logits, _ = relevance(model, inputs, vector, settings=AttributionSettings(n_steps=2))
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
        assert torch.equal(inputs, before)
        assert torch.equal(vector, VECTOR)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(logits, model.eval()(inputs, vector)[0].detach())
        assert not logits.requires_grad


class TestShares:
    def test_they_add_up_to_one(self):
        found = ClinicalRelevance(1, -2.0, 5.0, {"sex": 1.0, "age": -4.0}, 0.0)
        assert found.shares() == {IMAGE: 0.5, "sex": 0.1, "age": 0.4}
        assert found.shares("total") == pytest.approx({IMAGE: 2 / 7, "sex": 1 / 7, "age": 4 / 7})

    def test_an_unknown_kind(self):
        with pytest.raises(UnknownNameError, match="share 'signed'.*absolute, total"):
            ClinicalRelevance(0, 1.0, 1.0, {}, 0.0).shares("signed")


class TestRefused:
    def test_a_network_of_images_alone(self):
        with pytest.raises(ModelError, match="ResponseClassifier sees images alone"):
            relevance(create_model("vit_small", LAYOUT))

    @pytest.mark.parametrize("vector", [VECTOR[0], VECTOR[:, :5], VECTOR * math.inf])
    def test_a_vector_that_does_not_fit(self, vector):
        with pytest.raises(ModelError, match=r"\(1, 6\) and finite numbers .*sex, age, idh"):
            relevance(network("vit_small"), vector=vector)

    def test_a_target_that_there_is_not(self):
        with pytest.raises(ConfigError, match="target 4 is not one of the 4"):
            relevance(network("vit_small"), targets=[4])

    def test_an_unknown_baseline(self):
        with pytest.raises(UnknownNameError, match="baseline 'white'"):
            relevance(network("vit_small"), baseline="white")

    def test_logits_that_are_no_numbers(self):
        with pytest.raises(ModelError, match="NaN"):
            relevance(Toy(lambda images, vectors: (total(images) * math.nan, vectors[:, 0])))
