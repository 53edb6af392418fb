import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_store import SEQUENCES, write_small_store

from xrano.channels import ChannelLayout
from xrano.data import store as stores
from xrano.errors import CheckpointError, SplitError, VolumeError
from xrano.models.factory import MODELS, create_model
from xrano.models.inflation import inflate
from xrano.training.config import ModelConfig
from xrano.training.pretraining import rotation
from xrano.training.pretraining.config import PretrainingConfig
from xrano.training.pretraining.organ_classes import organ_task
from xrano.training.pretraining.pretrain import pretrain

LAYOUT = ChannelLayout(SEQUENCES)
TRAINING, HELD_OUT = ("P00", "P01", "P02", "P03"), ("P04", "P05")
ROTATION = PretrainingConfig("rotation", epochs=2, batch_size=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store"), patients=6, visits=2)


@pytest.fixture(scope="module")
def organs(tmp_path_factory):
    """Eleven organs, each a bright box at a place of its own."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 44), ("val", 22), ("test", 1)):
        labels = np.arange(count) % 11
        images = rng.integers(0, 30, size=(count, 28, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 6, 5:20, 5:20] = 220
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = images, labels[:, None]
    path = tmp_path_factory.mktemp("medmnist") / "organmnist3d.npz"
    np.savez_compressed(path, **arrays)
    return path


def run(config, store, folder, *, name="densenet_small", stem="concat", lines=None, **changes):
    network = create_model(name, LAYOUT, stem=stem, seed=9)
    arguments = {
        "model": ModelConfig(name, SEQUENCES, stem=stem),
        "store": store,
        "training_patients": TRAINING,
        "held_out_patients": HELD_OUT,
        "folder": folder,
        "seed": 5,
        "report": lines.append if lines is not None else str,
        "accelerator": "cpu",
    }
    summary = pretrain(config, network, **{**arguments, **changes})
    return network, summary


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_no_pretraining_changes_and_writes_nothing(store, tmp_path):
    network, summary = run(PretrainingConfig(), store, tmp_path / "fold-0")
    fresh = create_model("densenet_small", LAYOUT, seed=9).state_dict()
    assert summary == {}
    assert not (tmp_path / "fold-0").exists()
    assert all(torch.equal(value, fresh[key]) for key, value in network.state_dict().items())


def test_rotation_loads_what_it_wrote_and_says_how_much(store, tmp_path):
    lines = []
    network, summary = run(ROTATION, store, tmp_path, lines=lines)
    written = load_file(tmp_path / "pretrained.safetensors")
    own = network.backbone.state_dict()
    first = "features.conv0.weight"
    assert torch.equal(own[first], inflate(written[first], "concat", 2))
    body = [key for key in own if not key.startswith("class_layers.out") and key != first]
    assert all(
        torch.equal(own[key], written[key])
        for key in body
        if not key.endswith("num_batches_tracked")
    )
    assert not any(key.startswith("class_layers") for key in written)
    assert summary == json.loads((tmp_path / "pretraining.json").read_text())
    assert (summary["kind"], summary["fraction"]) == ("rotation", 1.0)
    assert summary["patients"] == list(TRAINING)
    assert [line["epoch"] for line in summary["history"]] == [0, 1]
    assert all(0 <= line["accuracy"] <= 1 for line in summary["history"])
    assert len(lines) == 3
    assert (
        f"{summary['needed']} of {summary['needed']} backbone tensors loaded (100 %)" in lines[-1]
    )
    assert "inflated from 1 to 4 channels" in lines[-1]


def test_no_held_out_session_is_opened(store, tmp_path, monkeypatch):
    opened = []
    for name in ("read_prepared", "read_details"):
        real = getattr(stores, name)

        def spy(path, *rest, real=real):
            opened.append(path.parent.name)
            return real(path, *rest)

        monkeypatch.setattr(rotation, name, spy)
    run(ROTATION, store, tmp_path)
    assert set(opened) == set(TRAINING)


def test_a_held_out_patient_is_refused_before_anything_is_read_or_kept(store, tmp_path):
    run(ROTATION, store, tmp_path)
    written = digest(tmp_path / "pretraining.json")
    with pytest.raises(SplitError, match=r"held out \(P03\)"):
        run(ROTATION, store, tmp_path, held_out_patients=(*HELD_OUT, "P03"))
    with pytest.raises(SplitError, match=r"held out \(P00, P01, P02, P03\)"):
        run(ROTATION, store, tmp_path / "new", held_out_patients=TRAINING)
    assert not (tmp_path / "new").exists()
    assert digest(tmp_path / "pretraining.json") == written


def test_two_runs_give_the_same_bytes_and_leave_the_global_random_state(store, tmp_path):
    digests = []
    for name in ("one", "two"):
        torch.manual_seed(len(name) + len(digests))
        before = torch.random.get_rng_state()
        run(ROTATION, store, tmp_path / name, name="vit_small")
        assert torch.equal(torch.random.get_rng_state(), before)
        files = sorted((tmp_path / name).iterdir())
        assert [file.name for file in files] == ["pretrained.safetensors", "pretraining.json"]
        digests.append([digest(file) for file in files])
    assert digests[0] == digests[1]


def test_what_is_there_is_not_learnt_again_unless_something_changed(store, tmp_path):
    lines = []
    _, first = run(ROTATION, store, tmp_path, lines=lines)
    kept = (tmp_path / "pretrained.safetensors").stat().st_mtime_ns
    lines.clear()
    _, again = run(ROTATION, store, tmp_path, lines=lines)
    assert again == first
    assert len(lines) == 1  # no epoch
    assert (tmp_path / "pretrained.safetensors").stat().st_mtime_ns == kept
    for changes in (
        {"training_patients": TRAINING[:3]},
        {"seed": 6},
        {"config": PretrainingConfig("rotation", epochs=1, batch_size=4)},
        {"config": PretrainingConfig("rotation", epochs=1, batch_size=5)},
    ):
        config = changes.pop("config", ROTATION)
        lines.clear()
        run(config, store, tmp_path, lines=lines, **changes)
        assert len(lines) == 1 + config.epochs


def test_a_broken_file_of_an_interrupted_run_is_made_anew(store, tmp_path):
    run(ROTATION, store, tmp_path)
    path = tmp_path / "pretrained.safetensors"
    whole = digest(path)
    path.write_bytes(path.read_bytes()[:1000])
    run(ROTATION, store, tmp_path)
    assert digest(path) == whole


def test_organs_are_learnt_above_chance_without_a_patient(store, organs, tmp_path):
    config = PretrainingConfig(
        "organmnist3d", str(organs), epochs=5, batch_size=8, learning_rate=0.003
    )
    lines = []
    network, summary = run(
        config, store, tmp_path, name="resnet_small", stem="siamese", lines=lines
    )
    assert summary["history"][-1]["accuracy"] > 0.5  # chance is 0.09
    assert summary["patients"] == []
    assert summary["fraction"] == 1.0
    assert "of 5, loss" in lines[0]
    assert "(chance 0.091)" in lines[0]
    own = network.backbone.encoder.state_dict()
    written = load_file(tmp_path / "pretrained.safetensors")
    assert torch.equal(own["layer4.0.conv1.weight"], written["layer4.0.conv1.weight"])
    assert torch.equal(own["conv1.weight"], inflate(written["conv1.weight"], "siamese", 2))


@pytest.mark.parametrize("name", ["densenet121", "alexnet3d", "vit_small"])
def test_organs_of_28_voxels_fit_a_network_that_halves_five_times(store, organs, tmp_path, name):
    task = organ_task(organs, MODELS[name].stride)
    images = torch.stack([task.training[row][0] for row in range(2)])
    with torch.no_grad():
        logits = MODELS[name].build(1, task.classes, 1).eval()(images)
    assert logits.shape == (2, 11)
    inner = [(size - 28) // 2 for size in images.shape[2:]]
    cut = images[:, :, *(slice(start, start + 28) for start in inner)]
    read = np.load(organs)["train_images"]
    scaled = (read[:2].astype(float) - read.mean(dtype=float)) / read.std(dtype=float)
    np.testing.assert_allclose(cut[:, 0].numpy(), scaled, atol=1e-5)


def test_an_npz_of_another_set_is_refused_and_nothing_loaded(store, tmp_path):
    path = tmp_path / "nodulemnist3d.npz"
    np.savez(path, something=np.zeros(3))
    with pytest.raises(VolumeError, match="lacks train_images.*it holds something"):
        run(PretrainingConfig("organmnist3d", str(path)), store, tmp_path)


def test_a_file_of_weights_is_loaded_and_its_fraction_reported(store, tmp_path):
    source = create_model("resnet_small", ChannelLayout(("T1",)), stem="subtract", seed=4)
    tensors = {f"module.{key}": value for key, value in source.backbone.state_dict().items()}
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": tensors}, path)
    config = PretrainingConfig("medicalnet", str(path))
    lines = []
    network, summary = run(config, store, tmp_path / "fold-0", name="resnet_small", lines=lines)
    assert torch.equal(
        network.backbone.layer3[0].conv2.weight, source.backbone.layer3[0].conv2.weight
    )
    assert lines == [f"pretraining from {summary['line']}"]
    assert "(100 %)" in lines[0]
    assert (summary["history"], summary["patients"]) == ([], [])
    assert [file.name for file in (tmp_path / "fold-0").iterdir()] == ["pretraining.json"]


def test_weights_that_do_not_match_at_all_are_an_error(store, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {"module.visual.proj": torch.ones(3, 3)}}, path)
    with pytest.raises(CheckpointError, match=r"none of .*It holds 1 tensors \(visual\.proj\)"):
        run(PretrainingConfig("medicalnet", str(path)), store, tmp_path / "fold-0")
    assert not (tmp_path / "fold-0").exists()
