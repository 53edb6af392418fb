"""Class activation maps against their papers' toy cases and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import Explainable, Features, explain, scans

from xrano.attribution.fused_layer_cam import scaled
from xrano.attribution.grad_cam import weigh_by_mean
from xrano.attribution.grad_cam_pp import weigh_by_cells
from xrano.attribution.hires_cam import multiply_cells
from xrano.attribution.layer_cam import multiply_positive
from xrano.attribution.placement import VOXELS, Place, place_cells
from xrano.errors import ConfigError, ModelError, UnknownNameError


def objects(*sizes):
    """One feature an object, 1 where it is, on 80 cells; the objects lie apart."""
    features = torch.zeros(1, len(sizes), 80, 1, 1, dtype=torch.float64)
    start = 0
    for index, size in enumerate(sizes):
        features[0, index, start : start + size] = 1
        start += size
    return features


class TestGradCamPlusPlus:
    """Figure 3 of arXiv:1710.11063: three objects of 15, 4 and 2 cells, seen by a feature each."""

    SIZES = (15, 4, 2)

    def test_grad_cam_lets_small_objects_fade(self):
        features = objects(*self.SIZES)
        found = weigh_by_mean([features], [features])
        strengths = [float(found[features[0, n] > 0].mean()) for n in range(3)]
        assert strengths == pytest.approx([15 / 80, 4 / 80, 2 / 80])

    def test_here_they_count_almost_alike(self):
        features = objects(*self.SIZES)
        found = weigh_by_cells([features], [features])
        strengths = [float(found[features[0, n] > 0].mean()) for n in range(3)]
        # α = 1 / (2 + Σ A) on each of the n cells of an object.
        assert strengths == pytest.approx([15 / 17, 4 / 6, 2 / 4])
        assert min(strengths) / max(strengths) > 4 * (2 / 15)

    def test_against_loops(self):
        generator = torch.Generator().manual_seed(1)
        a, g = torch.randn(2, 3, 2, 3, 2, generator=generator, dtype=torch.float64)
        found = weigh_by_cells([a[None]], [g[None]]).numpy()
        expected = np.zeros((2, 3, 2))
        for feature, slope in zip(a.numpy(), g.numpy(), strict=True):
            weight = 0.0
            for cell in np.ndindex(2, 3, 2):
                below = 2 * slope[cell] ** 2 + feature.sum() * slope[cell] ** 3
                weight += slope[cell] ** 2 / below * max(slope[cell], 0)
            expected += weight * feature
        assert found == pytest.approx(expected)

    def test_no_gradient_is_no_weight(self):
        features = objects(3, 5)
        assert not weigh_by_cells([features], [torch.zeros_like(features)]).any()


class TestHiResCam:
    def test_the_mean_of_gradients_may_point_to_the_wrong_cells(self):
        """As in figure 1 of arXiv:2011.08891: one feature, for the class here, against it there."""
        features = torch.tensor([1.0, 1.0, 0.0, 2.0]).view(1, 1, 4, 1, 1)
        slopes = torch.tensor([3.0, -1.0, 1.0, -1.0]).view(1, 1, 4, 1, 1)
        assert multiply_cells([features], [slopes]).flatten().tolist() == [3, -1, 0, -2]
        mean = weigh_by_mean([features], [slopes]).flatten()
        assert mean.tolist() == [0.5, 0.5, 0, 1], "Grad-CAM praises the cells that speak against"

    def test_it_adds_up_to_the_logit_of_a_linear_head(self):
        model = Features()
        found = explain(model, ["hirescam", "gradcam"], [0, 1, 2, 3])
        logits = model(scans())[0].detach() - model.head.bias.detach()
        for result in found[:4]:
            assert float(result.values.sum()) == pytest.approx(float(logits[result.target]))
        gaps = [float(r.values.sum() - logits[r.target]) for r in found[4:]]
        assert max(map(abs, gaps)) > 0.01, "Grad-CAM does not"


class TestLayerCam:
    def test_against_its_definition(self):
        model = Features()
        layer = dict(model.named_modules())["fine"]
        kept = []
        handle = layer.register_forward_hook(lambda _m, _a, out: kept.append(out) or out.clone())
        logits = model(scans())
        handle.remove()
        (slopes,) = torch.autograd.grad(logits[0, 1], kept[0])
        (found,) = explain(model, "layercam", [1], layer="fine")
        expected = (kept[0] * slopes.clamp(min=0)).sum(dim=1).detach()
        assert torch.allclose(found.values, expected, atol=1e-14)

    def test_uniform_positive_gradients_give_grad_cam(self):
        features = objects(6, 3)
        slopes = torch.ones_like(features) * torch.tensor([2.0, 0.5]).view(1, 2, 1, 1, 1)
        first, second = (cam([features], [slopes]) for cam in (multiply_positive, weigh_by_mean))
        assert torch.equal(first, second)

    def test_cells_that_speak_against_are_left_out(self):
        features = torch.ones(1, 1, 2, 1, 1)
        slopes = torch.tensor([2.0, -3.0]).view(1, 1, 2, 1, 1)
        assert multiply_positive([features], [slopes]).flatten().tolist() == [2, 0]
        assert weigh_by_mean([features], [slopes]).max() < 0


class TestFusion:
    def test_scaling(self):
        values = torch.tensor([-1.0, 0.0, 1.0, 4.0]).view(1, 4, 1, 1)
        expected = np.tanh([0, 0, 0.5, 2])
        assert scaled(values).flatten().numpy() == pytest.approx(expected, abs=1e-6)
        assert not scaled(-values.abs()).any()

    def test_it_is_the_largest_of_the_placed_maps(self):
        model = Features()
        places = {"coarse": Place((2,) * 3, (0.5,) * 3), "fine": VOXELS}
        (found,) = explain(model, "layercam_fused", [1], place_of=places.__getitem__)
        maps = [explain(model, "layercam", [1], layer=name)[0].values for name in places]
        coarse = place_cells(scaled(maps[0]), (6, 5, 4), places["coarse"], VOXELS)
        assert found.values.numpy() == pytest.approx(torch.maximum(coarse, scaled(maps[1])).numpy())
        assert found.layer == "coarse+fine"
        assert found.grid_layer == "fine"
        assert found.details["placed"]
        assert 0 <= float(found.values.min()) <= float(found.values.max()) <= np.tanh(2) + 1e-12

    def test_one_layer_is_none_to_fuse(self):
        with pytest.raises(ModelError, match="needs 2 layers or more and has fine alone"):
            explain(Features(), "layercam_fused", layer="fine")


class TestPlacement:
    def test_between_centres_and_beyond(self):
        values = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)
        placed = place_cells(values, (8, 2, 1), Place((4, 9, 9), (1.0, 0, 0)))
        assert placed.shape == (1, 8, 2, 1)
        # Centres at voxels 1 and 5.
        assert placed[0, :, 1, 0].tolist() == [1, 1, 1.5, 2, 2.5, 3, 3, 3]

    def test_it_agrees_with_resampling_in_the_world(self):
        from xrano.geometry import Grid
        from xrano.resampling import resample

        values = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0))
        cells = np.diag([3.0, 4.0, 2.0, 1.0])
        cells[:3, 3] = 1.0, 1.5, 0.5
        fine = Grid((9, 8, 8), np.eye(4))
        expected = resample(values[0].numpy(), Grid((3, 2, 4), cells), fine, outside="edge")
        placed = place_cells(values, fine.shape, Place((3, 4, 2), (1.0, 1.5, 0.5)))
        assert placed[0].numpy() == pytest.approx(expected, abs=1e-6)


class TestLayers:
    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            (None, ["coarse"]),
            ("auto", ["coarse"]),
            ("fine", ["fine"]),
            ("all", ["coarse", "fine"]),
            ("fine, rectify", ["fine", "rectify"]),
            ("fine,fine,coarse", ["fine", "coarse"]),
        ],
    )
    def test_a_result_for_each_layer_and_target(self, asked, found):
        results = explain(Features(), ["gradcam", "hirescam"], [3, 0], layer=asked)
        expected = [(layer, target) for layer in found for target in (3, 0)]
        assert [(r.layer, r.target) for r in results] == expected * 2
        for result in results:
            (alone,) = explain(
                Features(), result.request.label, [result.target], layer=result.layer
            )
            assert torch.allclose(result.values, alone.values, atol=1e-14)

    def test_words_are_those_of_a_network_that_names_layers(self):
        class Nameless(Features):
            cam_layers = ()

        with pytest.raises(ModelError, match="name one with --layer"):
            explain(Nameless(), "gradcam", layer="all")
        with pytest.raises(UnknownNameError, match="'finest'.*choose from: coarse, fine"):
            explain(Features(), "gradcam", layer="finest")

    def test_one_layer_where_one_is_needed(self):
        from xrano.attribution.layers import find_layer

        with pytest.raises(ConfigError, match="one layer is needed.*coarse, fine"):
            find_layer(Features(), "all")

    def test_nothing_before_the_earliest_layer_is_differentiated(self):
        def differentiated(_gradient):
            raise AssertionError("differentiated")

        def guard(x):
            x = x.clone()
            if x.requires_grad:
                x.register_hook(differentiated)
            return x

        class Guarded(Features):
            def forward(self, x):
                return super().forward(guard(x))

        results = explain(Guarded(), ["gradcam", "hirescam", "layercam"], [0, 1], layer="all")
        assert len(results) == 12
        with pytest.raises(AssertionError, match="differentiated"):
            explain(Guarded(), "saliency")


class TestMarks:
    class Against(Explainable):
        """Every cell speaks against class 1; class 2 does not see the scans."""

        cam_layers = ("layer",)

        def __init__(self):
            super().__init__()
            self.layer = nn.AvgPool3d(2)

        def forward(self, x):
            mean = self.layer(x.abs()).mean(dim=(1, 2, 3, 4))
            return torch.stack([mean, -mean, 0 * mean, 2 * mean], dim=1)

    def test_maps_without_a_positive_part_are_kept_and_marked(self):
        names = ["gradcam", "hirescam", "gradcampp", "layercam"]
        for result in explain(self.Against(), names, [0, 1, 2]):
            assert result.values.isfinite().all()
            positive = result.request.method in ("gradcampp", "layercam")
            marks = {1: "zero_map" if positive else "no_positive_part", 2: "zero_map"}
            assert result.details.get("remark") == marks.get(result.target)
