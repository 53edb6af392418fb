from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from xrano.channels import ChannelLayout
from xrano.errors import CheckpointError, UnknownNameError
from xrano.models.factory import create_model
from xrano.training.checkpoint import (
    load_model,
    load_resume,
    load_weights,
    save_resume,
    save_weights,
)

LAYOUT = ChannelLayout(("T1", "FLAIR"))
NAME = "densenet_small"


@pytest.fixture(scope="module")
def network():
    return create_model(NAME, LAYOUT, 4, seed=11)


@pytest.fixture
def path(tmp_path: Path, network) -> Path:
    out = tmp_path / "fold-0" / "model.safetensors"
    save_weights(out, network.state_dict(), model=NAME, layout=LAYOUT, num_classes=4)
    return out


def test_what_is_saved_is_loaded_in_evaluation_mode(path: Path, network):
    loaded = load_model(path, model=NAME, layout=LAYOUT)
    assert not loaded.training
    assert loaded.layout == LAYOUT
    wrote, found = network.state_dict(), loaded.state_dict()
    assert wrote.keys() == found.keys()
    assert all(torch.equal(wrote[name], found[name]) for name in wrote)
    assert load_model(path).layout == LAYOUT
    assert not list(path.parent.glob(".*"))


def test_the_same_weights_give_the_same_bytes(path: Path, tmp_path: Path):
    network = create_model(NAME, LAYOUT, 4, seed=11)
    again = tmp_path / "again.safetensors"
    save_weights(again, network.state_dict(), model=NAME, layout=LAYOUT, num_classes=4)
    assert again.read_bytes() == path.read_bytes()


def test_another_architecture_is_refused_naming_both(path: Path):
    with pytest.raises(CheckpointError, match="densenet_small.*densenet121") as caught:
        load_model(path, model="densenet121", layout=LAYOUT)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("sequences", [("FLAIR", "T1"), ("T1",), ("T1", "CT1")])
def test_other_sequences_are_refused_naming_both(path: Path, sequences: tuple[str, ...]):
    with pytest.raises(CheckpointError) as caught:
        load_model(path, model=NAME, layout=ChannelLayout(sequences))
    assert "T1, FLAIR" in str(caught.value)
    assert ", ".join(sequences) in str(caught.value)
    assert str(path) in str(caught.value)


def test_tensors_that_do_not_fit_are_counted_and_the_first_is_named(path: Path, network):
    weights = load_file(path)
    own = len(network.state_dict())
    name = sorted(weights)[5]
    smaller = {**weights, name: torch.zeros(1, 2)}
    with pytest.raises(CheckpointError, match=rf"{own - 1} of {own} tensors fit.*{name}"):
        load_weights(network, smaller, path)
    with pytest.raises(CheckpointError, match=r"first that does not is surplus\.weight"):
        load_weights(network, {**weights, "surplus.weight": torch.zeros(1)}, path)
    without = {key: value for key, value in weights.items() if key != name}
    with pytest.raises(CheckpointError, match=name):
        load_weights(network, without, path)


def test_a_weight_file_that_lies_about_its_architecture_is_refused(path: Path, network):
    save_weights(path, network.state_dict(), model="densenet121", layout=LAYOUT, num_classes=4)
    with pytest.raises(CheckpointError, match="of another architecture"):
        load_model(path)
    save_weights(path, network.state_dict(), model="resnet", layout=LAYOUT, num_classes=4)
    with pytest.raises(UnknownNameError, match="unknown model 'resnet'.*densenet264"):
        load_model(path)


@pytest.mark.parametrize("kind", ["missing", "cut off", "text", "foreign", "session", "odd"])
def test_what_is_no_weight_file_is_named(path: Path, kind: str):
    if kind == "missing":
        path.unlink()
    elif kind == "cut off":
        path.write_bytes(path.read_bytes()[:-7])
    elif kind == "text":
        path.write_text("weights")
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    else:
        session = {"sequences": ["T1"], "key": "", "patient_id": "P1"}
        details = session if kind == "session" else [1, 2]
        save_file({"brain": torch.zeros(3)}, path, metadata={"xrano": json.dumps(details)})
    with pytest.raises(CheckpointError, match="not a weight file of xrano") as caught:
        load_model(path, model=NAME, layout=LAYOUT)
    assert str(path) in str(caught.value)


# --- the state of an interrupted training


def state() -> dict[str, object]:
    return {
        "network": {"weight": torch.arange(3.0)},
        "optimizer": {"state": {0: {"step": torch.tensor(2.0)}}, "param_groups": [{"lr": 0.1}]},
        "progress": {"epoch": 3, "best_loss": float("inf"), "best_epoch": -1, "stale": 1},
    }


def test_a_state_is_read_as_it_was_written(tmp_path: Path):
    save_resume(tmp_path / "resume.pt", state())
    found = load_resume(tmp_path / "resume.pt")
    assert torch.equal(found["network"]["weight"], torch.arange(3.0))
    assert found["progress"] == state()["progress"]
    assert found["optimizer"]["param_groups"] == [{"lr": 0.1}]


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.write_text, (self.target, "executed")


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_nothing_in_a_state_is_executed(tmp_path: Path, form: str):
    mark, path = tmp_path / "mark", tmp_path / "resume.pt"
    content = {**state(), "progress": Malicious(mark)}
    if form == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError, match="delete it to train this fold from the start"):
        load_resume(path)
    assert not mark.exists()
    # The file is as malicious as it claims to be.
    if form == "pickle":
        pickle.loads(path.read_bytes())
        assert mark.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"text"])
def test_a_broken_state_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "resume.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        load_resume(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [{}, {"network": {}}, [1, 2], 3.0, {"a": torch.zeros(1)}], ids=str
)
def test_something_else_in_its_place_is_refused(tmp_path: Path, content: object):
    torch.save(content, tmp_path / "resume.pt")
    with pytest.raises(CheckpointError, match=r"resume\.pt"):
        load_resume(tmp_path / "resume.pt")


def test_weights_on_the_way_are_plain_contiguous_tensors(tmp_path: Path):
    """A transposed view, and a tensor that still wants gradients."""
    weights = {
        "view": torch.arange(6.0).reshape(2, 3).T,
        "leaf": torch.nn.Parameter(torch.ones(2)),
    }
    save_weights(tmp_path / "w.safetensors", weights, model=NAME, layout=LAYOUT, num_classes=4)
    found = load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(found["view"], np.arange(6.0).reshape(2, 3).T)
    assert not found["leaf"].requires_grad
