"""The sweep over layers: what is scored, and that the choice is made on training pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xrano.cli.main import main
from xrano.data.pair_volumes import load_pair
from xrano.experiments.cohort import masks_of
from xrano.experiments.layer_files import layers_text
from xrano.experiments.layer_sweep import PARTS, summarise_layers, sweep_layers
from xrano.explain import Explainer
from xrano.metrics.resolution import resolution_reference
from xrano.training.run import Run


@pytest.fixture(scope="module")
def rows(tiny_run: Run) -> pd.DataFrame:
    return sweep_layers(tiny_run, methods=("gradcam", "layercam"), most_pairs=4)


def test_every_layer_is_scored_on_both_parts_by_the_network_of_the_fold(tiny_run, rows):
    layers = set(tiny_run.model(0).cam_layers)
    for (part, fold), own in rows.groupby(["part", "fold"]):
        assert set(own["layer"]) == layers
        assert set(own["method"]) == {"gradcam", "layercam"}
        training = set(tiny_run.training_pairs(int(fold))["pair_id"])
        if part == PARTS[0]:
            assert set(own["pair_id"]) <= training
        else:
            assert not set(own["pair_id"]) & training
    assert set(rows["part"]) == set(PARTS)


def test_a_row_holds_the_mask_at_the_layers_cells(tiny_run, rows):
    row = rows.iloc[0]
    pair = load_pair(tiny_run.store, tiny_run.pair(row["pair_id"]), tiny_run.layout)
    masks = masks_of(pair)
    (key,) = [key for key in masks.masks if key[1:] == ("core", "union")]
    explainer = Explainer(tiny_run.model(int(row["fold"])), ["gradcam"])
    grid = explainer._cam_grid(row["layer"], pair.grid)
    expected = resolution_reference(masks.masks[key], masks.domain, grid, pair.grid)
    assert row["reference"] == pytest.approx(expected["relevance_mass_accuracy"].value)
    assert row["cell_mm"] == pytest.approx(max(grid.spacing))
    inside = masks.masks[key] & masks.domain
    assert row["chance"] == pytest.approx(inside.sum() / masks.domain.sum())


def table(lifts: dict[tuple[str, str], float]) -> pd.DataFrame:
    rows = []
    for (part, layer), lift in lifts.items():
        for number in range(6):
            rows.append(
                {
                    "part": part,
                    "fold": 0,
                    "pair_id": f"{part}{number}",
                    "patient_id": f"{part}{number // 2}",
                    "response": "PD",
                    "method": "gradcam",
                    "layer": layer,
                    "cells": "2×2×2",
                    "cell_mm": 8.0,
                    "value": 0.1 * 2**lift,
                    "chance": 0.1,
                    "reference": 0.4,
                }
            )
    return pd.DataFrame(rows)


def test_lift_is_by_hand_and_the_training_pairs_choose():
    lifts = {
        (PARTS[0], "deep"): 1.0,
        (PARTS[0], "shallow"): 2.0,
        (PARTS[1], "deep"): 3.0,
        (PARTS[1], "shallow"): 0.5,
    }
    found = summarise_layers(table(lifts), n_resamples=20).set_index(["part", "layer"])
    for key, lift in lifts.items():
        assert found.loc[key, "lift"] == pytest.approx(lift)
        assert found.loc[key, "reference_lift"] == pytest.approx(2.0)
    # On held-out pairs the other layer is better: it must not be the one that is chosen.
    assert found.loc[(PARTS[1], "shallow"), "chosen"]
    assert not found.loc[(PARTS[1], "deep"), "chosen"]
    assert found["n_patients"].eq(3).all()


def test_patients_count_equally_whatever_their_number_of_pairs():
    rows = table({(PARTS[1], "deep"): 0.0, (PARTS[0], "deep"): 0.0})
    held = rows["part"] == PARTS[1]
    rows.loc[held & (rows["pair_id"] == "held out0"), "patient_id"] = "alone"
    rows.loc[held & (rows["patient_id"] == "alone"), "value"] = 0.8
    found = summarise_layers(rows, n_resamples=20)
    lift = found[found["part"] == PARTS[1]]["lift"].iloc[0]
    assert lift == pytest.approx(np.log2(np.mean([0.8, 0.1, 0.1, 0.1]) / 0.1))


def test_the_command_writes_tables_and_a_figure(
    tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ["--methods", "gradcam", "--most-pairs", "3", "--n-resamples", "20"]
    assert main(["layers", str(tiny_run.root), "--out", str(tmp_path), *options]) == 0
    said = capsys.readouterr().out
    for name in ("layers.csv", "layers_summary.csv", "layers.png"):
        assert (tmp_path / name).is_file()
        assert name in said
    summary = pd.read_csv(tmp_path / "layers_summary.csv")
    assert layers_text(summary) in said
    assert said.count("*") >= 2  # the legend's and the chosen layer's
