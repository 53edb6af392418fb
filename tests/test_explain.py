"""The explainer: what a map's sidecar says, the same bytes twice, and left is left to the end."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.spatial.transform import Rotation
from torch import nn

from xrano.attribution.methods import AttributionSettings
from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import ConfigError, ModelError, UnknownNameError, VolumeError
from xrano.experiments.panels import explanation_panel
from xrano.explain import Explainer, weights_hash
from xrano.geometry import Grid, to_ras
from xrano.map_files import load_map, save_map, sidecar_path
from xrano.models.factory import create_model
from xrano.models.layer_geometry import feature_grid
from xrano.rano import RESPONSES
from xrano.target_words import TARGET_CHOICES

LAYOUT = ChannelLayout(("CT1", "FLAIR"))
METHODS = ("saliency", "gradcam", "ig", "ig:brain_mean", "ig:prior")
ROTATION = Rotation.from_euler("xyz", [17, 8, -12], degrees=True).as_matrix()


def centred(shape, linear):
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.array([1.0, -12.0, 9.0]) - linear @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


LAS = centred((38, 35, 22), np.diag([-4.0, 5.0, 6.0]))
GRIDS = {
    "LAS": LAS,
    "RAS": to_ras(np.zeros(LAS.shape), LAS.affine)[1],
    "oblique": centred((40, 37, 25), ROTATION @ np.diag([-4.0, 5.0, 6.0])),
    "PIR": centred((35, 22, 38), np.array([[0, 0, 4.0], [-5.0, 0, 0], [0, -6.0, 0]])),
}
LESION = np.array([-34.0, 12.0, 18.0])
"""World mm: in the patient's left hemisphere."""


def distance(grid, centre):
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return np.linalg.norm(world - centre, axis=-1)


def make_pair(grid=LAS, **changes):
    """Noise in a brain, and on the current scan one bright lesion on the left."""
    rng = np.random.default_rng(5)
    brain = distance(grid, (1.0, -12.0, 9.0)) < 62
    lesion = distance(grid, LESION) < 13
    inputs = rng.normal(0, 0.3, (4, *grid.shape)).astype(np.float32) * brain
    inputs[2:] += 6 * lesion
    labels = np.where(lesion, 1, 0).astype(np.uint8)
    pair = PairVolumes(
        pair_id="Patient-007_week-000-1_week-012",
        patient_id="Patient-007",
        prior_session="week-000-1",
        current_session="week-012",
        response="SD",
        spans_surgery=False,
        inputs=inputs,
        layout=LAYOUT,
        grid=grid,
        brain=brain,
        segmentations={"deepbratumia": (0 * labels, labels, "lumiere-deepbratumia")},
    )
    return replace(pair, **changes)


@pytest.fixture(scope="module")
def model():
    return create_model("densenet_small", LAYOUT, seed=3)


@pytest.fixture(scope="module")
def explanation(model):
    settings = AttributionSettings(n_steps=3)
    explainer = Explainer(model, METHODS, settings=settings, meta={"run": "r", "fold": 2})
    return explainer.explain(make_pair(), "all")


class TestMeta:
    def test_one_map_a_method_and_target_in_order(self, explanation):
        found = [
            (item.meta["method"], item.meta["baseline"], item.meta["target_name"])
            for item in explanation.maps
        ]
        methods = [("saliency", ""), ("gradcam", "")]
        methods += [("ig", name) for name in ("zero", "brain_mean", "prior")]
        assert found == [(*method, str(name)) for method in methods for name in RESPONSES]

    def test_what_every_sidecar_says(self, explanation, model):
        pair = make_pair()
        for item in explanation.maps:
            said = dict(item.meta)
            assert json.loads(json.dumps(said, allow_nan=False)) == said
            assert said["pair_id"] == pair.pair_id
            assert said["patient_id"] == "Patient-007"
            assert (said["prior"], said["current"]) == ("week-000-1", "week-012")
            assert (said["response"], said["spans_surgery"]) == ("SD", False)
            assert said["target_name"] == str(RESPONSES[said["target"]])
            assert (said["target_choice"], said["predicted"]) == ("all", explanation.predicted)
            assert (said["run"], said["fold"]) == ("r", 2)
            assert said["logits"] == dict(explanation.logits)
            assert set(said["versions"]) >= {"xrano", "torch", "captum", "monai"}
            assert said["threads"] == torch.get_num_threads()
            expected = hashlib.sha256(np.ascontiguousarray(pair.inputs).tobytes()).hexdigest()
            assert said["input_sha256"] == expected
            assert said["weights_sha256"] == weights_hash(model)

    def test_layers_and_feature_grids_are_those_of_cams_alone(self, explanation, model):
        cells = feature_grid(model, model.cam_layers[0], 4, LAS)
        for item in explanation.maps:
            if item.meta["method"] != "gradcam":
                assert item.meta["layer"] == ""
                assert item.grid.matches(LAS)
                assert item.channels == LAYOUT.names
                assert not item.coarse
                continue
            assert item.coarse
            assert item.meta["layer"] == model.cam_layers[0]
            assert item.grid.matches(cells)
            assert item.data.shape == (1, *cells.shape)
            told = item.meta["feature_grid"]
            assert told["shape"] == list(cells.shape)
            assert told["spacing_mm"] == pytest.approx([8 * size for size in LAS.spacing])

    def test_steps_and_gap_are_those_of_integrated_gradients_alone(self, explanation):
        for item in explanation.maps:
            found = {"convergence_delta", "n_steps"} & set(item.meta)
            assert bool(found) == (item.meta["method"] == "ig")
            if found:
                assert item.meta["n_steps"] == 3
                assert math.isfinite(item.meta["convergence_delta"])

    def test_the_gap_is_that_of_the_map(self, explanation, model):
        with torch.no_grad():
            zero = model.eval()(torch.zeros(1, 4, *LAS.shape))[0]
        for item in explanation.maps:
            if item.meta["baseline"] == "zero":
                name, target = item.meta["target_name"], item.meta["target"]
                gain = explanation.logits[name] - float(zero[target])
                expected = float(item.data.astype(np.float64).sum()) - gain
                assert item.meta["convergence_delta"] == pytest.approx(expected, abs=1e-5)

    def test_probabilities_are_the_softmax_of_the_models_logits(self, explanation, model):
        inputs = torch.from_numpy(make_pair().inputs)[None]
        with torch.no_grad():
            logits = model.eval()(inputs)[0]
        assert list(explanation.logits) == [str(name) for name in RESPONSES]
        assert list(explanation.logits.values()) == pytest.approx(logits.tolist(), abs=1e-5)
        shares = torch.softmax(logits.double(), dim=0).tolist()
        assert list(explanation.probabilities.values()) == pytest.approx(shares, abs=1e-6)
        assert explanation.predicted == RESPONSES[int(logits.argmax())]

    def test_logits_too_large_for_a_naive_softmax(self):
        class Loud(nn.Module):
            layout, num_classes, cam_layers = LAYOUT, 4, ()

            def forward(self, x):
                return x.sum(dim=(1, 2, 3, 4))[:, None] * 0 + torch.tensor([0.0, 2e3, 1e3, -3e3])

        found = Explainer(Loud(), ["saliency"]).explain(make_pair())
        assert list(found.probabilities.values()) == [0, 1, 0, 0]
        assert not found.maps[0].data.any()

    def test_meta_of_the_call_replaces_what_this_network_would_say(self, model):
        explainer = Explainer(model, ["saliency"], meta={"run": "a", "copy": 1})
        found = explainer.explain(make_pair(), meta={"predicted": "CR", "run": "b"})
        said = found.maps[0].meta
        assert (said["predicted"], said["run"], said["copy"]) == ("CR", "b", 1)


class TestTargets:
    @pytest.mark.parametrize("name", [*map(str, RESPONSES), "response", "predicted"])
    def test_one_target(self, model, name):
        found = Explainer(model, ["saliency"]).explain(make_pair(), name)
        (item,) = found.maps
        expected = {"response": "SD", "predicted": found.predicted}.get(name, name)
        assert item.meta["target_name"] == expected
        assert item.meta["target_choice"] == (
            name if name in ("response", "predicted") else "named"
        )

    def test_a_response_itself_is_a_target(self, model):
        (item,) = Explainer(model, ["saliency"]).explain(make_pair(), RESPONSES[1]).maps
        assert (item.meta["target_name"], item.meta["target_choice"]) == ("PR", "named")

    def test_maps_of_all_equal_those_of_each(self, model, explanation):
        explainer = Explainer(model, METHODS, settings=AttributionSettings(n_steps=3))
        alone = {
            (item.meta["method"], item.meta["baseline"]): item
            for item in explainer.explain(make_pair(), "PD").maps
        }
        for item in explanation.maps:
            if item.meta["target_name"] == "PD":
                other = alone[item.meta["method"], item.meta["baseline"]]
                assert np.abs(item.data - other.data).max() <= 1e-4 * np.abs(other.data).max()

    def test_the_response_of_an_unrated_pair(self, model):
        with pytest.raises(ConfigError, match="Patient-007_week-000-1_week-012 is unrated"):
            Explainer(model, ["saliency"]).explain(make_pair(response=""), "response")

    def test_an_unknown_target_lists_the_choices(self, model):
        with pytest.raises(UnknownNameError, match="CR, PD, PR, SD, all, predicted, response"):
            Explainer(model, ["saliency"]).explain(make_pair(), "truth")
        assert set(TARGET_CHOICES) == {
            *("predicted", "response", "all", "CR", "PR", "SD", "PD", "rest"),
        }


class TestErrors:
    def test_other_channels(self, model):
        pair = make_pair(layout=ChannelLayout(("FLAIR", "CT1")))
        with pytest.raises(ConfigError, match=r"has channels prior_FLAIR.*needs prior_CT1"):
            Explainer(model, ["saliency"]).explain(pair)

    @pytest.mark.parametrize("methods", [[], ["sailency"], ["ig:blur"], ["gradcam:zero"]])
    def test_methods_are_checked_before_anything_is_computed(self, model, methods):
        with pytest.raises((ConfigError, UnknownNameError)):
            Explainer(model, methods)

    def test_so_is_the_layer(self, model):
        with pytest.raises(UnknownNameError, match="denseblock2"):
            Explainer(model, ["gradcam"], settings=AttributionSettings(layer="denseblock2"))

    def test_a_model_without_the_protocol(self):
        with pytest.raises(ModelError, match="cannot be explained"):
            Explainer(nn.Linear(2, 4), ["saliency"])

    def test_a_model_of_another_number_of_classes(self):
        with pytest.raises(ModelError, match="gives 3 logits, needed are 4"):
            Explainer(create_model("densenet_small", LAYOUT, 3), ["saliency"])

    def test_logits_that_are_not_numbers_name_the_pair(self):
        broken = create_model("densenet_small", LAYOUT)
        with torch.no_grad():
            next(broken.parameters())[0] = torch.nan
        with pytest.raises(ModelError, match=r"^Patient-007_week-000-1_week-012: .*NaN"):
            Explainer(broken, ["saliency"]).explain(make_pair())

    def test_gradients_that_are_not_numbers_name_method_and_pair(self):
        class Root(Detector):
            def forward(self, x):
                return super().forward(x) + (0 * x).abs().sqrt().sum()

        with pytest.raises(VolumeError, match="saliency map of Patient-007"):
            Explainer(Root(), ["saliency"]).explain(make_pair())

    def test_a_method_twice_is_computed_once(self, model):
        explainer = Explainer(model, ["saliency", "ig", "saliency", "ig"])
        assert explainer.methods == ("saliency", "ig:zero")


class Detector(nn.Module):
    """A user's own module: PD is what is locally bright on the current scan; no weights at all."""

    layout, num_classes, cam_layers = LAYOUT, 4, ("cells",)

    def __init__(self):
        super().__init__()
        self.cells = nn.AvgPool3d((3, 2, 2), stride=(3, 2, 2), padding=(1, 0, 1))

    def forward(self, x):
        smooth = nn.functional.avg_pool3d(x[:, 2:], 3, stride=1, padding=1)
        bright = self.cells(torch.relu(smooth - 1.5)).sum(dim=1).mean(dim=(1, 2, 3))
        return torch.stack([0 * bright, 0 * bright, 0 * bright + 1e-4, bright], dim=1)


class TestModels:
    def test_a_users_own_module_without_weights(self):
        found = Explainer(Detector(), METHODS).explain(make_pair(), "all")
        assert found.predicted == "PD"
        assert len(found.maps) == 20

    def test_double_precision(self, explanation):
        network = create_model("densenet_small", LAYOUT, seed=3).double()
        (double,) = Explainer(network, ["saliency"]).explain(make_pair(), "PD").maps
        single = explanation.maps[3]
        assert (single.meta["method"], single.meta["target_name"]) == ("saliency", "PD")
        assert double.data.dtype == np.float32
        assert np.abs(double.data - single.data).max() <= 1e-4 * np.abs(single.data).max()

    def test_half_precision(self):
        class Half(Detector):
            def __init__(self):
                super().__init__()
                self.gain = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))

            def forward(self, x):
                return self.gain * super().forward(x.float()).to(x.dtype)

        (half,) = Explainer(Half(), ["saliency"]).explain(make_pair(), "PD").maps
        assert half.data.dtype == np.float32
        assert centre_of_mass(half.reduced(), LAS) == pytest.approx(LESION, abs=4)

    def test_the_hash_follows_weights_and_statistics(self):
        one = create_model("densenet_small", LAYOUT, seed=3)
        assert weights_hash(one) == weights_hash(create_model("densenet_small", LAYOUT, seed=3))
        before = weights_hash(one)
        one.backbone.features.norm0.running_mean[4] += 1e-3
        assert weights_hash(one) != before

    @pytest.mark.parametrize("kind", ["densenet", "in place"])
    def test_the_pair_and_the_model_stay(self, kind, model):
        class InPlace(Detector):
            def forward(self, x):
                return super().forward(x.mul_(2))

        network = model.train() if kind == "densenet" else InPlace()
        pair = make_pair()
        Explainer(network, METHODS, settings=AttributionSettings(n_steps=2)).explain(pair, "all")
        assert np.array_equal(pair.inputs, make_pair().inputs)
        assert network.training


def save_all(explanation, folder):
    return {path.name: path for path in (save_map(item, folder) for item in explanation.maps)}


class TestFiles:
    def test_the_same_run_gives_the_same_bytes(self, tmp_path):
        written = []
        for name in ("a", "b"):
            explainer = Explainer(
                create_model("densenet_small", LAYOUT, seed=3),
                METHODS,
                settings=AttributionSettings(n_steps=3),
            )
            written.append(save_all(explainer.explain(make_pair(), "all"), tmp_path / name))
        assert len(written[0]) == 20, "every map has a file of its own"
        assert written[0].keys() == written[1].keys()
        for name, path in written[0].items():
            other = written[1][name]
            assert path.read_bytes() == other.read_bytes()
            assert sidecar_path(path).read_bytes() == sidecar_path(other).read_bytes()

    def test_maps_come_back_as_they_were(self, tmp_path, explanation):
        for item in explanation.maps[::3]:
            loaded = load_map(save_map(item, tmp_path))
            assert np.array_equal(loaded.data, item.data)
            assert loaded.meta == dict(item.meta)
            assert loaded.grid.matches(item.grid)


def centre_of_mass(volume, grid):
    assert volume.sum() > 0
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return (world * volume[..., None]).sum(axis=(0, 1, 2)) / volume.sum()


def drawn_centre(figure, name):
    """Where the colour of one picture lies: world x by its extent, and the pixels' share."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (ax,) = (one for one in figure.axes if one.get_label() == name)
    (image,) = (one for one in ax.images if one.get_label() == "colour")
    values = np.asarray(image.get_array())
    left, right, _, _ = image.get_extent()
    columns = values.shape[1]
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    box = ax.get_window_extent()
    height = pixels.shape[0]
    part = pixels[height - round(box.y1) : height - round(box.y0), round(box.x0) : round(box.x1)]
    coloured = np.ptp(part, axis=2) > 60
    assert coloured.any()
    return float((values * x).sum() / values.sum()), float(
        np.nonzero(coloured)[1].mean() / part.shape[1]
    )


@pytest.fixture(scope="module", params=GRIDS)
def found(request):
    methods = ["saliency", "gradcam", "ig", "ig:prior"]
    return Explainer(Detector(), methods).explain(make_pair(GRIDS[request.param]), "PD")


class TestLeftStaysLeft:
    """The lesion lies in the patient's left hemisphere: so must every map, file and picture."""

    def test_in_the_map(self, found):
        for item in found.maps:
            centre = centre_of_mass(item.reduced("positive"), item.grid)
            tolerance = max(item.grid.spacing) if item.coarse else 4
            assert centre == pytest.approx(LESION, abs=tolerance)
            assert centre[0] < -20

    @pytest.mark.parametrize("there", GRIDS)
    def test_in_the_map_on_another_grid(self, found, there):
        for item in found.maps:
            moved = item.resample_to(GRIDS[there])
            centre = centre_of_mass(moved.reduced("positive"), moved.grid)
            assert centre == pytest.approx(LESION, abs=8)

    def test_in_the_saved_file(self, found, tmp_path):
        for item in found.maps:
            on_scan = item.resample_to(LAS)
            for one in (item, on_scan):
                loaded = load_map(save_map(one, tmp_path / str(one is item)))
                centre = centre_of_mass(loaded.reduced("positive"), loaded.grid)
                assert centre == pytest.approx(LESION, abs=12)
                assert centre[0] < -20

    @pytest.mark.parametrize(
        ("convention", "on_the_right"), [("radiological", True), ("neurological", False)]
    )
    def test_in_the_panel(self, found, convention, on_the_right):
        figure = explanation_panel(
            found, convention=convention, slice_by={"axial": float(LESION[2])}
        )
        for number in range(len(found.maps)):
            x, share = drawn_centre(figure, f"map {number} axial")
            assert x == pytest.approx(LESION[0], abs=10)
            assert (share > 0.6) if on_the_right else (share < 0.4)

    def test_the_cam_lies_on_the_lesion_and_not_where_stretching_would_put_it(self, found):
        (item,) = (one for one in found.maps if one.meta["method"] == "gradcam")
        peak = np.unravel_index(item.data[0].argmax(), item.grid.shape)
        half_cell = np.abs(item.grid.affine[:3, :3]).sum(axis=1) / 2
        assert (np.abs(item.grid.world(peak) - LESION) <= half_cell + 7).all()
