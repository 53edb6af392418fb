"""A pass that does not fit its memory: activations computed again, the same maps, or a refusal."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from toy_networks import LAYOUT, Explainable, Features, explain, scans

from xrano.attribution.memory import LiveBytes, graph_bytes, told_size
from xrano.attribution.methods import AttributionSettings, MethodRequest, Regions
from xrano.attribution.model_state import explaining
from xrano.attribution.pass_estimate import estimate_live_bytes, recomputing
from xrano.attribution.pass_memory import PassMemory, pass_memory, plan_memory
from xrano.attribution.plan import make_plan, resolve_layers
from xrano.channels import ChannelLayout
from xrano.cli.memory_size import gigabytes
from xrano.errors import ConfigError
from xrano.models.checkpointing import Recomputing, Spine
from xrano.models.clinical_fusion import with_clinical
from xrano.models.factory import create_model

AGAIN = PassMemory(kept=2, again=1, budget=1.5)
"""A plan by which activations are computed again, whatever the network."""

SHAPES = {
    "densenet_small": (16, 17, 9),
    "resnet_small": (17, 20, 19),
    "alexnet3d": (18, 21, 19),
    "vit_small": (11, 17, 8),
}
NETWORKS = [(name, stem) for name in SHAPES for stem in ("concat", "siamese")]
GRADIENTS = ["saliency", "input_x_gradient", "smoothgrad", "ig", "gradient_shap:zero"]
GUIDED = ["guided_backprop", "guided_gradcam"]
CAMS = ["gradcam", "gradcampp", "hirescam", "layercam"]


def made(name, stem="concat"):
    model = create_model(name, LAYOUT, stem=stem, seed=7).double().eval()
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 9)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return model


def same_again(model, shape, methods, targets=(0, 3), **settings):
    """The maps with activations computed again, which must be those of plain passes."""
    inputs = scans(shape=shape)
    options = {"n_steps": 3, "n_samples": 2, "chunk": 1, **settings}
    plain = explain(model, methods, targets, inputs, **options)
    again = explain(model, methods, targets, inputs, memory=AGAIN, **options)
    for one, other in zip(plain, again, strict=True):
        largest = float(one.values.abs().max())
        assert float((one.values - other.values).abs().max()) <= 1e-12 * largest
        assert one.details == other.details
    assert any(result.values.any() for result in again)
    return again


class TestTheSameMaps:
    @pytest.mark.parametrize(("name", "stem"), NETWORKS)
    def test_gradients_and_maps_at_every_layer(self, name, stem):
        model = made(name, stem)
        methods = [*GRADIENTS]
        methods += ["tokengrad"] if name == "vit_small" else [*CAMS, *GUIDED]
        found = same_again(model, SHAPES[name], methods, layer="all")
        layers = {result.layer for result in found if result.request.method == "gradcam"}
        assert layers == (set(model.cam_layers) if name != "vit_small" else set())

    @pytest.mark.parametrize("methods", [["gradcam"], ["saliency", "gradcam"], ["hirescam", "ig"]])
    @pytest.mark.parametrize(
        "layer",
        [
            "features",
            "features.conv0",
            "features.norm0",  # what follows works in place on what the hook gave
            "features.relu0",
            "features.transition1",
            "features.transition1.conv",
            "features.denseblock1.denselayer2",
            "features.denseblock2.denselayer3.layers.conv1",
            "features.norm5",
            "class_layers.relu",
        ],
    )
    def test_a_layer_anywhere_in_a_segment(self, layer, methods):
        model = made("densenet_small")
        same_again(model, SHAPES["densenet_small"], methods, layer=f"backbone.{layer}")

    @pytest.mark.parametrize("layer", ["conv1", "bn1", "act", "layer2.0.conv2", "layer3.0"])
    def test_a_layer_anywhere_in_a_residual_network(self, layer):
        model = made("resnet_small")
        same_again(model, SHAPES["resnet_small"], ["hirescam"], layer=f"backbone.{layer}")

    def test_contrasts_probabilities_and_the_stop_rule(self):
        model = made("densenet_small")
        same_again(
            model,
            SHAPES["densenet_small"],
            ["saliency", "ig:prior", "gradcam"],
            range(4),
            output="probability",
            tolerance=0.3,
            max_steps=9,
        )

    def test_clinical_data_held(self):
        model = create_model("densenet_small", LAYOUT, seed=7, clinical=("age", "sex")).double()
        held = with_clinical(model, [0.5, 0.0, 1.0, 0.0])
        same_again(held, SHAPES["densenet_small"], ["saliency", "gradcam", "ig"])

    def test_single_precision_to_the_bit(self):
        model = create_model("densenet_small", LAYOUT, seed=7)
        inputs = scans(dtype=torch.float32, shape=SHAPES["densenet_small"])
        plain, again = (
            explain(model, ["saliency", "ig"], [1], inputs, n_steps=2, chunk=1, memory=memory)
            for memory in (None, AGAIN)
        )
        for one, other in zip(plain, again, strict=True):
            assert torch.equal(one.values, other.values)

    def test_a_network_of_ones_own_offers_it_by_its_parts(self):
        class Mine(Explainable):
            cam_layers = ("spine.last",)

            def __init__(self):
                super().__init__()
                layers = {f"conv{n}": nn.Conv3d(4, 4, 3, padding=1) for n in range(4)}
                self.spine = Spine({**layers, "last": nn.ReLU()}, size=2)
                self.head = nn.Linear(4, 4)
                self.double()

            def forward(self, x):
                return self.head(self.spine(x).mean(dim=(2, 3, 4)))

        same_again(Mine(), (6, 5, 4), ["saliency", "gradcam", "guided_backprop"])


class TestComputedAgain:
    def runs_of(self, part, methods, targets, **options):
        model = made("densenet_small")
        calls = []
        module = model.get_submodule(f"backbone.features.{part}")
        # Before the call: computing again stops where the last tensor needed is there.
        handle = module.register_forward_pre_hook(lambda *_: calls.append(1))
        explain(model, methods, targets, scans(shape=(16, 17, 9)), **options)
        handle.remove()
        return len(calls)

    def test_once_more_for_each_backward(self):
        assert self.runs_of("conv0", "saliency", [0, 3]) == 1
        assert self.runs_of("conv0", "saliency", [0, 3], memory=AGAIN) == 1 + 2
        many = self.runs_of("conv0", "ig", [0, 3], memory=AGAIN, n_steps=3)
        assert many == 2 + 3 * (1 + 2), "the scans, the baseline, and each point"

    def test_nothing_before_the_layer_of_a_map(self):
        for part, runs in (("conv0", 1), ("denseblock1.denselayer1", 1), ("norm5", 3)):
            assert self.runs_of(part, "gradcam", [0, 3], memory=AGAIN) == runs

    def test_points_go_one_by_one(self):
        model, batches = made("densenet_small"), []
        handle = model.register_forward_pre_hook(lambda _m, args: batches.append(len(args[0])))
        explain(model, "ig", [1], scans(shape=(16, 17, 9)), n_steps=5, chunk=4, memory=AGAIN)
        handle.remove()
        assert set(batches) == {1}

    @pytest.mark.parametrize("breaks", [False, True])
    def test_nothing_is_left_switched_on(self, breaks):
        model = made("densenet_small")
        if breaks:
            with torch.no_grad():
                model.backbone.class_layers.out.bias[0] = torch.nan
        try:
            explain(model, ["saliency", "gradcam"], inputs=scans(shape=(16, 17, 9)), memory=AGAIN)
            assert not breaks
        except ValueError:
            assert breaks
        for module in model.modules():
            assert not isinstance(module, Recomputing) or module._whole is None
            assert not module._forward_hooks
        calls = []
        model.backbone.features.conv0.register_forward_hook(lambda *_: calls.append(1))
        logits = model(scans(shape=(16, 17, 9)).requires_grad_(True))
        logits.sum().backward()
        assert len(calls) == 1

    def test_no_method_of_a_network_that_offers_nothing(self):
        with recomputing(Features()) as offered:
            assert not offered
        with recomputing(made("densenet_small")) as offered:
            assert offered


class TestEstimates:
    def test_what_is_alive_at_once(self):
        with LiveBytes() as live:
            first = torch.empty(1000, device="meta")  # 4000 bytes
            second = first + 1
            first.add_(1)
            view = second[10:].view(-1)
            assert live.most == 8000
            del first
            third = view * 2
            assert live.most == 8000
            del second, view, third
            torch.empty(2500, device="meta")
        assert live.most == 10_000, "what is gone does not count"

    def test_without_values_as_with_them(self):
        model = create_model("densenet_small", LAYOUT)
        shape = (24, 25, 26)
        with recomputing(model):
            estimate = estimate_live_bytes(model, shape, (), ())
            leaf = scans(dtype=torch.float32, shape=shape).requires_grad_(True)
            with explaining(model), LiveBytes() as live:
                torch.autograd.grad(model(leaf.clone()).sum(), leaf)
        beside = sum(item.nbytes for item in (*model.parameters(), *model.buffers(), leaf))
        assert estimate == pytest.approx(live.most + beside, rel=0.01)

    @pytest.mark.parametrize(("name", "share"), [("densenet_small", 0.8), ("densenet121", 0.65)])
    def test_it_takes_less(self, name, share):
        with torch.device("meta"):
            model = create_model(name, LAYOUT)
        found = pass_memory(model, (64, 65, 66), 0.0)
        assert found.kept is not None
        assert found.again is not None
        assert found.least == found.again < share * found.kept

    def test_the_papers_network_at_its_full_size(self):
        with torch.device("meta"):
            model = create_model("densenet264", ChannelLayout(("T1", "T2", "FLAIR")))
        found = pass_memory(model, (240, 240, 155), 5e9)
        assert 5e9 < found.kept < 9e9
        assert found.recompute
        assert 1e9 < found.again < 0.5 * found.kept

    def test_hooks_counters_and_the_random_state_do_not_notice(self):
        class Counting(Features):
            runs = 0

            def forward(self, x):
                self.runs += 1
                torch.rand(3)
                return super().forward(x)

        model, calls = Counting(), []
        model.fine.register_forward_hook(lambda *_: calls.append(1))
        model.register_forward_pre_hook(lambda *_: calls.append(1))
        state, weights = torch.get_rng_state(), [id(p) for p in model.parameters()]
        assert pass_memory(model, (6, 5, 4), 1.0).kept
        assert (model.runs, calls) == (0, [])
        assert torch.equal(torch.get_rng_state(), state)
        assert [id(p) for p in model.parameters()] == weights
        assert all(p.device.type == "cpu" and p.requires_grad for p in model.parameters())

    def test_maps_of_a_late_layer_alone_take_little(self):
        with torch.device("meta"):
            model = create_model("densenet121", LAYOUT)
        found = {}
        for name in ("gradcam", "saliency", "occlusion"):
            requests, settings = [MethodRequest.parse(name)], AttributionSettings()
            layers = resolve_layers(model, requests, settings)
            found[name] = plan_memory(model, (64, 65, 66), requests, layers, settings).kept
        assert found["occlusion"] == 0
        assert 0 < found["gradcam"] < 0.1 * found["saliency"]

    def test_a_start_that_is_no_grid_is_unknown(self):
        model = Features()
        assert pass_memory(model, (6, 5, 4), 1.0, starts=[model.head]).kept is None


def least_of(error):
    """The memory that a refusal asks for, as it would be given."""
    return gigabytes(re.search(r"--memory (\S+?)( or more)?,", str(error.value))[1])


class TestRefused:
    @pytest.mark.parametrize("method", ["saliency", "ig", "gradcam", "hirescam", "guided_gradcam"])
    @pytest.mark.parametrize("kind", ["toy", "densenet_small"])
    def test_below_the_least_it_is_told_and_at_the_least_it_runs(self, kind, method):
        model = Features() if kind == "toy" else made(kind)
        inputs = scans(shape=(6, 5, 4) if kind == "toy" else (33, 34, 35))
        with pytest.raises(ConfigError, match=f"^{method}.* takes .* for one pass.*coarser") as one:
            explain(model, method, [1], inputs, n_steps=2, memory_gb=1e-9)
        least = least_of(one)
        (found,) = explain(model, method, [1], inputs, n_steps=2, memory_gb=least)
        (plain,) = explain(model, method, [1], inputs, n_steps=2, chunk=1)
        assert torch.allclose(found.values, plain.values, rtol=1e-12, atol=1e-15)
        with pytest.raises(ConfigError, match="for one pass"):
            explain(model, method, [1], inputs, n_steps=2, memory_gb=0.5 * least)

    def test_hiding_parts_keeps_no_graph(self):
        regions = Regions((torch.arange(6) // 2).view(6, 1, 1).expand(6, 5, 4).contiguous())
        for method in ("occlusion", "occlusion_regions", "shapley_sequences"):
            explain(Features(), method, memory_gb=1e-9, block=3, regions=regions)

    @pytest.mark.parametrize("method", ["deeplift", "captum.Saliency"])
    def test_what_cannot_compute_again(self, method):
        model, shape = made("densenet_small"), (33, 34, 35)
        found = pass_memory(model, shape, 0.0)
        between = (found.again + found.kept) / 2e9
        inputs = scans(shape=shape)
        assert explain(model, "saliency", [1], inputs, memory_gb=between)
        with pytest.raises(ConfigError, match=f"^{method}.*keeps the activations.*ig or") as error:
            explain(model, ["saliency", method], [1], inputs, memory_gb=between)
        assert explain(model, method, [1], inputs, memory_gb=least_of(error))

    def test_deeplift_keeps_two_scans(self):
        model, shape = made("densenet_small"), (16, 17, 9)
        one = pass_memory(model, shape, 1e9).kept / 1e9
        with pytest.raises(ConfigError, match=r"2 scan\(s\) at once"):
            explain(model, "deeplift", [1], scans(shape=shape), memory_gb=1.5 * one)
        assert explain(model, "deeplift", [1], scans(shape=shape), memory_gb=2.1 * one)

    def test_sizes_are_rounded_up(self):
        for size in (1, 99, 12_345, 999_999, 1_000_001, 45_210_000, 3_114_000_001, 8e9):
            assert gigabytes(told_size(size)) * 1e9 >= size
            assert gigabytes(told_size(size)) * 1e9 <= 1.11 * size + 100


class TestPlan:
    def plan(self, memory_gb, *methods):
        with torch.device("meta"):
            model = create_model("densenet121", LAYOUT)
        requests = [MethodRequest.parse(name) for name in methods or ("saliency", "ig")]
        settings = AttributionSettings(memory_gb=memory_gb)
        return make_plan(model, (64, 65, 66), requests, range(4), settings=settings)

    def test_it_says_how_the_memory_is_kept_to(self):
        ample = self.plan(8.0)
        assert ample.fits
        assert "GB for the graph of one pass, of a budget of 8.00 GB" in ample.text()
        kept = ample.memory.kept
        lean = self.plan(0.99 * kept / 1e9)
        assert lean.fits
        assert lean.memory.recompute
        assert "computes activations again in each backward" in lean.text()
        assert f"{lean.memory.again / 1e9:.2f} GB for one pass" in lean.text()
        assert f"({kept / 1e9:.2f} GB if it kept them)" in lean.text()

    def test_it_says_the_least_that_would_do(self):
        small = self.plan(1e-6)
        assert not small.fits
        assert "more than the budget" in small.text()
        told = re.search(r"--memory (\S+) or more", small.text())[1]
        assert self.plan(gigabytes(told)).fits

    def test_forwards_alone_say_nothing_of_graphs(self):
        assert "memory" not in self.plan(1e-6, "occlusion").text()


def test_graphs_are_those_of_segments_inputs():
    """What stays between forward and backward is less where activations are computed again."""
    model, inputs = made("densenet_small"), scans(shape=(33, 34, 35)).requires_grad_(True)
    sizes = []
    for again in (False, True):
        with explaining(model), graph_bytes() as graph:
            if again:
                with recomputing(model):
                    model(inputs.clone())
            else:
                model(inputs.clone())
        sizes.append(graph.total)
    assert sizes[1] < 0.5 * sizes[0]
