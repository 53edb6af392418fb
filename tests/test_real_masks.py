"""Real tumour and lesion masks under maps that need no network: every value finite or explained.

Glioblastoma before and after progression (Brain-Tumor-Progression, TCIA), and a multiple sclerosis
patient on the grid of LUMIERE's atlas images. Both lie beside the repository and are not part of
it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from xrano.data.tissue_priors import GREY, WHITE, priors_where_brains_agree
from xrano.geometry import Grid, bounding_box, image_grid
from xrano.maps import AttributionMap, Rectification
from xrano.metrics.accounting import EDGE, OTHER, OUTSIDE
from xrano.metrics.catalogue import MAP_METRICS, MASK_METRICS, METRICS, PLACE_METRICS
from xrano.scoring.accounting_table import accounting_rows, accounting_table, pair_parts
from xrano.scoring.null_table import null_table, placement_rows
from xrano.scoring.pair_masks import PairMasks, pair_masks
from xrano.scoring.reference_maps import (
    centre_map,
    change_map,
    edges_map,
    enhancement_map,
    uniform_map,
)
from xrano.scoring.rows import SeenMap, reference_cell, score_seen, see_map
from xrano.scoring.score_table import score_table

DATA = Path(__file__).parents[2] / "shared" / "data"
GBM, MS = DATA / "gbm-progression", DATA / "ms-mni-patient07"

pytestmark = pytest.mark.slow
of_gbm = pytest.mark.skipif(not GBM.is_dir(), reason=f"tumour masks are not there: {GBM}")
of_ms = pytest.mark.skipif(not MS.is_dir(), reason=f"real MRI is not there: {MS}")


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def z_scored(scan: np.ndarray, brain: np.ndarray) -> np.ndarray:
    return (scan - scan[brain].mean()) / scan[brain].std()


def head(scan: np.ndarray) -> np.ndarray:
    """The largest bright thing, filled slice by slice; it stands for the brain."""
    bright = ndimage.gaussian_filter(scan, (2, 2, 0)) > 0.1 * np.percentile(scan, 99)
    numbered, _ = ndimage.label(bright)
    largest = numbered == np.bincount(numbered.ravel())[1:].argmax() + 1
    filled = [ndimage.binary_fill_holes(part) for part in np.moveaxis(largest, 2, 0)]
    return np.stack(filled, axis=2)


def facts(patient: str, response: str) -> dict[str, Any]:
    return {
        "pair_id": f"{patient}_a_b",
        "patient_id": patient,
        "response": response,
        "predicted": response,
    }


def seen(one: AttributionMap, masks: PairMasks) -> SeenMap:
    return see_map(one, masks, rectification=Rectification.ABSOLUTE, reduction="sum")


def check_scores(table: pd.DataFrame, explained: set[str]) -> None:
    """Numbers within their range where the status is ok; elsewhere none, for a known reason."""
    ok = table["status"] == "ok"
    assert set(table.loc[~ok, "status"]) <= explained
    assert table.loc[~ok, "value"].isna().all()
    assert np.isfinite(table.loc[ok, ["value", "chance"]]).all(axis=None)
    for row in table[ok].to_dict("records"):
        metric = {**MASK_METRICS, **MAP_METRICS}[row["metric"]]
        assert metric.lowest - 1e-9 <= row["value"] <= metric.highest + 1e-9, row


def check_nulls(table: pd.DataFrame, explained: set[str]) -> None:
    ok = table["status"] == "ok"
    assert set(table.loc[~ok, "status"]) <= explained
    numbers = ["observed", "mean", "sd", "z", "percentile", "p"]
    assert table.loc[~ok, numbers].isna().all(axis=None)
    defined = table[ok]
    assert (defined["B"] > 1000).all()
    assert np.isfinite(defined[["observed", "mean", "sd", "percentile", "p"]]).all(axis=None)
    assert defined["percentile"].between(0, 100).all()
    assert ((defined["p"] > 0) & (defined["p"] <= 1)).all()
    # Where all placements score alike there is nothing to divide by.
    alike = defined["z"].isna()
    assert (defined.loc[alike, "sd"] <= 1e-5 * defined.loc[alike, "observed"].abs()).all()


def check_accounting(table: pd.DataFrame, explained: set[str]) -> None:
    ok = table["status"] == "ok"
    assert set(table.loc[~ok, "status"]) <= explained
    assert table.loc[~ok, "share"].isna().all()
    if ok.any():
        assert table["share"].sum() == pytest.approx(1, abs=1e-12)
        assert table["share"].dropna().between(0, 1).all()
    assert table["expected"].sum() == pytest.approx(1, abs=1e-12)


@of_gbm
@pytest.mark.parametrize("patient", ["01", "05", "10"])
def test_tumours_before_and_after_progression(patient: str):
    folder = GBM / patient
    scans = [voxels(folder / f"{time}_Scan_T1.nii.gz") for time in ("Pre", "Post")]
    labels = [voxels(folder / f"{time}_Mask.nii.gz").astype(np.uint8) for time in ("Pre", "Post")]
    # The files' affine is the identity: these millimetres are only about right.
    grid = Grid(scans[0].shape, np.diag([1.0, 1.0, 5.0, 1.0]))
    brain = head(scans[0]) | head(scans[1])
    assert min(label[brain].sum() / label.sum() for label in labels) > 0.95
    segmentations = {"expert": (*labels, "binary")}
    masks = pair_masks(grid, brain, segmentations, pair_id=f"{patient}_a_b")
    parts = pair_parts(grid, brain, segmentations, None)
    prior, current = (z_scored(scan, brain)[None] for scan in scans)
    meta = facts(patient, "PR" if patient == "10" else "PD")
    maps = (
        change_map(prior, current, grid, meta),
        uniform_map(grid, meta),
        centre_map(brain, grid, meta),
        edges_map(current, grid, meta),
    )
    # A lesion that is one mask has no tissues; what is rare or small is said to be so.
    no_mask = {"region_not_labelled", "empty_mask", "below_measurable"}
    for one in maps:
        ranked = seen(one, masks)
        table = score_table(score_seen(ranked, masks))
        check_scores(table, no_mask)
        whole = table[table["region"].isin(["whole/prior", "whole/current", "whole/union"])]
        assert set(whole["status"]) == {"ok"}
        assert set(whole["metric"]) == set(MASK_METRICS)
        told = table[table["region"].str.startswith(("core", "enhancing"))]
        assert set(told["status"]) == {"region_not_labelled"}
        nulls = null_table(placement_rows(ranked, masks, chosen=reference_cell))
        check_nulls(nulls, no_mask)
        assert (nulls["status"] == "ok").any()
        shares = accounting_table(accounting_rows(ranked, parts))
        check_accounting(shares, {"no_priors"})
        if one.meta["method"] == "uniform":
            values = table[(table["status"] == "ok") & table["metric"].isin(METRICS)]
            np.testing.assert_allclose(values["value"], values["chance"], rtol=1e-5, atol=1e-6)
            # Ties of a whole brain are sampled where a distance is to be found for each.
            placed = table[(table["status"] == "ok") & table["metric"].isin(PLACE_METRICS)]
            np.testing.assert_allclose(placed["value"], placed["chance"], rtol=0.05, atol=1e-3)
            known = shares.dropna(subset="share")
            np.testing.assert_allclose(known["share"], known["expected"], rtol=1e-9)


@of_ms
def test_lesions_in_the_world_of_the_atlas():
    """Both visits are one scan, so that nothing changed and nothing grew."""
    image = nib.load(MS / "T1.nii.gz")
    everywhere = voxels(MS / "T1.nii.gz") != 0
    start, shape = bounding_box(everywhere, margin=1)
    window = tuple(slice(a, a + b) for a, b in zip(start, shape, strict=True))
    grid, brain = image_grid(image).crop(start, shape), everywhere[window]
    labels = voxels(MS / "gold_standard.nii.gz")[window].astype(np.uint8)
    scan = {
        name: z_scored(voxels(MS / f"{name}.nii.gz")[window], brain)
        for name in ("T1", "T1POST", "FLAIR")
    }
    segmentations = {"expert": (labels, labels.copy(), "binary")}
    masks = pair_masks(grid, brain, segmentations, pair_id="patient07_a_b")
    priors = priors_where_brains_agree(grid, [brain])
    assert priors is not None
    # Lesions of the white matter lie where the template has more of it than elsewhere.
    lesion = labels > 0
    white, grey = (
        prior[lesion].mean() / prior[brain].mean()
        for prior in (priors.tissues[WHITE], priors.tissues[GREY])
    )
    assert white > 1.1
    assert grey < 0.9
    parts = pair_parts(grid, brain, segmentations, priors)
    flair, meta = scan["FLAIR"][None] * brain, facts("patient07", "SD")
    maps = (
        change_map(flair, flair, grid, meta),
        uniform_map(grid, meta),
        centre_map(brain, grid, meta),
        edges_map(flair, grid, meta),
        enhancement_map(scan["T1POST"][None] * brain, scan["T1"][None] * brain, grid, meta),
    )
    no_mask = {"region_not_labelled", "empty_mask", "below_measurable"}
    shares: dict[str, pd.DataFrame] = {}
    for one in maps:
        method = str(one.meta["method"])
        silent = {"zero_map"} if method == "change" else set()
        ranked = seen(one, masks)
        table = score_table(score_seen(ranked, masks))
        check_scores(table, no_mask | silent)
        union = table[(table["region"] == "whole/union") & (table["lesion"] == "all")]
        assert set(union["status"]) == (silent or {"ok"})
        changed = ["whole/grown", "whole/shrunk", "whole/new", "whole/vanished"]
        assert set(table.loc[table["region"].isin(changed), "status"]) == {"empty_mask"}
        check_nulls(
            null_table(placement_rows(ranked, masks, chosen=reference_cell)), no_mask | silent
        )
        shares[method] = accounting_table(accounting_rows(ranked, parts)).set_index("part")
        check_accounting(shares[method], silent)
        assert list(shares[method].index) == ["lesion", EDGE, GREY, WHITE, OTHER, OUTSIDE]
    assert set(shares["change"]["status"]) == {"zero_map"}
    expected = shares["uniform"]["expected"]
    np.testing.assert_allclose(shares["uniform"]["share"], expected, rtol=1e-9)
    assert shares["edges"]["share"][EDGE] > expected[EDGE]
    assert shares["centre"]["share"][EDGE] < expected[EDGE]
