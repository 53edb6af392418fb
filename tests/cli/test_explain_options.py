"""What xrano explain can be asked for beside methods: plans, contrasts, outputs, memory."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from xrano.cli.main import main
from xrano.cli.memory_size import gigabytes
from xrano.errors import ConfigError
from xrano.map_files import find_maps, load_map, sidecar_path
from xrano.training.run import Run


def explain(run: Run, out: Path, *options: str) -> int:
    pair = run.predictions["pair_id"].iloc[0]
    return main(["explain", str(run.root), "--pair", pair, "--out", str(out), *options])


def test_a_plan_says_passes_memory_and_time_and_writes_nothing(tiny_run, tmp_path, capsys):
    options = ["--methods", "saliency", "gradcam", "ig:prior", "--n-steps", "4"]
    assert explain(tiny_run, tmp_path, *options, "--target", "all", "--plan") == 0
    said = capsys.readouterr().out
    assert "saliency, gradcam: 1 forward, 4 backward" in said
    assert "memory: " in said
    assert "1 pairs by saliency, gradcam, ig:prior, target all" in said
    assert "in all" in said
    assert not list(tmp_path.iterdir())


def test_a_contrast_and_a_probability_are_named_in_the_sidecar(tiny_run, tmp_path):
    options = ["--methods", "saliency", "--target", "PD-SD", "--output", "probability"]
    assert explain(tiny_run, tmp_path, *options) == 0
    (path,) = find_maps(tmp_path / "maps")
    meta = json.loads(sidecar_path(path).read_text())
    assert meta["target_name"] == "PD-SD"
    assert meta["target"] == {"PD": 1.0, "SD": -1.0}
    assert meta["output"] == "probability"
    assert "PDSD" in path.name or "PD" in path.name
    assert load_map(path).data.any()


def test_every_layer_gives_a_map_of_its_own(tiny_run, tmp_path):
    assert explain(tiny_run, tmp_path, "--methods", "gradcam", "--layer", "all") == 0
    cells = [path for path in find_maps(tmp_path / "maps") if "res-cells" in path.name]
    assert len(cells) == len(tiny_run.model(0).cam_layers)
    shapes = {load_map(path).grid.shape for path in cells}
    assert len(shapes) == len(cells)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--methods", "salience"], "did you mean 'saliency'"),
        (["--target", "PD-XX"], "unknown target 'PD-XX'"),
        (["--memory", "lots"], "written as 8GB"),
        (["--methods", "saliency", "--memory", "1KB"], "for one pass"),
        (["--device", "cuda"], "no CUDA device can be used"),
        (["--methods", "tokengrad"], "tokengrad needs the patch embedding of a transformer"),
        (["--methods", "gradcam", "--layer", "backbone.none"], "unknown layer"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    tiny_run, tmp_path, capsys, options, words, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert explain(tiny_run, tmp_path, *options) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_memory_below_the_least_is_told_by_the_plan_as_well(tiny_run, tmp_path, capsys):
    """What either says is enough for the other."""
    options = ["--methods", "saliency", "ig", "--n-steps", "2"]
    assert explain(tiny_run, tmp_path, *options, "--memory", "1KB", "--plan") == 0
    said = capsys.readouterr().out
    assert "more than the budget" in said
    assert "time" not in said
    least = re.search(r"--memory (\S+) or more", said)[1]
    assert explain(tiny_run, tmp_path, *options, "--memory", "1KB") == 1
    assert f"--memory {least} or more" in capsys.readouterr().err
    assert explain(tiny_run, tmp_path, *options, "--memory", least, "--plan") == 0
    assert "time: about" in capsys.readouterr().out
    assert explain(tiny_run, tmp_path, *options, "--memory", least) == 0


def test_precision_and_device_are_named_in_the_sidecar(tiny_run, tmp_path):
    """A trained network's maps in bfloat16 rank the voxels as those in single precision."""
    maps = {}
    for precision in ("32", "bf16"):
        out = tmp_path / precision
        options = ["--methods", "saliency", "gradcam", "--device", "cpu", "--precision", precision]
        assert explain(tiny_run, out, *options) == 0
        for path in find_maps(out / "maps"):
            meta = json.loads(sidecar_path(path).read_text())
            assert (meta["device"], meta["precision"]) == ("cpu", precision)
            maps.setdefault(path.name, []).append(load_map(path).data)
    assert len(maps) >= 2
    for single, rough in maps.values():
        assert not np.array_equal(single, rough)
        inside = single != 0
        assert spearmanr(single[inside], rough[inside]).statistic >= 0.98


def test_memory_is_written_with_its_unit():
    assert [gigabytes(text) for text in ("8GB", "0.5 gb", "250MB", "2")] == [8.0, 0.5, 0.25, 2.0]
    for text in ("", "0", "-1GB", "8 GiB", "GB"):
        with pytest.raises(ConfigError, match="written as 8GB"):
            gigabytes(text)
