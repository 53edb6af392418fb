"""Saliency, Grad-CAM and integrated gradients against closed forms and against Captum."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from xrano.attribution.baselines import BASELINES, REFERENCES, blurred, make_baseline
from xrano.attribution.grad_cam import captum_grad_cam
from xrano.attribution.integrated_gradients import captum_integrated_gradients
from xrano.attribution.memory import CPU_POINTS, graph_bytes
from xrano.attribution.methods import METHODS, AttributionSettings, MethodRequest, attribute
from xrano.attribution.saliency import captum_saliency
from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, ModelError, UnknownNameError
from xrano.geometry import Grid
from xrano.models.factory import create_model
from xrano.models.layer_geometry import feature_grid

LAYOUT = ChannelLayout(("T1", "FLAIR"))
SHAPE = (9, 7, 8)
ALL = [MethodRequest.parse(name) for name in ("saliency", "gradcam", "ig", "ig:prior")]


class Explainable(nn.Module):
    """The protocol; what a test's network does is its own."""

    layout, num_classes, cam_layers = LAYOUT, 4, ("layer",)


class Linear(Explainable):
    """Logits that are linear in the input."""

    cam_layers = ()

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, *SHAPE, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(4, dtype=torch.float64))

    def forward(self, x):
        return torch.einsum("bcijk,ncijk->bn", x, self.weight) + self.bias


class Small(Explainable):
    """Smooth and not linear, with normalisation, dropout and an in-place step after the layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv3d(4, 5, (3, 2, 3), padding=1), nn.BatchNorm3d(5), nn.Softplus()
        )
        self.layer = nn.Conv3d(5, 6, (2, 3, 2), stride=(2, 1, 3))
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(6, 4)

    def forward(self, x):
        pooled = self.relu(self.layer(self.first(x))).square().mean(dim=(2, 3, 4))
        return self.last(self.drop(torch.tanh(pooled)))


class InPlaceFromTheStart(Small):
    """Works on the very tensor that it is given."""

    def forward(self, x):
        x -= 0.25
        return super().forward(x.relu_())


def made(kind, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = create_model("densenet_small", LAYOUT) if kind == "densenet" else kind()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 2)
    return model.to(dtype).eval()


def scans(dtype=torch.float64, shape=SHAPE):
    return torch.randn(1, 4, *shape, generator=torch.Generator().manual_seed(3)).to(dtype)


def brain_of(shape=SHAPE):
    index = np.stack(np.indices(shape), axis=-1)
    radius = ((index - np.divide(shape, 2)) / np.divide(shape, 2.2)) ** 2
    return torch.from_numpy(radius.sum(axis=-1) < 1)


def explain(model, name, targets=(2,), inputs=None, **settings):
    inputs = scans(next(model.parameters()).dtype) if inputs is None else inputs
    _, results = attribute(
        model,
        inputs,
        [MethodRequest.parse(name)],
        targets,
        brain=brain_of(inputs.shape[2:]),
        settings=AttributionSettings(**settings),
    )
    return results


def logits_of(model, inputs):
    with torch.no_grad():
        return model.eval()(inputs.clone())[0].double()


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


class OneConvolution(Explainable):
    """Grad-CAM in closed form: logit n is the sum of v[n, f] times the mean of feature f."""

    def __init__(self, padding=(0, 0, 0)):
        super().__init__()
        self.layer = nn.Conv3d(4, 3, (3, 2, 1), stride=(3, 2, 1), padding=padding, bias=False)
        self.last = nn.Linear(3, 4, bias=False)
        nn.init.ones_(self.layer.weight)

    def forward(self, x):
        return self.last(self.layer(x).mean(dim=(2, 3, 4)))


class TestGradCam:
    SHAPE = (12, 10, 5)

    @pytest.mark.parametrize("voxel", [(0, 0, 0), (7, 5, 2), (11, 9, 4), (2, 8, 3)])
    def test_a_bright_voxel_lights_the_cell_that_holds_it(self, voxel):
        model = made(OneConvolution)
        inputs = torch.zeros(1, 4, *self.SHAPE, dtype=torch.float64)
        inputs[(0, 2, *voxel)] = 5.0
        (found,) = explain(model, "gradcam", [1], inputs)
        cells = (4, 5, 5)
        expected = np.zeros(cells)
        cell = tuple(np.floor_divide(voxel, (3, 2, 1)))
        expected[cell] = 5.0 * model.last.weight[1].sum().item() / math.prod(cells)
        assert found.layer == "layer"
        assert found.values.shape == (1, *cells)
        assert found.values[0].numpy() == pytest.approx(expected)
        self.check_world(model, cell, voxel, half=(1, 0.5, 0))

    def check_world(self, model, cell, voxel, half):
        affine = np.array([[0, -1.5, 0, 9], [2.0, 0, 0.5, -4], [0, 0.3, 4.0, 2], [0, 0, 0, 1]])
        grid = Grid(self.SHAPE, affine)
        cells = feature_grid(model, "layer", 4, grid)
        apart = np.abs(grid.voxel(cells.world(cell)) - voxel)
        assert (apart <= np.array(half) + 1e-9).all()

    def test_padding_shifts_the_cells(self):
        model = made(lambda: OneConvolution(padding=(1, 1, 0)))
        inputs = torch.zeros(1, 4, *self.SHAPE, dtype=torch.float64)
        inputs[0, 0, 8, 3, 1] = 1.0
        (found,) = explain(model, "gradcam", [0], inputs)
        # Cell n of axis i sees voxels 3n - 1 … 3n + 1, of axis j voxels 2n - 1 and 2n.
        (cell,) = np.argwhere(found.values[0].numpy() != 0)
        assert cell.tolist() == [3, 2, 1]
        self.check_world(model, cell, (8, 3, 1), half=(1, 0.5, 0))

    def test_negative_relevance_is_kept(self):
        found = explain(made(Small), "gradcam", [0, 1, 2, 3])
        values = torch.cat([result.values for result in found])
        assert (values < 0).any()
        assert (values > 0).any()

    def test_a_layer_by_name(self):
        (found,) = explain(made(Small), "gradcam", layer="first.0")
        assert found.layer == "first.0"
        assert found.values.shape[1:] == (9, 8, 8)

    @pytest.mark.parametrize("together", [["gradcam"], ["saliency", "gradcam"]])
    def test_an_in_place_step_after_the_layer_does_not_reach_it(self, together):
        model, inputs = made(Small), scans()
        _, results = attribute(
            model, inputs, [MethodRequest.parse(n) for n in together], [2], brain=brain_of()
        )
        with torch.no_grad():
            activation = model.layer(model.first(inputs))
        assert (activation < 0).any(), "else the step changes nothing"
        leaf = activation.clone().requires_grad_(True)
        pooled = torch.tanh(leaf.relu().square().mean(dim=(2, 3, 4)))
        (gradient,) = torch.autograd.grad(model.last(pooled)[0, 2], leaf)
        weights = gradient.mean(dim=(2, 3, 4), keepdim=True)
        assert torch.allclose(results[-1].values, (weights * activation).sum(dim=1), atol=1e-14)


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


class Drawing(Small):
    """Draws random numbers in evaluation mode too."""

    def forward(self, x):
        return super().forward(F.dropout(x, 0.5, training=True))


class Interrupting(Small):
    """Fails in the middle of a pass."""

    def forward(self, x):
        super().forward(x)
        raise KeyboardInterrupt


def snapshot(model):
    return {
        "modes": [module.training for module in model.modules()],
        "wanted": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad for parameter in model.parameters()],
        "hooks": [
            len(hooks)
            for module in model.modules()
            for hooks in (
                module._forward_hooks,
                module._forward_pre_hooks,
                module._backward_hooks,
                module._backward_pre_hooks,
            )
        ],
        "weights": [value.tolist() for value in model.state_dict().values()],
        "random": torch.get_rng_state().tolist(),
        "gradients on": torch.is_grad_enabled(),
    }


def partly_frozen(kind):
    """In training, but its normalisation is frozen; a user's own hook sits on the layer."""
    model = made(kind).train()
    model.first[1].eval()
    model.first[0].weight.requires_grad_(False)
    model.layer.register_forward_hook(lambda *_: None)
    return model


class TestTheModelIsLeftAsFound:
    @pytest.mark.parametrize("kind", [Small, Drawing, InPlaceFromTheStart])
    def test_after_success(self, kind):
        model, inputs, brain = partly_frozen(kind), scans(), brain_of()
        before = snapshot(model)
        attribute(model, inputs, ALL, [0, 3], brain=brain)
        assert snapshot(model) == before
        assert torch.equal(inputs, scans())
        assert not inputs.requires_grad
        assert inputs.grad is None
        assert torch.equal(brain, brain_of())

    @pytest.mark.parametrize("kind", [Interrupting, Small])
    @pytest.mark.parametrize("name", ["gradcam", "saliency", "ig"])
    def test_after_an_error(self, kind, name):
        model = partly_frozen(kind)
        if kind is Small:
            with torch.no_grad():
                model.last.weight[0, 0] = torch.inf
        before = snapshot(model)
        with pytest.raises((KeyboardInterrupt, ModelError)):
            explain(model, name)
        assert snapshot(model) == before

    def test_gradients_that_were_there_stay(self):
        model = made(Small)
        model(scans()).sum().backward()
        before = [parameter.grad.clone() for parameter in model.parameters()]
        attribute(model, scans(), ALL, [0], brain=brain_of())
        after = [parameter.grad for parameter in model.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("grad-cam", "mean 'gradcam'.*captum.NAME, deeplift, gradcam.*saliency"),
            ("ig:mean", "another, blurred, brain_mean, prior, training_mean, zero"),
            ("ig:training", "another, blurred, brain_mean, prior, training_mean, zero"),
            ("", "choose from: captum.NAME, deeplift, gradcam"),
            ("captum.Salience", "method of Captum 'Salience'.*mean 'Saliency'"),
        ],
    )
    def test_unknown_names(self, text, said):
        with pytest.raises(UnknownNameError, match=said):
            MethodRequest.parse(text)

    def test_a_baseline_where_there_is_none(self):
        with pytest.raises(ConfigError, match="saliency takes no baseline"):
            MethodRequest.parse("saliency:zero")

    @pytest.mark.parametrize("label", ["saliency", "gradcam", "ig:prior", "captum.Deconvolution"])
    def test_labels_are_read_back(self, label):
        assert MethodRequest.parse(label).label == label

    @pytest.mark.parametrize("layer", ["layers", "first.9", ""])
    def test_an_unknown_layer_lists_those_on_offer(self, layer):
        with pytest.raises(UnknownNameError, match="choose from: layer"):
            explain(made(Small), "gradcam", layer=layer)

    @pytest.mark.parametrize("targets", [[], [4], [-1], [0, 7]])
    def test_targets_out_of_range(self, targets):
        with pytest.raises(ConfigError, match="target"):
            explain(made(Small), "saliency", targets)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    @pytest.mark.parametrize("name", ["saliency", "gradcam", "ig"])
    def test_weights_that_are_not_numbers(self, name, bad):
        model = made(Small)
        with torch.no_grad():
            model.last.bias[1] = bad
        with pytest.raises(ModelError, match="NaN or infinite logits"):
            explain(model, name)

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            (lambda y: (y, y), "gave tuple"),
            (lambda y: {"logits": y}, "gave dict"),
            (lambda y: y[0], r"gave \(4,\)"),
            (lambda y: y[:, :3], r"gave \(1, 3\)"),
            (lambda y: y[:, :, None], r"gave \(1, 4, 1\)"),
        ],
    )
    def test_what_is_no_logits(self, output, said):
        class Odd(Small):
            def forward(self, x):
                return output(super().forward(x))

        for name in ("saliency", "ig"):
            with pytest.raises(ModelError, match=said):
                explain(made(Odd), name)

    def test_a_layer_that_runs_twice_or_never(self):
        class Twice(Small):
            def forward(self, x):
                self.layer(self.first(x))
                return super().forward(x)

        with pytest.raises(ModelError, match="layer ran 2 times"):
            explain(made(Twice), "gradcam")
        never = made(Small)
        never.spare = nn.Conv3d(1, 1, 1)
        with pytest.raises(ModelError, match="ran 0 times"):
            explain(never, "gradcam", layer="spare")

    def test_a_layer_that_gives_no_features(self):
        with pytest.raises(ModelError, match=r"this one gives \(1, 4\)"):
            explain(made(Small), "gradcam", layer="last")

    def test_a_layer_that_the_logits_do_not_see(self):
        class Aside(Small):
            def __init__(self):
                super().__init__()
                self.aside = nn.Conv3d(4, 2, 1)

            def forward(self, x):
                self.aside(x)
                return super().forward(x)

        with pytest.raises(ModelError, match="cannot be differentiated"):
            explain(made(Aside), "gradcam", layer="aside")

    def test_logits_that_cannot_be_differentiated(self):
        class Counting(Small):
            def forward(self, x):
                return super().forward(x).detach().round()

        with pytest.raises(ModelError, match="cannot be differentiated"):
            explain(made(Counting), "saliency")

    @pytest.mark.parametrize("missing", ["layout", "num_classes", "cam_layers"])
    def test_a_model_without_the_protocol(self, missing):
        model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
        for name in {"layout", "num_classes", "cam_layers"} - {missing}:
            setattr(model, name, getattr(Explainable, name))
        with pytest.raises(ModelError, match=rf"Sequential cannot be explained.*{missing}"):
            attribute(model, scans(), ALL, [0], brain=brain_of())
