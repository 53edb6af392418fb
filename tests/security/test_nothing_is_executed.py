from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
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


@pytest.fixture
def evil(marker: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that makes the marker when it is imported, and again when its class is made."""
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
    (marker.parent / "evil.py").write_text(f"{code}class X:\n    def __init__(self, **_): ...\n")
    monkeypatch.syspath_prepend(marker.parent)
    yield "evil.X"
    assert "evil" not in sys.modules


def test_the_module_works_where_it_is_imported(tmp_path: Path):
    path = tmp_path / "evil.py"
    path.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'executed')!r}).touch()\n")
    subprocess.run([sys.executable, "-c", "import evil"], cwd=tmp_path, check=True)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("option", ["model", "training", "pretraining", "folds", "out"])
@pytest.mark.parametrize("named", ["{evil}", "os.system", "builtins.eval"])
def test_no_option_imports_a_class_that_a_file_names(
    marker: Path, evil: str, option: str, named: str, capsys
):
    name = named.format(evil=evil)
    path = marker.with_name("options.yaml")
    out = {} if option == "out" else {"out": str(marker.parent / "out")}
    path.write_text(json.dumps({**out, option: {"class_path": name, "init_args": {}}}))
    assert exit_code("train", marker.parent, "--config", path) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    if option in ("model", "training", "pretraining"):
        assert f"{name!r} names a class or function; options are plain values" in error


@pytest.mark.parametrize("option", ["--model", "--training", "--model.class_path"])
def test_nor_does_one_on_the_command_line(marker: Path, evil: str, option: str):
    assert exit_code("train", marker.parent, "--out", marker.parent / "out", option, evil) == 2


def exit_code(*words: object) -> object:
    try:
        return main([str(word) for word in words])
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize("section", ["model", "training", "pretraining"])
def test_nor_do_settings_of_a_run_or_study(marker: Path, evil: str, section: str):
    asked = {section: {"class_path": evil}}
    for name, settings, read in (
        ("config.yaml", {"store": "s", **asked}, load_config),
        ("study.yaml", {"store": "s", "arms": {"a": asked}}, read_study),
    ):
        path = marker.with_name(name)
        path.write_text(json.dumps(settings))
        with pytest.raises(XranoError, match="class_path"):
            read(path)


def test_errors_about_hostile_files_are_of_the_family_that_the_command_line_shows():
    assert issubclass(CheckpointError, XranoError)
    assert issubclass(VolumeError, XranoError)
