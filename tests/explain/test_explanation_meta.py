"""What an explanation says of itself in every sidecar, and the same bytes twice."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from lesion_pair import LAS, LAYOUT, METHODS, make_pair
from torch import nn

from xrano.attribution.methods import AttributionSettings
from xrano.explain import Explainer, weights_hash
from xrano.map_files import load_map, save_map, sidecar_path
from xrano.models.factory import create_model
from xrano.models.layer_geometry import feature_grid
from xrano.rano import RESPONSES


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
