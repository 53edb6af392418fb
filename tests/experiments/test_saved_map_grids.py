"""Saved maps that lie elsewhere than the masks, and maps that are there twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xrano.data.pair_volumes import load_pair
from xrano.errors import GridMismatchError, ManifestError
from xrano.experiments.cohort import masks_of, score_one
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.saved_maps import score_saved_maps
from xrano.experiments.score_plan import describe_saved
from xrano.experiments.scored_pair import MapScoring
from xrano.geometry import Grid
from xrano.map_files import save_map, sidecar_path
from xrano.maps import RESAMPLED, AttributionMap
from xrano.training.run import Run


@pytest.fixture(scope="module")
def explained(tiny_run: Run):
    """A pair and its maps: Grad-CAM on its cells, saliency on voxels."""
    row = tiny_run.tested_pairs().to_dict("records")[0]
    pair = load_pair(tiny_run.store, row, tiny_run.layout)
    explainer = explainers_by_fold(tiny_run, [row], ("gradcam", "saliency"), None)
    return pair, explainer[tiny_run.fold_of(row)].explain(pair).maps


def finer(grid: Grid) -> Grid:
    """An oblique anisotropic grid of the same world that holds the whole of another."""
    turn = np.deg2rad(10)
    spacing = np.diag([2.5, 3.0, 4.0])
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation @ spacing
    shape = tuple(int(s) for s in np.array(grid.shape) * grid.spacing // [2.5, 3.0, 4.0] + 30)
    centre = grid.world((np.array(grid.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def elsewhere(item: AttributionMap, grid: Grid) -> AttributionMap:
    """A map on another grid whose sidecar does not say that it was carried there."""
    moved = item.resample_to(grid)
    meta = {name: value for name, value in moved.meta.items() if name != RESAMPLED}
    return AttributionMap(moved.data, grid, item.channels, meta)


def of_networks(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["weights"] == "trained"].reset_index(drop=True)


def test_a_map_on_another_grid_is_refused_with_both_affines(tiny_run, explained, tmp_path: Path):
    pair, (_, saliency) = explained
    grid = finer(pair.grid)
    path = save_map(elsewhere(saliency, grid), tmp_path / "maps")
    with pytest.raises(GridMismatchError) as refused:
        score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    words = str(refused.value)
    assert str(path) in words
    assert pair.pair_id in words
    assert "--resample" in words
    for one in (pair.grid, grid):
        assert str(one.shape) in words
        assert " ".join(f"{value:g}" for value in one.affine[0]) in words


def test_resampling_carries_it_over_and_every_row_of_it_says_so(
    tiny_run, explained, tmp_path: Path
):
    pair, (_, saliency) = explained
    moved = elsewhere(saliency, finer(pair.grid))
    save_map(moved, tmp_path / "maps")
    table = score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores", resample=True)
    assert table[table["weights"] == "trained"]["resampled"].all()
    assert not table[table["weights"] == "none"]["resampled"].any()
    read = pd.read_csv(tmp_path / "scores" / "scores.csv", keep_default_na=False)
    assert list(read["resampled"]) == list(table["resampled"])
    keys = ["metric", "region", "segmentation_source", "lesion"]
    own = of_networks(table)
    for other, tolerance in ((moved, 1e-4), (saliency, 0.1)):
        direct = pd.DataFrame(score_one(other, masks_of(pair), "sum"))
        both = own.merge(direct, on=keys, suffixes=("", "_direct"))
        # Interpolated twice, at 6 mm: of large masks alone near what it was.
        kept = (both["metric"] == "auroc") & (both["status"] == "ok")
        kept &= both["region"].isin(["whole/prior", "whole/union"])
        assert kept.sum() == 2
        off = (both["value"] - both["value_direct"])[kept].abs().max()
        assert off < tolerance


def test_an_identity_affine_is_refused_like_any_other(tiny_run, explained, tmp_path: Path):
    """As medcam and ClinicaDL save them."""
    _, (_, saliency) = explained
    lost = AttributionMap(
        saliency.data, Grid(saliency.grid.shape, np.eye(4)), saliency.channels, saliency.meta
    )
    save_map(lost, tmp_path / "maps")
    with pytest.raises(GridMismatchError, match="identity affine"):
        score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")


def test_cells_of_a_layer_are_placed_and_cells_of_nothing_are_not(
    tiny_run, explained, tmp_path: Path
):
    pair, (cam, _) = explained
    assert cam.coarse
    save_map(cam, tmp_path / "maps")
    table = score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")
    assert "resampled" not in table
    assert {"gradcam", "mask"} <= set(table["method"])
    carried = elsewhere(cam, finer(pair.grid))
    assert carried.coarse
    save_map(carried, tmp_path / "carried")
    with pytest.raises(GridMismatchError, match="--resample"):
        score_saved_maps(tiny_run, tmp_path / "carried", tmp_path / "other")
    table = score_saved_maps(tiny_run, tmp_path / "carried", tmp_path / "other", resample=True)
    assert of_networks(table)["resampled"].all()


def test_maps_that_xrano_put_on_a_scan_are_carried_back_and_say_so(
    tiny_run, explained, tmp_path: Path
):
    pair, (_, saliency) = explained
    save_map(saliency.resample_to(finer(pair.grid)), tmp_path / "maps")
    table = score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")
    assert of_networks(table)["resampled"].all()


def test_two_maps_of_one_pair_and_method_are_refused_by_file(tiny_run, explained, tmp_path: Path):
    pair, (_, saliency) = explained
    one = save_map(saliency, tmp_path / "maps" / "first")
    two = save_map(saliency, tmp_path / "maps" / "second")
    with pytest.raises(ManifestError) as refused:
        score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")
    for words in (pair.pair_id, "saliency", str(one), str(two)):
        assert words in str(refused.value)
    meta = json.loads(sidecar_path(two).read_text())
    sidecar_path(two).write_text(json.dumps({**meta, "target_name": "other"}))
    score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")


def test_a_sidecar_without_its_pair(tiny_run, explained, tmp_path: Path):
    _, (_, saliency) = explained
    path = save_map(saliency, tmp_path / "maps")
    meta = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps({k: v for k, v in meta.items() if k != "pair_id"}))
    with pytest.raises(ManifestError, match="names no pair_id"):
        score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")


def test_what_saved_maps_will_take(tiny_run, explained, tmp_path: Path):
    _, maps = explained
    for item in maps:
        save_map(item, tmp_path / "maps")
    said = describe_saved(tiny_run, tmp_path / "maps", tmp_path / "scores", MapScoring())
    for words in ("2 maps of 1 pairs", "about", "MB in"):
        assert words in said
    shutil.rmtree(tmp_path / "maps")
    with pytest.raises(ManifestError, match="no finished map"):
        describe_saved(tiny_run, tmp_path, tmp_path / "scores", MapScoring())
