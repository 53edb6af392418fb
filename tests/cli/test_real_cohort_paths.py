"""The whole path from the command line, on trees of every image source and of two other datasets.

Scans that need registration are a head of 6 mm voxels; the template is the phantom's own atlas
image, so that the store's world is the one in which the phantom's truth is written.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine

from xrano.cli.main import main
from xrano.data.label_schemes import region_mask
from xrano.data.phantom import PhantomSettings, write_phantom
from xrano.data.store import Store, open_store, read_prepared
from xrano.geometry import Grid
from xrano.map_files import find_maps, load_map
from xrano.metrics.catalogue import METRICS

pytestmark = pytest.mark.slow

NETWORK = ("--model.name", "densenet_small", "--model.sequences", "CT1", "FLAIR")


def run(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def words(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def explain_and_score(work: Path, pair: str, *options: str) -> pd.DataFrame:
    """Maps of one pair on the FLAIR that it came with, and their scores."""
    run("explain", work / "run", "--pair", pair, "--methods", "saliency", "gradcam",
        "--scan", "FLAIR", "--out", work / "explained", *options)  # fmt: skip
    maps = work / "explained" / "maps"
    run("score", work / "run", "--maps", maps, "--out", work / "scores", "--n_resamples", 20)
    picture = work / "explained" / "panels" / f"{pair}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    scores = words(work / "scores" / "scores.csv")
    # Maps that need no network are scored beside those of the methods.
    return scores[scores["weights"] != "none"]


SHARES = set(METRICS) - {"normalised_average_precision"}
"""Metrics from 0 to 1; others are in mm, or below 0 for a map worse than chance."""


def scores_are_usable(scores: pd.DataFrame, region: str) -> None:
    """Every score of a region that is there is a finite share, and a value of each method."""
    rows = scores[scores["region"] == region]
    assert set(rows["method"]) == {"saliency", "gradcam"}
    assert set(rows["status"]) == {"ok"}
    values = rows[["value", "chance"]].astype(float)
    assert np.isfinite(values).all(axis=None)
    shares = values[rows["metric"].isin(SHARES)]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)


def maps_lie_on(work: Path, scan: Path) -> None:
    """Full-resolution maps have the affine and the codes of the scan file."""
    image = nib.load(scan)
    found = [path for path in find_maps(work / "explained" / "maps") if "_res-" not in path.name]
    assert len(found) == 2
    for path in found:
        drawn = nib.load(path)
        assert drawn.shape[:3] == image.shape
        np.testing.assert_array_equal(drawn.affine, image.affine)
        for code in ("sform_code", "qform_code"):
            assert drawn.header[code] == image.header[code]
        assert load_map(path).meta["scan"] == "FLAIR"
        assert load_map(path).data.any()


# --- LUMIERE's three image sources


@pytest.fixture(scope="module")
def lumiere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients with raw scans and HD-GLIO's, in a folder with a blank and an umlaut."""
    root = tmp_path_factory.mktemp("cohort") / "LUMIERE für alle"
    settings = PhantomSettings(
        patients=2, visits=(1, 1), spacing_mm=6.0, quirks=False, raw_scans=True, hdglio=True
    )
    write_phantom(root, settings)
    return root


def atlas_folder(tree: Path, patient: str, session: str) -> Path:
    return tree / "Imaging" / patient / session / "DeepBraTumIA-segmentation" / "atlas"


def true_centre(tree: Path, patient: str, session: str) -> np.ndarray:
    """Where the whole lesion lies in the atlas, mm."""
    image = nib.load(atlas_folder(tree, patient, session) / "segmentation" / "seg_mask.nii.gz")
    return apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj) > 0)).mean(axis=0)


def found_centre(store: Store, patient: str, session: str, source: str) -> np.ndarray:
    labels, scheme = read_prepared(store.session_path(patient, session)).segmentations[source]
    inside = region_mask(labels, scheme, "whole")
    return store.grid.world(np.argwhere(inside)).mean(axis=0)


def prepare_lumiere(tree: Path, work: Path, source: str) -> Store:
    run("index", tree, "--image_source", source, "--out", work / "index")
    first = sorted((tree / "Imaging" / "Patient-001").iterdir())[0].name
    template = atlas_folder(tree, "Patient-001", first) / "skull_strip" / "t1_skull_strip.nii.gz"
    run("prepare", work / "index", "--out", work / "store", "--template", template,
        "--spacing_mm", 6, "--jobs", 1)  # fmt: skip
    return open_store(work / "store")


SOURCES = {
    # image source: segmentations it offers, and how far off a lesion's centre may be found (mm)
    "atlas": ({"deepbratumia"}, 0.01),
    "hdglio": ({"hdglio"}, 6.0),
    "native": ({"deepbratumia", "hdglio"}, 6.0),
}


@pytest.mark.parametrize("source", SOURCES)
def test_lumiere_goes_the_whole_way(lumiere: Path, tmp_path: Path, source: str):
    store = prepare_lumiere(lumiere, tmp_path, source)
    tables_are_whole(store, tmp_path, source)
    lesions_lie_where_they_grew(lumiere, store, source)
    run("train", store.root, "--out", tmp_path / "run", *NETWORK, "--training.epochs", 0)
    pair = store.pairs.iloc[0]
    scores = explain_and_score(tmp_path, pair["pair_id"])
    scores_are_usable(scores, "whole/prior")
    assert set(scores["pair_id"]) == {pair["pair_id"]}
    assert set(scores["rating_source"]) == {"expert"}
    sessions = store.sessions.set_index(["patient_id", "session_id"])
    maps_lie_on(tmp_path, Path(sessions.loc[pair["patient_id"], pair["current_session"]]["FLAIR"]))


def tables_are_whole(store: Store, work: Path, source: str) -> None:
    """Every pair of the index is in the store, and every session of a pair; nothing failed."""
    indexed = words(work / "index" / "pairs.csv")
    assert list(store.pairs["pair_id"]) == list(indexed["pair_id"])
    assert indexed["patient_id"].nunique() == 2
    assert set(indexed["rating_source"]) == {"expert"}
    wanted = {
        (row["patient_id"], row[role])
        for row in indexed.to_dict("records")
        for role in ("prior_session", "current_session")
    }
    assert set(store.sessions[["patient_id", "session_id"]].itertuples(index=False)) == wanted
    space = {"atlas": "atlas", "hdglio": "session", "native": "native"}[source]
    assert set(store.sessions["space"]) == {space}
    problems = words(store.root / "problems.csv")
    assert set(problems["kind"]) <= {"remark"}


def lesions_lie_where_they_grew(tree: Path, store: Store, source: str) -> None:
    offered, tolerance_mm = SOURCES[source]
    checked = 0
    for patient, session in store.sessions[["patient_id", "session_id"]].itertuples(index=False):
        truth = true_centre(tree, patient, session)
        prepared = read_prepared(store.session_path(patient, session))
        assert set(prepared.segmentations) == offered
        for name in offered:
            found = found_centre(store, patient, session, name)
            assert np.sign(found[0]) == np.sign(truth[0]), (patient, session, name)
            if patient == "Patient-001":
                # The template is this patient's; others lie a little elsewhere on it.
                assert np.linalg.norm(found - truth) <= tolerance_mm, (session, name, found, truth)
            checked += 1
    assert checked >= len(store.sessions)


# --- datasets without ratings


SHAPE = (28, 34, 26)
AFFINE = np.array([[-5.0, 0, 0, 66], [0, -5.0, 0, 62], [0, 0, 6.0, -70], [0, 0, 0, 1]], dtype=float)
"""Axes as in the BraTS family, left and posterior: i rises to the patient's left."""
LESION_MM = np.array([-35.0, 20.0, 5.0])
"""In the left hemisphere."""
RADII = {"PD": (14.0, 20.0), "SD": (16.0, 16.0), "PR": (20.0, 12.0), "CR": (16.0, 0.0)}
"""Of the enhancing part at the first and at the second visit, mm."""
LABELS = {"oedema": 2, "enhancing": 3}


def visit(radius: float, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A brain of four sequences with one lesion, and its labels."""
    rng = np.random.default_rng(seed)
    points = Grid(SHAPE, AFFINE).world(np.indices(SHAPE).reshape(3, -1).T).reshape(*SHAPE, 3)
    brain = (((points - [0, -20, 5]) / [58, 72, 55]) ** 2).sum(axis=-1) < 1
    away = np.linalg.norm(points - LESION_MM, axis=-1)
    labels = np.zeros(SHAPE, dtype=np.float64)
    labels[brain & (away < 22)] = LABELS["oedema"]
    labels[brain & (away < radius)] = LABELS["enhancing"]
    scans = {}
    for name, bright in (("T1", 0.7), ("CT1", 1.8), ("T2", 1.5), ("FLAIR", 1.6)):
        values = 300 + 60 * np.sin(points / 15).sum(axis=-1) + rng.normal(0, 8, SHAPE)
        values[labels > 0] *= bright
        scans[name] = np.where(brain, values, 0).astype(np.float32)
    return scans, labels


def save(path: Path, data: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, AFFINE), path)


def write_mu_glioma_post(root: Path) -> Path:
    """A pre-operative and two later scans of each of four patients, with their workbook."""
    rows = []
    endings = {"T1": "t1n", "CT1": "t1c", "T2": "t2w", "FLAIR": "t2f"}
    ordinal = ("1st", "2nd", "3rd")
    for number, radii in enumerate(RADII.values(), start=1):
        patient = f"PatientID_{number:04d}"
        for timepoint, radius in enumerate((18.0, *radii), start=1):
            stem = f"{patient}_Timepoint_{timepoint}"
            folder = root / patient / f"Timepoint_{timepoint}"
            scans, labels = visit(radius, 10 * number + timepoint)
            for name, ending in endings.items():
                save(folder / f"{stem}_brain_{ending}.nii.gz", scans[name])
            save(folder / f"{stem}_tumorMask.nii.gz", labels.astype(np.uint8))
        days = {
            f"Number of Days from Diagnosis to {n} MRI (Timepoint_{k})": day
            for k, (n, day) in enumerate(zip(ordinal, (-3, 20, 90), strict=True), start=1)
        }
        surgery = {" Number of days from Diagnosis to First surgery or procedure ": 0}
        rows.append({"Patient_ID": patient, **surgery, **days})
    book = root / "MU-Glioma-Post_ClinicalData-July2025.xlsx"
    pd.DataFrame(rows).to_excel(book, sheet_name="MU Glioma Post", index=False)
    return root


def write_ucsf_alptdg(root: Path) -> Path:
    """Two scans of each of four patients, labels as floats, no workbook."""
    endings = {"T1": "t1", "CT1": "t1ce", "T2": "t2", "FLAIR": "flair"}
    for number, radii in enumerate(RADII.values(), start=100001):
        for index, radius in enumerate(radii, start=1):
            stem = root / str(number) / f"{number}_time{index}"
            scans, labels = visit(radius, 10 * number + index)
            for name, ending in endings.items():
                save(stem.with_name(f"{stem.name}_{ending}.nii.gz"), scans[name])
            save(stem.with_name(f"{stem.name}_seg.nii.gz"), labels)
    return root


DATASETS = {
    "mu-glioma-post": (write_mu_glioma_post, 12, ("Timepoint_2", "Timepoint_3"), 8),
    "ucsf-alptdg": (write_ucsf_alptdg, 8, ("time1", "time2"), 4),
}
"""Tree, sessions in all, the sessions of each pair, sessions without a pair."""


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_rated_by_rule_goes_the_whole_way(name: str, tmp_path: Path, capsys):
    write, n_sessions, (prior, current), n_excluded = DATASETS[name]
    index, work = tmp_path / "index", tmp_path
    options = ("--rate_by_rule", "--rule_reference", "previous")
    run("index", write(tmp_path / "tree"), *options, "--out", index)
    assert f"({name})" in capsys.readouterr().out
    pairs = words(index / "pairs.csv")
    assert pairs[["prior_session", "current_session"]].to_numpy().tolist() == [[prior, current]] * 4
    assert list(pairs["response"]) == list(RADII)
    assert set(pairs["rating_source"]) == {"rule"}
    assert set(pairs["spans_surgery"]) == {"False"}
    assert len(words(index / "sessions.csv")) == n_sessions
    assert len(words(index / "exclusions.csv")) == n_excluded
    run("prepare", index, "--out", work / "store", "--jobs", 1)
    store = open_store(work / "store")
    assert set(store.pairs["rating_source"]) == {"rule"}
    the_left_lesion_stays_left(store, prior)
    short = ("--training.epochs", 1, "--n_folds", 4, "--training.balancing", "none")
    run("train", store.root, "--out", work / "run", *NETWORK, *short)
    predictions = words(work / "run" / "predictions.csv")
    assert sorted(predictions["pair_id"]) == sorted(pairs["pair_id"])
    assert set(predictions["rating_source"]) == {"rule"}
    assert np.isfinite(predictions.filter(like="logit_").astype(float)).all(axis=None)
    scores = explain_and_score(work, pairs["pair_id"][0], "--target", "response")
    assert set(scores["target"]) == {"PD"}
    assert set(scores["rating_source"]) == {"rule"}
    for region in ("enhancing/current", "enhancing/grown", "whole/union"):
        scores_are_usable(scores, region)
    row = store.sessions.set_index(["patient_id", "session_id"]).loc[
        pairs["patient_id"][0], current
    ]
    maps_lie_on(work, Path(row["FLAIR"]))


def the_left_lesion_stays_left(store: Store, prior: str) -> None:
    """On the store's grid, whose axes run the other way, millimetres and millilitres are kept."""
    assert nib.aff2axcodes(store.grid.affine) == ("R", "A", "S")
    for patient in store.pairs["patient_id"]:
        centre = found_centre(store, patient, prior, "expert")
        np.testing.assert_allclose(centre, LESION_MM, atol=3.0)
    volumes = store.volumes
    expected = sum((visit(radii[0], 0)[1] == 3).sum() * 0.15 for radii in RADII.values())
    at_first = volumes[(volumes["session_id"] == prior) & (volumes["region"] == "enhancing")]
    assert at_first["ml"].sum() == pytest.approx(expected)
