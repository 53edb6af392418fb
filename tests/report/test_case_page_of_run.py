import dataclasses
import math

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from browser_pages import accessibility_faults

from xrano.data.pair_volumes import load_pair
from xrano.errors import UnknownNameError
from xrano.experiments.report.case_content import case_content
from xrano.experiments.report.case_maps import saved_maps
from xrano.experiments.report.case_scores import case_scores
from xrano.geometry import Grid
from xrano.map_files import save_map
from xrano.maps import RESAMPLED, AttributionMap
from xrano.rano import RESPONSES
from xrano.report.case_page import case_page
from xrano.scoring.score_table import SCORE_COLUMNS

NOTHING = pd.DataFrame(columns=list(SCORE_COLUMNS))


@pytest.fixture(scope="module")
def pair(tiny_run):
    row = tiny_run.tested_pairs().iloc[0].to_dict()
    return load_pair(tiny_run.store, row, tiny_run.layout)


def facts(pair, method, target="PD", **more):
    return {
        "pair_id": pair.pair_id,
        "patient_id": pair.patient_id,
        "prior": pair.prior_session,
        "current": pair.current_session,
        "method": method,
        "target_name": target,
        "weights": "trained",
        **more,
    }


def voxel_map(pair, method="saliency", target="PD"):
    rng = np.random.default_rng(1)
    data = rng.standard_normal(pair.inputs.shape).astype(np.float32)
    channels = tuple(channel.name for channel in pair.layout.channels)
    return AttributionMap(data, pair.grid, channels, facts(pair, method, target))


def cell_map(pair, **more):
    affine = np.diag([40.0, 40.0, 40.0, 1.0])
    affine[:3, 3] = pair.grid.world((np.array(pair.grid.shape) - 1) / 2) - 60
    data = np.ones((1, 4, 4, 4), dtype=np.float32)
    meta = facts(pair, "gradcam", layer="features", **more)
    return AttributionMap(data, Grid((4, 4, 4), affine), ("all",), meta)


def score(metric, value, status="ok", region="core/union", **more):
    row = dict.fromkeys(SCORE_COLUMNS, "")
    row |= {"weights": "trained", "method": "saliency", "target": "PD", "lesion": "all"}
    row |= {"segmentation_source": "deepbratumia", "chance": 0.01, "metric": metric}
    return row | {"value": value, "status": status, "region": region} | more


def test_a_page_of_a_run_shows_prediction_maps_and_scores(tiny_run, pair, tmp_path, open_page):
    maps = [voxel_map(pair, target=target) for target in ("PD", "CR")] + [cell_map(pair)]
    paths = [save_map(one, tmp_path / "maps") for one in maps]
    rows = pd.DataFrame([score("relevance_mass_accuracy", 0.04), score("pointing_game", 1.0)])
    content = case_content(tiny_run, pair.pair_id, paths, rows, cohort_href="../index.html")
    predictions = tiny_run.predictions.set_index("pair_id").loc[pair.pair_id]
    assert content.predicted == predictions["predicted"]
    logits = np.array([predictions[f"logit_{name}"] for name in RESPONSES], dtype=float)
    shares = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(list(content.probabilities.values()), shares, rtol=1e-6)
    assert [method.name.split(",")[0] for method in content.viewer.methods] == [
        "Saliency",
        "Grad-CAM",
    ]
    assert [one.target for one in content.viewer.methods[0].maps] == ["CR", "PD"]
    assert content.panel.startswith(b"\x89PNG")
    assert "Saliency" in content.panel_alt
    assert pair.pair_id in content.panel_alt
    path = tmp_path / "case.html"
    path.write_text(case_page(content), encoding="utf-8")
    assert path.stat().st_size < 5_000_000
    page = open_page(path)
    page.wait_for_selector("#viewer[data-state=ready]")
    assert "4 %" in page.locator(".scores").inner_text()
    assert accessibility_faults(page) == []


def test_without_maps_the_page_says_how_to_make_them(tiny_run, pair):
    content = case_content(tiny_run, pair.pair_id, [], NOTHING)
    assert content.viewer.methods == ()
    assert content.scores.empty
    line = f"--pair {pair.pair_id} --methods saliency gradcam ig:prior --target all"
    assert any(line in note for note in content.notes)
    assert content.predicted


def test_an_untrained_run_has_no_prediction_but_a_page(untrained_config, tmp_path):
    from xrano.training.train_run import train_run

    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    pair_id = run.pairs()["pair_id"].iloc[0]
    content = case_content(run, pair_id, [], NOTHING)
    assert content.predicted == ""
    assert content.probabilities == {}
    assert "No prediction" in case_page(content)


def test_logits_of_a_sidecar_stand_in_for_a_prediction(untrained_config, tmp_path):
    from xrano.training.train_run import train_run

    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    pair = load_pair(run.store, run.pairs().iloc[0].to_dict(), run.layout)
    logits = {"CR": 0.0, "PR": math.log(2), "SD": 0.0, "PD": 0.0}
    one = voxel_map(pair)
    one = dataclasses.replace(one, meta={**one.meta, "logits": logits})
    content = case_content(run, pair.pair_id, [save_map(one, tmp_path / "maps")], NOTHING)
    assert content.predicted == "PR"
    assert content.probabilities["PR"] == pytest.approx(0.4)


def test_an_unknown_pair_is_refused(tiny_run):
    with pytest.raises(UnknownNameError, match="no-such"):
        case_content(tiny_run, "no-such", [], NOTHING)


def test_nan_counts_as_nothing_and_is_told(pair, tmp_path):
    whole = voxel_map(pair)
    path = save_map(whole, tmp_path)
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    data[:4, :, 2] = np.nan
    data[6, 6, 3, 0] = np.inf
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path)
    (found,), notes = saved_maps([path], pair.pair_id, RESPONSES)
    lost = ~np.isfinite(np.moveaxis(data, -1, 0))
    np.testing.assert_array_equal(found.data, np.where(lost, 0, whole.data))
    assert f"{int(lost.sum())} values of {path.name}" in notes[0]


def test_maps_that_cannot_be_shown_are_named(pair, tmp_path):
    broken = save_map(voxel_map(pair), tmp_path)
    broken.write_bytes(b"nothing")
    stranger = voxel_map(pair, "ig")
    stranger = dataclasses.replace(stranger, meta={**stranger.meta, "pair_id": "someone else"})
    other = save_map(stranger, tmp_path)
    maps, notes = saved_maps([broken, other], pair.pair_id, RESPONSES)
    assert maps == []
    assert len(notes) == 2
    assert any("someone else" in note for note in notes)
    assert not any(str(tmp_path) in note for note in notes)


def test_cells_are_taken_rather_than_what_was_carried_to_the_scan(pair, tmp_path):
    cells = cell_map(pair)
    carried = cells.resample_to(pair.grid)
    paths = [save_map(one, tmp_path) for one in (cells, carried)]
    for order in (paths, paths[::-1]):
        (found,), notes = saved_maps(order, pair.pair_id, RESPONSES)
        assert not found.meta.get(RESAMPLED)
        assert notes == []
    (alone,), _ = saved_maps(paths[1:], pair.pair_id, RESPONSES)
    assert alone.meta[RESAMPLED]


def test_scores_say_mass_chance_lift_and_pointing():
    rows = [
        score("relevance_mass_accuracy", 0.04),
        score("pointing_game", 1.0, chance=0.01),
        score("relevance_mass_accuracy", math.nan, "empty_mask", "core/prior", chance=math.nan),
        score("pointing_game", math.nan, "empty_mask", "core/prior", chance=math.nan),
        score("relevance_mass_accuracy", 0.0, region="whole/union", chance=0.2),
        score("pointing_game", 0.5, region="whole/union"),
        score("relevance_mass_accuracy", 0.5, weights="random-0"),
        score("relevance_mass_accuracy", 0.5, weights="none", method="change"),
        score("relevance_mass_accuracy", 0.5, lesion="1"),
        score("auroc", 0.9),
    ]
    table = case_scores(pd.DataFrame(rows))
    assert table["Region"].tolist() == [
        "core, either scan",
        "core, prior scan",
        "whole tumour, either scan",
    ]
    undefined = "undefined: nothing segmented there"
    assert table["Relevance mass"].tolist() == ["4 %", undefined, "0 %"]
    assert table["Chance"].tolist() == ["1 %", "–", "20 %"]
    assert table["Lift, log2"].tolist() == ["+2.00", "–", "−∞"]
    assert table["Pointing game"].tolist() == ["hit", "undefined", "0.50 (tie)"]


def test_every_status_has_words():
    from xrano.experiments.report.case_scores import STATUS_WORDS
    from xrano.metrics.records import OverlapStatus

    assert set(STATUS_WORDS) == set(OverlapStatus) - {OverlapStatus.OK}
