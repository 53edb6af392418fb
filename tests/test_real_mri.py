"""The whole path on real MRI at 1 mm: two unrated scans in, maps on the scan, a panel and scores.

The images are those of a multiple sclerosis patient on the grid of LUMIERE's atlas images; both
visits are the same files. They lie beside the repository and are not part of it.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from xrano.cli.main import main
from xrano.data.store import open_store, read_prepared
from xrano.map_files import find_maps, load_map

DATA = Path(__file__).parents[2] / "shared" / "data" / "ms-mni-patient07"
FILES = {"T1": "T1", "CT1": "T1POST", "T2": "T2", "FLAIR": "FLAIR"}
PAIR = "patient07_week-000_week-012"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"real MRI is not there: {DATA}"),
]


def test_two_real_scans_go_the_whole_way(tmp_path: Path):
    """In one test, so that workers side by side do not each run the network."""
    run_the_commands(tmp_path)
    the_store_is_the_scan_itself_cropped_to_the_brain(tmp_path)
    maps_lie_on_the_scan_that_they_explain(tmp_path)
    grad_cam_has_the_cells_of_the_last_block(tmp_path)
    scores_are_finite_and_the_panel_is_drawn(tmp_path)


def run_the_commands(root: Path) -> None:
    """Tables by hand, then prepare, an untrained DenseNet264, explain and score."""
    sessions, segmentations = [], []
    for week in (0, 12):
        key = {"patient_id": "patient07", "session_id": f"week-{week:03d}"}
        scans = {name: DATA / f"{file}.nii.gz" for name, file in FILES.items()}
        sessions.append({**key, "week": week, "rating": "", **scans, "space": "atlas"})
        mask = {"source": "expert", "scheme": "binary", "path": DATA / "gold_standard.nii.gz"}
        segmentations.append({**key, **mask, "space": "atlas"})
    (root / "index").mkdir()
    pd.DataFrame(sessions).to_csv(root / "index" / "sessions.csv", index=False)
    pd.DataFrame(segmentations).to_csv(root / "index" / "segmentations.csv", index=False)
    names = ("index", "store", "run", "explained", "scores")
    index, store, run, explained, scores = (str(root / name) for name in names)
    for arguments in (
        ["prepare", index, "--out", store, "--unrated", "--allow_outside"],
        ["train", store, "--out", run, "--model.name", "densenet264", "--training.epochs", "0"],
        ["explain", run, "--pair", PAIR, "--methods", "saliency", "gradcam", "--out", explained],
        ["score", run, "--maps", f"{explained}/maps", "--out", scores, "--n_resamples", "20"],
    ):
        assert main(arguments) == 0


def the_store_is_the_scan_itself_cropped_to_the_brain(work: Path) -> None:
    store = open_store(work / "store")
    assert store.grid.spacing == pytest.approx((1.0, 1.0, 1.0))
    assert nib.aff2axcodes(store.grid.affine) == ("R", "A", "S")
    session = read_prepared(store.session_path("patient07", "week-012"))
    scan = nib.load(DATA / "T1.nii.gz")
    assert nib.aff2axcodes(scan.affine) == ("L", "A", "S")
    assert session.brain.sum() == np.count_nonzero(np.asarray(scan.dataobj))
    lesion, scheme = session.segmentations["expert"]
    truth = nib.load(DATA / "gold_standard.nii.gz")
    inside = np.asarray(truth.dataobj) > 0
    assert scheme == "binary"
    assert lesion.sum() == inside.sum() == 1300
    # Where the lesion lies in the patient is where it lies in the file.
    np.testing.assert_allclose(
        store.grid.world(np.argwhere(lesion)).mean(axis=0),
        nib.affines.apply_affine(truth.affine, np.argwhere(inside)).mean(axis=0),
        atol=1e-3,
    )


def maps_lie_on_the_scan_that_they_explain(work: Path) -> None:
    scan = nib.load(DATA / "T1.nii.gz")
    paths = [path for path in find_maps(work / "explained" / "maps") if "_res-" not in path.name]
    assert len(paths) == 2
    for path in paths:
        image = nib.load(path)
        assert image.shape[:3] == scan.shape == (182, 218, 182)
        np.testing.assert_array_equal(image.affine, scan.affine)
        for code in ("sform_code", "qform_code"):
            assert image.header[code] == scan.header[code]
        found = load_map(path)
        assert found.meta["weights"] == "untrained"
        assert found.meta["response"] == ""
        values = found.data
        assert np.isfinite(values).all()
        assert values.any()


def grad_cam_has_the_cells_of_the_last_block(work: Path) -> None:
    paths = find_maps(work / "explained" / "maps")
    (meta,) = [load_map(path).meta for path in paths if "_res-cells_" in path.name]
    assert meta["layer"] == "backbone.features.denseblock4"
    shape = open_store(work / "store").grid.shape
    assert meta["feature_grid"]["shape"] == [size // 32 for size in shape]
    assert meta["feature_grid"]["spacing_mm"] == pytest.approx([32.0, 32.0, 32.0])


def scores_are_finite_and_the_panel_is_drawn(work: Path) -> None:
    table = pd.read_csv(work / "scores" / "scores.csv", keep_default_na=False)
    # Maps that need no network are scored beside those of the methods.
    table = table[table["weights"] != "none"]
    whole = table[table["region"].isin(["whole/prior", "whole/current", "whole/union"])]
    assert set(whole["method"]) == {"saliency", "gradcam"}
    assert set(whole["status"]) == {"ok"}
    assert np.isfinite(whole[["value", "chance"]].astype(float)).all(axis=None)
    mass = whole[whole["metric"] == "relevance_mass_accuracy"]["value"].astype(float)
    assert len(mass)
    assert ((mass >= 0) & (mass <= 1)).all()
    # Nothing grew between two scans that are one; a lesion has no parts that could be told.
    grown = table[table["region"].isin(["whole/grown", "whole/shrunk"])]
    assert set(grown["status"]) == {"empty_mask"}
    assert set(table[table["region"].str.startswith("core")]["status"]) == {"region_not_labelled"}
    panel = work / "explained" / "panels" / f"{PAIR}.png"
    assert panel.read_bytes().startswith(b"\x89PNG")
