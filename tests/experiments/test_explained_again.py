"""Pairs explained again: what is finished stays, what was lost, cut off or killed is made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from explained_cases import METHODS, QUICK, maps_of

from xrano.attribution.methods import AttributionSettings
from xrano.cli.main import main
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.experiments.explained_pairs import explain_pairs
from xrano.map_files import find_maps, load_map
from xrano.training.run import Run, open_run


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_what_is_finished_is_not_made_again(tiny_run: Run, explained, some: list[str]):
    out, panels = explained
    before = stamps(out)
    assert explain_pairs(tiny_run, some, METHODS, out, settings=QUICK) == panels
    assert stamps(out) == before


def test_other_settings_are_explained_anew(tiny_run: Run, some: list[str], tmp_path: Path):
    pair_id = some[0]
    first = explain_pairs(tiny_run, [pair_id], ["ig"], tmp_path, settings=QUICK)[0]
    before = stamps(tmp_path)
    other = AttributionSettings(n_steps=4)
    assert explain_pairs(tiny_run, [pair_id], ["ig"], tmp_path, settings=other) == [first]
    changed = {path for path, stamp in stamps(tmp_path).items() if stamp != before.get(path)}
    assert first in changed
    assert {path for path in changed if path.name.endswith(".nii.gz")}
    meta = load_map(find_maps(tmp_path)[0]).meta
    assert meta["n_steps"] == 4


def test_a_store_made_anew_is_explained_anew(
    tiny_run: Run, explained, some: list[str], phantom_index: Path, tmp_path: Path
):
    """The same network, the same pair, other intensities: the old maps are of other inputs."""
    out = tmp_path / "out"
    shutil.copytree(explained[0], out)
    prepare_index(phantom_index, tmp_path / "store", PrepareSettings(normalisation="brain"))
    run = open_run(tiny_run.root, store=tmp_path / "store")
    explain_pairs(run, some[:1], METHODS, out, settings=QUICK)
    before, after = (
        load_map(maps_of(folder, some[0])["saliency"]) for folder in (explained[0], out)
    )
    assert before.meta["input_sha256"] != after.meta["input_sha256"]


@pytest.mark.parametrize("lost", ["panel", "record"])
def test_what_is_lost_is_made_again_and_is_the_same(
    tiny_run: Run, explained, some: list[str], tmp_path: Path, lost: str
):
    out, _ = explained
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    name = {"panel": f"panels/{some[0]}.png", "record": f"explanations/{some[0]}.json"}[lost]
    (copy / name).unlink()
    explain_pairs(tiny_run, some, METHODS, copy, settings=QUICK)
    assert contents(copy) == contents(out)


def test_a_record_cut_off_is_made_again(tiny_run: Run, explained, some: list[str], tmp_path: Path):
    out, _ = explained
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "explanations" / f"{some[1]}.json").write_text('{"key": "')
    explain_pairs(tiny_run, some, METHODS, copy, settings=QUICK)
    assert contents(copy) == contents(out)


def test_explaining_that_was_killed_ends_with_the_same_files(
    tiny_run: Run, explained, some: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Killed once the first pair is finished, then run again to the end."""
    out, _ = explained
    copy = tmp_path / "copy"
    arguments = ["explain", str(tiny_run.root), "--pair", *some, "--methods", *METHODS]
    arguments += ["--n_steps", "3", "--out", str(copy)]
    process = subprocess.Popen(
        [sys.executable, "-m", "xrano.cli.main", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    first = copy / "explanations" / f"{some[0]}.json"
    end = time.monotonic() + 120
    while not first.exists():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (copy / "explanations" / f"{some[2]}.json").exists()
    kept = first.stat().st_mtime_ns
    assert main(arguments) == 0
    assert first.stat().st_mtime_ns == kept
    assert str(copy / "panels" / f"{some[2]}.png") in capsys.readouterr().out
    whole, again = contents(out), contents(copy)
    # The panels' options are part of a record: the command line names them all.
    for name in [name for name in whole if name.startswith("explanations")]:
        one, two = (json.loads(files.pop(name)) for files in (whole, again))
        drop = ("key", "panel")
        assert {k: v for k, v in one.items() if k not in drop} == {
            k: v for k, v in two.items() if k not in drop
        }
    # A file that was being written when the process died is hidden, and read by nobody.
    assert {n: data for n, data in again.items() if not Path(n).name.startswith(".")} == whole
