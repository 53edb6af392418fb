from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xrano.cli.main import main
from xrano.data.organmnist import read_organmnist
from xrano.errors import CheckpointError, ConfigError, VolumeError, XranoError
from xrano.experiments.study.study_file import read_study
from xrano.models.weight_files import read_weights
from xrano.training.checkpoint import load_model, load_resume
from xrano.training.config import RunConfig
from xrano.training.config_file import load_config
from xrano.training.train_run import train_run

_EVENTS = ("pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn")
_seen: list[str] | None = None


def _hook(event: str, _: tuple[object, ...]) -> None:
    if _seen is not None and event in _EVENTS:
        _seen.append(event)


# A hook cannot be removed again; it is silent outside of the fixture.
sys.addaudithook(_hook)


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """A file that a payload would make; in the end it is not there and nothing was called."""
    global _seen
    _seen = []
    yield tmp_path / "executed"
    found, _seen = _seen, None
    assert not (tmp_path / "executed").exists()
    assert not found


class Payload:
    """What an object in a file can make its reader do."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


def _zipped(marker: Path) -> bytes:
    file = io.BytesIO()
    content = {"network": Payload(marker), "optimizer": {}, "progress": {}}
    torch.save(content, file)
    return file.getvalue()


def _old_form(marker: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": Payload(marker)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


FORMS: dict[str, Callable[[Path], bytes]] = {
    "zip": _zipped,
    "old": _old_form,
    "pickle": lambda marker: pickle.dumps({"network": Payload(marker)}),
    "pickle-0": lambda marker: pickle.dumps(Payload(marker), protocol=0),
}


def test_the_payload_works_where_it_is_let_loose(tmp_path: Path):
    # Otherwise the tests below could not fail.
    pickle.loads(FORMS["pickle"](tmp_path / "executed"))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("resume.pt", load_resume),
        ("resnet_18.pth", read_weights),
        ("weights.safetensors", read_weights),
        ("model.safetensors", load_model),
    ],
)
def test_a_checkpoint_with_a_payload_is_refused(marker: Path, form: str, name: str, read):
    path = marker.with_name(name)
    path.write_bytes(FORMS[form](marker))
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    # torch's own text tells how to execute the file all the same.
    assert "weights_only" not in str(caught.value)


def test_training_does_not_go_on_from_a_resume_file_with_a_payload(
    marker: Path, tmp_path: Path, tiny_config: RunConfig
):
    folder = tmp_path / "run" / "fold-0"
    folder.mkdir(parents=True)
    (folder / "resume.pt").write_bytes(_zipped(marker))
    with pytest.raises(CheckpointError, match=r"resume\.pt.*nothing in it was executed"):
        train_run(replace(tiny_config, folds=(0,)), tmp_path / "run", report=lambda *_: None)


@pytest.mark.parametrize("state", [{"network": 3}, {"progress": {"epoch": "x"}}, {"optimizer": []}])
def test_a_resume_file_of_other_things_is_refused_in_a_line(
    tmp_path: Path, tiny_config: RunConfig, tiny_run, state: dict
):
    folder = tmp_path / "run" / "fold-0"
    folder.mkdir(parents=True)
    whole = load_resume(tiny_run.root / "fold-0" / "resume.pt")
    torch.save({**whole, **state}, folder / "resume.pt")
    with pytest.raises(CheckpointError, match=r"resume\.pt"):
        train_run(replace(tiny_config, folds=(0,)), tmp_path / "run", report=lambda *_: None)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_arrays_of_objects_are_refused(marker: Path, suffix: str):
    path = marker.with_name(f"organmnist3d{suffix}")
    objects = np.array([Payload(marker)], dtype=object)
    names = [f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("images", "labels")]
    if suffix == ".npz":
        np.savez(path, **dict.fromkeys(names, objects))
    else:
        np.save(path, objects, allow_pickle=True)
    with pytest.raises(VolumeError, match=f"organmnist3d{suffix}") as caught:
        read_organmnist(path)
    assert "\n" not in str(caught.value)


TAGS = (
    "!!python/object/apply:os.system ['touch {marker}']",
    "!!python/object/new:os.system ['touch {marker}']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object/apply:subprocess.check_call [[touch, '{marker}']]",
)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("read", [load_config, read_study])
def test_yaml_that_asks_for_an_object_is_refused(marker: Path, tag: str, read):
    path = marker.with_name("settings.yaml")
    path.write_text(f"store: {tag.format(marker=marker)}\narms: {{a: {{}}}}\n")
    with pytest.raises(ConfigError, match=r"settings\.yaml is not YAML") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("command", ["train", "prepare"])
def test_so_is_a_file_of_options(marker: Path, tag: str, command: str, capsys):
    path = marker.with_name("options.yaml")
    path.write_text(f"out: {tag.format(marker=marker)}\n")
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(main([command, str(marker.parent), "--config", str(path)]))
    assert caught.value.code not in (0, None)
    assert capsys.readouterr().err


def test_errors_about_hostile_files_are_of_the_family_that_the_command_line_shows():
    assert issubclass(CheckpointError, XranoError)
    assert issubclass(VolumeError, XranoError)
