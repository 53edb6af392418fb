"""Networks as their users bring them: functional steps, modules used twice, wrapped, broken."""

from __future__ import annotations

import contextlib
import math
import warnings

import captum.attr
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import distributed, nn
from toy_networks import LAYOUT, Explainable, Features, Linear, explain, scans

from xrano.attribution.methods import METHODS
from xrano.attribution.model_state import unwrapped
from xrano.errors import ConfigError, ModelError, UnknownNameError


class Rectified(Explainable):
    """Convolutions with a rectifier of any make between them, and a pooling."""

    def __init__(self, first, second, pool=None):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.one, self.two = nn.Conv3d(4, 6, 2), nn.Conv3d(6, 5, 2)
            self.head = nn.Linear(5, 4)
        self.first, self.second, self.pool = first, second, pool
        self.double()

    def forward(self, x):
        x = self.first(self.one(x))
        x = self.pool(x) if self.pool is not None else x
        return self.head(self.second(self.two(x)).mean(dim=(2, 3, 4)))


def captums(kind, model, inputs, target, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(captum.attr, kind)(model).attribute(
            inputs.clone().requires_grad_(True), target=target, **options
        )[0].detach()  # fmt: skip


PAIRS = {"guided_backprop": "GuidedBackprop", "deeplift": "DeepLift"}
REUSED = nn.ReLU()
MAKES = {
    "functional": (F.relu, F.relu),
    "torch": (torch.relu, torch.relu),
    "method": (lambda x: x.relu(), lambda x: x.relu()),
    "in place": (nn.ReLU(inplace=True), lambda x: F.relu(x, inplace=True)),
    "method in place": (lambda x: x.relu_(), lambda x: torch.relu_(x)),
    "used twice": (REUSED, REUSED),
    "written over": (lambda x: (F.relu_(x), x)[1], nn.ReLU()),
}


class TestRectifiers:
    @pytest.mark.parametrize("make", MAKES)
    @pytest.mark.parametrize("method", PAIRS)
    def test_every_make_gives_the_map_of_separate_modules(self, method, make):
        expected = captums(PAIRS[method], Rectified(nn.ReLU(), nn.ReLU()), scans(), 1)
        (found,) = explain(Rectified(*MAKES[make]), method, [1])
        assert float((found.values - expected).abs().max()) <= 1e-9 * float(expected.abs().max())

    def test_captum_does_not_see_functions(self):
        """Why the rule is put in the place of the function."""
        plain = captums("Saliency", Rectified(F.relu, F.relu), scans(), 1).abs()
        blind = captums("GuidedBackprop", Rectified(F.relu, F.relu), scans(), 1).abs()
        assert torch.allclose(plain, blind)

    @pytest.mark.parametrize(
        "step",
        [
            nn.LeakyReLU(0.2, inplace=True),
            nn.ELU(inplace=True),
            nn.Sigmoid(),
            nn.Tanh(),
            nn.Softplus(),
            nn.GELU(),
            nn.SiLU(inplace=True),
            nn.Hardtanh(-0.1, 0.2, inplace=True),
            torch.square,
            torch.abs,
        ],
    )
    def test_deeplift_adds_up_over_other_steps(self, step):
        model, inputs = Rectified(step, nn.ReLU()), scans()
        (found,) = explain(model, "deeplift", [1])
        with torch.no_grad():
            change = float((model(inputs) - model(0 * inputs))[0, 1])
        assert float(found.values.sum()) == pytest.approx(change, rel=1e-9)
        if type(step) in (nn.Sigmoid, nn.Tanh, nn.Softplus, nn.ELU):
            expected = captums("DeepLift", model, inputs, 1)
            assert torch.allclose(found.values, expected, atol=1e-12)

    @pytest.mark.parametrize("first", [nn.ReLU(), nn.Identity()])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_deeplift_through_a_max_pooling(self, stride, first):
        model = Rectified(first, nn.ReLU(), nn.MaxPool3d(2, stride=stride))
        inputs, other = scans(shape=(7, 6, 8)), scans(4, shape=(7, 6, 8))
        (found,) = explain(
            model, "deeplift:another", [1], inputs=inputs, references={"another": other}
        )
        with torch.no_grad():
            change = float((model(inputs) - model(other))[0, 1])
        assert float(found.values.sum()) == pytest.approx(change, rel=1e-9)
        expected = captums("DeepLift", model, inputs, 1, baselines=other)
        if stride == 2 and isinstance(first, nn.Identity):
            assert torch.allclose(found.values, expected, atol=1e-12)
        else:
            # Captum's map does not add up where windows share voxels, of which its unpooling keeps
            # one, or where the pooling follows an activation.
            assert abs(float(expected.sum()) - change) > 1e-3 * abs(change)

    @pytest.mark.parametrize(
        "gate",
        [
            lambda x: x * x.mean(dim=1, keepdim=True),
            lambda x: F.layer_norm(x, x.shape[1:]),
            lambda x: torch.softmax(x, dim=1),
        ],
    )
    def test_deeplift_that_does_not_add_up_is_refused(self, gate):
        with pytest.raises(ModelError, match="do not add up for this Rectified.*ig and gradient_s"):
            explain(Rectified(gate, nn.ReLU()), "deeplift", [1])

    @pytest.mark.parametrize("method", ["guided_backprop"])
    def test_no_rectifier_at_all(self, method):
        with pytest.raises(ModelError, match="Rectified ran none.*saliency, smoothgrad and ig"):
            explain(Rectified(nn.GELU(), nn.Tanh()), method)


class TestWrapped:
    def test_what_wraps_a_network_is_taken_off(self):
        model = Features()
        compiled = torch.compile(model, backend="eager")
        for wrapped in (model, compiled, nn.DataParallel(model), nn.DataParallel(compiled)):
            assert unwrapped(wrapped) is model
            for method in ("saliency", "gradcam", "guided_backprop", "deeplift"):
                (found,), (plain,) = explain(wrapped, method), explain(model, method)
                assert torch.equal(found.values, plain.values)

    def test_distributed_data_parallel(self, tmp_path):
        model = Features()
        file = f"file://{tmp_path / 'rendezvous'}"
        distributed.init_process_group("gloo", init_method=file, rank=0, world_size=1)
        try:
            wrapped = nn.parallel.DistributedDataParallel(model)
            assert unwrapped(wrapped) is model
            for method in ("saliency", "gradcam"):
                (found,), (plain,) = explain(wrapped, method), explain(model, method)
                assert torch.equal(found.values, plain.values)
            assert all(parameter.requires_grad for parameter in wrapped.parameters())
        finally:
            distributed.destroy_process_group()

    def test_a_module_of_that_name_is_no_wrapper(self):
        class Holding(Features):
            def __init__(self):
                super().__init__()
                self.module = nn.Identity()

        model = Holding()
        assert unwrapped(model) is model


class TestRefused:
    def test_half_precision(self):
        with pytest.raises(ModelError, match="float16 gradients vanish.*bfloat16"):
            explain(Features().half(), "saliency", inputs=scans(dtype=torch.float16))

    @pytest.mark.parametrize("method", ["saliency", "ig", "smoothgrad", "gradcam", "occlusion"])
    def test_bfloat16_is_near_single_precision(self, method):
        model = Features().float()
        (single,) = explain(model, method, inputs=scans(dtype=torch.float32), block=3)
        rough = explain(model.bfloat16(), method, inputs=scans(dtype=torch.bfloat16), block=3)[
            0
        ].values.float()
        pair = torch.stack([single.values.flatten(), rough.flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) > 0.98

    def test_another_device(self):
        with pytest.raises(ModelError, match="scans lie on cpu, the network on meta"):
            explain(Features().to("meta"), "saliency")

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_scans_that_are_not_numbers(self, bad):
        inputs = scans()
        inputs[0, 1, 2, 3, 1] = bad
        with pytest.raises(ModelError, match="scans hold NaN"):
            explain(Linear(), "occlusion", inputs=inputs)

    @pytest.mark.parametrize("shape", [(2, 4, 6, 5, 4), (1, 3, 6, 5, 4), (4, 6, 5, 4)])
    def test_what_is_not_one_pair(self, shape):
        with pytest.raises(ModelError, match=r"one pair \(1, 4, i, j, k\)"):
            explain(Linear(), "saliency", inputs=torch.zeros(shape), brain=torch.ones(6, 5, 4) > 0)

    @pytest.mark.parametrize("method", [m for m in METHODS if m not in ("tokengrad",)])
    @pytest.mark.parametrize(
        ("output", "said"),
        [
            (lambda y: (y, y), "gave tuple"),
            (lambda y: {"y": y}, "gave dict"),
            (lambda y: y / 0, "NaN"),
        ],
    )
    def test_unusable_logits(self, method, output, said):
        class Odd(Features):
            def forward(self, x):
                return output(super().forward(x))

        model = Odd().train()
        with pytest.raises(ModelError, match=said):
            explain(model, method, layer="all")
        assert model.training
        assert not any(module._forward_hooks for module in model.modules())
        assert all(parameter.requires_grad for parameter in model.parameters())

    @pytest.mark.parametrize("method", [m for m in METHODS if m != "tokengrad"])
    def test_a_network_that_breaks_later_is_left_as_found(self, method):
        class Breaking(Features):
            runs = 0

            def forward(self, x):
                self.runs += 1
                if self.runs > 1:
                    raise KeyboardInterrupt
                return super().forward(x)

        model = Breaking().train()
        state = torch.get_rng_state()
        with contextlib.suppress(KeyboardInterrupt, ConfigError):
            explain(model, method, layer="all")
        assert model.training
        assert torch.equal(torch.get_rng_state(), state)
        for module in model.modules():
            assert not any(
                (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
            )
        assert all(parameter.requires_grad for parameter in model.parameters())


class TestCaptumAdapter:
    @pytest.mark.parametrize(
        ("name", "kind"), [("Saliency", "Saliency"), ("InputXGradient", "InputXGradient")]
    )
    def test_as_captum_gives_it(self, name, kind):
        model = Features()
        for result in explain(model, f"captum.{name}", [1, 3]):
            assert torch.allclose(result.values, captums(kind, model, scans(), result.target))
            assert result.details["by"] == f"captum.attr.{kind}"

    def test_with_a_baseline_and_with_a_layer(self):
        model, inputs = Linear(), scans()
        baseline = inputs.clone()
        baseline[:, 2:] = inputs[:, :2]
        (found,) = explain(model, "captum.IntegratedGradients:prior", [1])
        expected = model.weight[1].detach() * (inputs - baseline)[0]
        assert torch.allclose(found.values, expected, atol=1e-6)
        results = explain(Features(), "captum.LayerGradientXActivation", [1], layer="all")
        for result in results:
            (ours,) = explain(Features(), "hirescam", [1], layer=result.layer)
            assert torch.allclose(result.values, ours.values, atol=1e-9)
            assert result.grid_layer == result.layer

    def test_draws_come_from_the_seed(self):
        first, second, other = (
            explain(Linear(), "captum.KernelShap", [1], inputs=scans(), seed=seed)[0].values
            for seed in (3, 3, 4)
        )
        assert torch.equal(first, second)
        assert not torch.equal(first, other)

    def test_what_does_not_fit(self):
        # It has no rule for three-dimensional convolutions.
        with pytest.raises(ModelError, match="Captum's LRP does not fit this Features.*saliency"):
            explain(Features(), "captum.LRP")

    def test_names(self):
        for name in ("NeuronGradient", "LRPX", "Attribution", "os"):
            with pytest.raises(UnknownNameError, match="method of Captum"):
                explain(Linear(), f"captum.{name}")
        assert len(LAYOUT) == 4
