"""Late fusion on every network and stem; explaining it with the clinical data held."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from xrano.attribution.methods import AttributionSettings, MethodRequest, attribute
from xrano.attribution.model_state import explaining
from xrano.channels import ChannelLayout, ExplainableModel
from xrano.errors import ModelError, UnknownNameError
from xrano.geometry import Grid
from xrano.models.classifier import ResponseClassifier
from xrano.models.clinical_fusion import with_clinical
from xrano.models.factory import MODELS, create_model
from xrano.models.late_fusion import HIDDEN, ClinicalFusion
from xrano.models.layer_geometry import feature_grid
from xrano.models.stems import STEMS

LAYOUT = ChannelLayout(("T1", "FLAIR"))
VARIABLES = ("sex", "age", "weeks_since_prior")
# The families; the larger networks differ from these in width and depth alone.
SHAPES = {
    "densenet_small": (16, 17, 9),
    "resnet_small": (33, 20, 19),
    "alexnet3d": (18, 21, 19),
    "vit_small": (11, 17, 8),
}
CASES = [(name, stem) for name in SHAPES for stem in STEMS]
FEATURES = {"densenet_small": 84, "resnet_small": 64, "alexnet3d": 64, "vit_small": 48}


def fused(name, stem="concat", seed=7, **settings):
    model = create_model(name, LAYOUT, stem=stem, seed=seed, clinical=VARIABLES, **settings)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 9)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return model.double().eval()


def scans(name, batch=1, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 4, *SHAPES[name], generator=generator, dtype=torch.float64)


def vectors(batch=1, seed=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 6, generator=generator, dtype=torch.float64)


# MONAI's transformer block carries a normalisation for cross-attention that it does not run.
UNUSED = {"vit_small": {"norm_cross_attn.weight", "norm_cross_attn.bias"}}


def unreached(model):
    names = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    return {".".join(name.split(".")[-2:]) for name in names}


def explain(model, inputs, *methods, targets=(0, 3), **settings):
    brain = torch.ones(inputs.shape[2:], dtype=torch.bool)
    requests = [MethodRequest.parse(method) for method in methods]
    settings = AttributionSettings(**settings)
    return attribute(model, inputs, requests, list(targets), brain=brain, settings=settings)


class TestFusion:
    def test_by_hand(self):
        layer = ClinicalFusion(("age",), 1, 2).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.zero_()
            layer.clinical.weight[0] = torch.tensor([2.0, 5.0])
            layer.clinical.weight[1] = torch.tensor([-2.0, 0.0])
            layer.clinical.bias[1] = 1.0
            layer.output.weight[0, :3] = torch.tensor([10.0, 1.0, 0.0])
            layer.output.weight[1, :3] = torch.tensor([0.0, 0.0, 3.0])
            layer.output.bias[1] = 0.5
        clinical = torch.tensor([[3.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
        image = torch.tensor([[1.0], [0.0], [2.0]], dtype=torch.float64)
        # relu(2·3)=6, relu(1−6)=0; relu(−2)=0, relu(3)=3; relu(5)=5, relu(1)=1.
        assert layer(image, clinical).tolist() == [[16.0, 0.5], [0.0, 9.5], [25.0, 3.5]]

    def test_sizes_are_the_papers(self):
        with torch.device("meta"):
            fusion = create_model("densenet264", LAYOUT, clinical=VARIABLES).fusion
        assert HIDDEN == 256
        assert fusion.clinical.weight.shape == (256, 6)
        assert fusion.output.weight.shape == (4, 2688 + 256)

    @pytest.mark.parametrize("names", [(), ("age", "age")])
    def test_variables_are_named_once(self, names):
        with pytest.raises(ModelError, match="named once"):
            ClinicalFusion(names, 3, 4)


class TestEveryNetwork:
    @pytest.mark.parametrize(("name", "stem"), CASES)
    def test_a_training_step_reaches_every_weight(self, name, stem):
        model = fused(name, stem).train()
        logits = model(scans(name, 2), vectors(2))
        assert logits.shape == (2, 4)
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 3])).backward()
        assert unreached(model) == UNUSED.get(name, set())
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        for layer in (model.fusion.clinical, model.fusion.output):
            assert layer.weight.grad.abs().max() > 0

    @pytest.mark.parametrize(("name", "stem"), CASES)
    def test_logits_are_the_fusion_of_what_the_last_layer_took(self, name, stem):
        model = fused(name, stem)
        plain = create_model(name, LAYOUT, stem=stem, seed=7).double().eval()
        kept = {
            key: value
            for key, value in model.state_dict().items()
            if key in dict(plain.state_dict())
        }
        plain.load_state_dict(kept, strict=False)
        heads = [module for module in plain.modules() if isinstance(module, nn.Linear)]
        taken = []
        heads[-1].register_forward_hook(lambda _module, args, _output: taken.append(args[0]))
        plain(scans(name))
        joined = FEATURES[name] * (3 if stem == "siamese" and name != "alexnet3d" else 1)
        assert taken[0].shape == (1, joined)
        assert torch.allclose(model(scans(name), vectors()), model.fusion(taken[0], vectors()))

    @pytest.mark.parametrize("name", sorted(set(MODELS) - set(SHAPES)))
    def test_the_larger_networks_run(self, name):
        with torch.device("meta"):
            model = create_model(name, LAYOUT, clinical=VARIABLES).eval()
            logits = model(torch.empty(2, 4, 40, 40, 40), torch.empty(2, 6))
        assert logits.shape == (2, 4)

    @pytest.mark.parametrize("name", SHAPES)
    def test_checkpointing_gives_the_same_gradients(self, name):
        found = []
        for checkpointing in (False, True):
            model = fused(name, checkpointing=checkpointing).train()
            torch.manual_seed(0)
            model(scans(name, 2), vectors(2))[0, 1].backward()
            found.append([p.grad for p in model.parameters() if p.grad is not None])
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*found, strict=True))

    def test_samples_of_a_batch_do_not_influence_each_other(self):
        model, inputs, clinical = fused("densenet_small"), scans("densenet_small", 3), vectors(3)
        alone = [model(inputs[n : n + 1], clinical[n : n + 1]) for n in range(3)]
        assert torch.allclose(model(inputs, clinical), torch.cat(alone), atol=1e-12)


class TestPlainNetworks:
    def test_the_image_part_has_the_weights_of_the_plain_network(self):
        for name in SHAPES:
            plain = create_model(name, LAYOUT, stem="siamese", seed=5).state_dict()
            both = create_model(name, LAYOUT, stem="siamese", seed=5, clinical=VARIABLES)
            image = {k: v for k, v in both.state_dict().items() if k.startswith("backbone.")}
            assert set(plain) - set(image) == {key for key in plain if key not in image}
            assert len(plain) - len(image) == 2, "the last layer alone is gone"
            assert all(torch.equal(plain[key], value) for key, value in image.items())

    def test_the_global_random_state_is_left_alone(self):
        torch.manual_seed(1)
        state = torch.get_rng_state()
        one = create_model("vit_small", LAYOUT, seed=5, clinical=VARIABLES).state_dict()
        assert torch.equal(state, torch.get_rng_state())
        torch.manual_seed(2)
        other = create_model("vit_small", LAYOUT, seed=5, clinical=VARIABLES).state_dict()
        assert all(torch.equal(one[key], other[key]) for key in one)

    def test_names_of_weights_are_those_from_before_there_were_clinical_data(self):
        assert list(create_model("resnet_small", LAYOUT).state_dict()) == RESNET_SMALL
        assert list(create_model("densenet_small", LAYOUT).state_dict()) == DENSENET_SMALL

    def test_clinical_is_empty(self):
        assert create_model("vit_small", LAYOUT).clinical == ()
        assert fused("vit_small").clinical == VARIABLES


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _norm(name):
    return [f"backbone.{name}.{part}" for part in NORM]


RESNET_SMALL = [
    "backbone.conv1.weight",
    *_norm("bn1"),
    *(
        key
        for stage in (1, 2, 3, 4)
        for layer in (1, 2)
        for key in (
            f"backbone.layer{stage}.0.conv{layer}.weight",
            *_norm(f"layer{stage}.0.bn{layer}"),
        )
    ),
    "backbone.fc.weight",
    "backbone.fc.bias",
]


def _dense_block(block):
    for number in (1, 2, 3, 4):
        layer = f"features.denseblock{block}.denselayer{number}.layers"
        for part in (1, 2):
            yield from _norm(f"{layer}.norm{part}")
            yield f"backbone.{layer}.conv{part}.weight"


DENSENET_SMALL = [
    "backbone.features.conv0.weight",
    *_norm("features.norm0"),
    *_dense_block(1),
    *_norm("features.transition1.norm"),
    "backbone.features.transition1.conv.weight",
    *_dense_block(2),
    *_norm("features.norm5"),
    "backbone.class_layers.out.weight",
    "backbone.class_layers.out.bias",
]


class TestRefused:
    def test_a_network_with_clinical_data_called_without(self):
        with pytest.raises(ModelError, match=r"\(1, 6\).*sex, age, weeks_since_prior; got none"):
            fused("vit_small")(scans("vit_small"))

    @pytest.mark.parametrize("shape", [(1, 3), (2, 6), (6,)])
    def test_clinical_data_of_another_shape(self, shape):
        with pytest.raises(ModelError, match=r"needs clinical data \(1, 6\).*got shape"):
            fused("vit_small")(scans("vit_small"), torch.zeros(shape, dtype=torch.float64))

    def test_a_network_of_images_given_clinical_data(self):
        with pytest.raises(ModelError, match="sees images alone"):
            create_model("vit_small", LAYOUT).double()(scans("vit_small"), vectors())


class TestHeld:
    @pytest.mark.parametrize(("name", "stem"), CASES)
    def test_it_is_a_network_of_the_images(self, name, stem):
        model, vector = fused(name, stem), vectors()
        held = with_clinical(model, vector[0])
        assert isinstance(held, ExplainableModel)
        assert (held.layout, held.num_classes) == (model.layout, model.num_classes)
        assert held.cam_layers == model.cam_layers
        assert held.cam_note == model.cam_note
        inputs = scans(name, 3)
        assert torch.equal(held(inputs), model(inputs, vector.expand(3, -1)))

    @pytest.mark.parametrize(("name", "stem"), CASES)
    def test_saliency_is_the_gradient_with_the_vector_fixed(self, name, stem):
        model, inputs, vector = fused(name, stem), scans(name), vectors()
        _, results = explain(with_clinical(model, vector), inputs, "saliency")
        for result in results:
            leaf = inputs.clone().requires_grad_(True)
            (expected,) = torch.autograd.grad(model(leaf, vector)[0, result.target], leaf)
            assert expected.abs().max() > 0
            assert torch.allclose(result.values, expected[0], rtol=0, atol=1e-12)

    def test_saliency_is_what_brute_force_differences_give(self):
        model, inputs, vector = fused("vit_small"), scans("vit_small"), vectors()
        _, (result, _) = explain(with_clinical(model, vector), inputs, "saliency")
        step = torch.zeros_like(inputs)
        for channel, i, j, k in [(0, 0, 0, 0), (1, 5, 3, 7), (3, 10, 16, 2)]:
            step.zero_()[0, channel, i, j, k] = 1e-5
            with torch.no_grad():
                rise = (model(inputs + step, vector) - model(inputs - step, vector))[0, 0] / 2e-5
            assert float(result.values[channel, i, j, k]) == pytest.approx(float(rise), rel=1e-5)

    @pytest.mark.parametrize("stem", STEMS)
    def test_grad_cam_by_hand(self, stem):
        model, inputs, vector = fused("densenet_small", stem), scans("densenet_small"), vectors()
        layer = model.cam_layers[0]
        _, results = explain(with_clinical(model, vector), inputs, "gradcam", layer=layer)
        seen = []
        module = model.get_submodule(layer)
        handle = module.register_forward_hook(
            lambda _m, _a, out: (seen.append(out), out.clone())[1]
        )
        logits = model(inputs, vector)
        handle.remove()
        for result in results:
            (slope,) = torch.autograd.grad(logits[0, result.target], seen[0], retain_graph=True)
            expected = (slope.mean(dim=(2, 3, 4), keepdim=True) * seen[0]).sum(dim=1)
            assert expected.abs().max() > 0
            assert torch.allclose(result.values, expected, rtol=0, atol=1e-12)

    def test_integrated_gradients_are_complete(self):
        model, inputs, vector = fused("vit_small"), scans("vit_small"), vectors()
        held = with_clinical(model, vector)
        _, results = explain(held, inputs, "ig", n_steps=24)
        with torch.no_grad():
            change = (model(inputs, vector) - model(torch.zeros_like(inputs), vector))[0]
        for result in results:
            expected = float(change[result.target])
            assert float(result.values.sum()) == pytest.approx(expected, abs=1e-6)

    def test_maps_depend_on_the_vector(self):
        model, inputs = fused("densenet_small"), scans("densenet_small")
        maps = [
            explain(with_clinical(model, vector), inputs, "ig", n_steps=2)[0]
            for vector in (vectors(seed=4), vectors(seed=5))
        ]
        assert not torch.allclose(*maps)

    @pytest.mark.parametrize("stem", STEMS)
    def test_its_cells_lie_where_the_networks_do(self, stem):
        grid = Grid((64, 40, 48), np.diag([1.0, 1.5, 2.0, 1.0]))
        held = with_clinical(fused("resnet_small", stem), vectors())
        plain = create_model("resnet_small", LAYOUT, stem=stem)
        for layer in plain.cam_layers:
            found, expected = (feature_grid(net, layer, 4, grid) for net in (held, plain))
            assert found.shape == expected.shape
            assert np.array_equal(found.affine, expected.affine)
        assert held.held.device.type == "cpu"

    def test_weights_are_shared_and_named_alike(self):
        model = fused("resnet_small")
        held = with_clinical(model, vectors())
        assert list(held.state_dict()) == list(model.state_dict())
        assert held.backbone is model.backbone
        assert held.fusion is model.fusion

    def test_modes_gradients_and_the_vector_are_left_as_they_were(self):
        model, vector = fused("densenet_small").train(), vectors()
        model.backbone.features.norm0.eval()
        before = {name: module.training for name, module in model.named_modules()}
        held = with_clinical(model, vector)
        with explaining(held):
            assert not model.backbone.training
            held(scans("densenet_small"))
        assert {name: module.training for name, module in model.named_modules()} == before
        assert held.training
        assert all(parameter.requires_grad for parameter in model.parameters())
        vector.fill_(9)
        assert not torch.equal(held.held, vector), "a copy is held"

    @pytest.mark.parametrize(
        "vector", [[0.0] * 5, [0.0] * 7, [0.0, 1.0, float("nan"), 0.0, 0.0, 0.0]]
    )
    def test_a_vector_that_does_not_fit(self, vector):
        with pytest.raises(ModelError, match=r"6 finite numbers.*sex, age"):
            with_clinical(fused("vit_small"), vector)

    def test_a_network_without_clinical_data(self):
        with pytest.raises(ModelError, match="sees images alone"):
            with_clinical(create_model("vit_small", LAYOUT), [0.0])
        with pytest.raises(ModelError, match="Identity sees images alone"):
            with_clinical(nn.Identity(), [0.0])

    def test_clinical_data_are_not_given_twice(self):
        with pytest.raises(ModelError, match="are held"):
            with_clinical(fused("vit_small"), vectors())(scans("vit_small"), vectors())


def test_an_unknown_stem_is_still_refused_first():
    with pytest.raises(UnknownNameError, match="stem 'early'"):
        create_model("vit_small", LAYOUT, stem="early", clinical=("age", "age"))
    with pytest.raises(UnknownNameError, match="stem 'early'"):
        ResponseClassifier(nn.Identity(), LAYOUT, 4, (), stem="early")
