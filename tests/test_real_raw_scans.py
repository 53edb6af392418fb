"""The whole path on raw MRI: six scans of two visits, each on a grid of its own, to maps on FLAIR.

The images are those of a multiple sclerosis patient with the transforms that bring every scan to
one space. They lie beside the repository and are not part of it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine

from xrano.cli.main import main
from xrano.data.registration.itk_transforms import read_itk_transform
from xrano.data.store import open_store, read_prepared
from xrano.data.volumes import read_mask, read_scan
from xrano.geometry import Grid, moved_by
from xrano.map_files import find_maps, load_map
from xrano.resampling import resample
from xrano.types import Affine, Mask

DATA = Path(__file__).parents[2] / "shared" / "data" / "ms-longitudinal-patient01"
WEEKS = {1: 0, 2: 52}
PAIR = "patient01_week-000_week-052"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"raw MRI is not there: {DATA}"),
]


def test_two_visits_of_raw_scans_go_the_whole_way(tmp_path: Path):
    """In one test, so that workers side by side do not each register."""
    write_tables(tmp_path / "index")
    run_the_commands(tmp_path)
    visits_meet_as_the_given_transforms_say(tmp_path)
    maps_lie_on_the_flair_as_it_came_from_the_scanner(tmp_path)
    scores_are_finite_and_the_panel_is_drawn(tmp_path)


def flair_file(study: int) -> Path:
    return DATA / f"study{study}_FLAIR.nii.gz"


@cache
def to_common(study: int) -> Affine:
    """The given matrix from the world of a study's FLAIR to that of the masks."""
    return np.linalg.inv(read_itk_transform(DATA / f"study{study}_FLAIR_to_common_space.txt"))


def write_tables(index: Path) -> None:
    """Both visits, and the masks on each visit's FLAIR by the given transforms."""
    index.mkdir()
    sessions, segmentations = [], []
    for study, week in WEEKS.items():
        key = {"patient_id": "patient01", "session_id": f"week-{week:03d}"}
        flair = read_scan(flair_file(study))
        for name in ("brainmask", "gt"):
            given = read_mask(DATA / f"{name}.nii.gz")
            there = moved_by(flair.grid, to_common(study))
            labels = resample(given.mask.astype(np.uint8), given.grid, there, order=0)
            nib.save(nib.Nifti1Image(labels, flair.grid.affine), index / f"{name}{study}.nii.gz")
        scans = {"FLAIR": flair_file(study)}
        for name, file in (("T1", "T1W"), ("T2", "T2W")):
            scans[name] = index / f"{file}{study}.nii.gz"
            thinned(DATA / f"study{study}_{file}.nii.gz", scans[name])
        mask = {"brain_mask": f"brainmask{study}.nii.gz", "brain_mask_sequence": "FLAIR"}
        sessions.append({**key, "week": week, "rating": "", **scans, **mask, "space": "native"})
        lesion = {"source": "change", "scheme": "binary", "path": f"gt{study}.nii.gz"}
        segmentations.append({**key, **lesion, "space": "native", "sequence": "FLAIR"})
    pd.DataFrame(sessions).to_csv(index / "sessions.csv", index=False)
    pd.DataFrame(segmentations).to_csv(index / "segmentations.csv", index=False)


def thinned(source: Path, target: Path) -> None:
    """Every second voxel within each slice: a quarter of the time to register."""
    nib.save(nib.load(source).slicer[::2, ::2], target)


def run_the_commands(root: Path) -> None:
    store, run, explained = (str(root / name) for name in ("store", "run", "explained"))
    network = ["--model.name", "densenet121", "--model.sequences", "T1", "T2", "FLAIR"]
    methods = ["--methods", "saliency", "gradcam", "--scan", "FLAIR"]
    scores = ["--out", str(root / "scores"), "--n_resamples", "20"]
    for arguments in (
        ["prepare", str(root / "index"), "--out", store, "--unrated", "--allow_outside",
         "--template", "none", "--spacing_mm", "1"],
        ["train", store, "--out", run, *network, "--training.epochs", "0"],
        ["explain", run, "--pair", PAIR, *methods, "--out", explained],
        ["score", run, "--maps", f"{explained}/maps", *scores],
    ):  # fmt: skip
        assert main(arguments) == 0


def dice(a: Mask, b: Mask) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def visits_meet_as_the_given_transforms_say(work: Path) -> None:
    """Brains and lesions of both visits lie on one another in the store.

    A lesion of 3.5 ml, cut by slices of 4 mm in one visit and of 3 mm in the other, overlaps with
    itself by 0.72 at best; so what registration reaches is held against what the truth would.
    """
    store = open_store(work / "store")
    assert nib.aff2axcodes(store.grid.affine) == ("R", "A", "S")
    assert store.grid.spacing == pytest.approx((1.0, 1.0, 1.0))
    prior, current = (
        read_prepared(store.session_path("patient01", f"week-{week:03d}"))
        for week in WEEKS.values()
    )
    for session in (prior, current):
        assert set(session.sequences) == {"T1", "T2", "FLAIR"}
    assert dice(prior.brain, current.brain) >= 0.97
    first, second = (np.array(one.sources["FLAIR"]["to_common"]) for one in (prior, current))
    found = np.linalg.inv(first) @ second
    given = np.linalg.inv(to_common(1)) @ to_common(2)
    brain = read_mask(work / "index" / "brainmask2.nii.gz")
    points = brain.grid.world(np.argwhere(brain.mask))
    off = np.linalg.norm(apply_affine(found, points) - apply_affine(given, points), axis=1)
    before = np.linalg.norm(points - apply_affine(given, points), axis=1)
    assert before.mean() > 5
    assert off.mean() <= 0.5
    lesions = [one.segmentations["change"][0] > 0 for one in (prior, current)]
    best = [
        lesion_on(work, study, store.grid, matrix)
        for study, matrix in ((1, first), (2, first @ given))
    ]
    assert dice(*best) > 0.65
    assert dice(*lesions) >= dice(*best) - 0.05


def lesion_on(work: Path, study: int, grid: Grid, matrix: Affine) -> Mask:
    mask = read_mask(work / "index" / f"gt{study}.nii.gz")
    return resample(mask.mask, moved_by(mask.grid, matrix), grid, order=0)


def maps_lie_on_the_flair_as_it_came_from_the_scanner(work: Path) -> None:
    scan = nib.load(flair_file(2))
    brain = read_mask(work / "index" / "brainmask2.nii.gz").mask
    paths = [path for path in find_maps(work / "explained" / "maps") if "_res-" not in path.name]
    assert len(paths) == 2
    for path in paths:
        image = nib.load(path)
        assert image.shape[:3] == scan.shape
        np.testing.assert_array_equal(image.affine, scan.affine)
        for code in ("sform_code", "qform_code"):
            assert image.header[code] == scan.header[code]
        found = load_map(path)
        assert found.meta["weights"] == "untrained"
        assert np.isfinite(found.data).all()
        # The network saw the brain: relevance lies where the brain is on this very grid.
        assert (found.data[:, brain] != 0).any(axis=0).mean() > 0.9


def scores_are_finite_and_the_panel_is_drawn(work: Path) -> None:
    table = pd.read_csv(work / "scores" / "scores.csv", keep_default_na=False)
    mass = table["metric"] == "relevance_mass_accuracy"
    # Nothing vanished whole, and nothing is new: those regions are empty.
    told = ~table["region"].isin(["whole/vanished", "whole/new"])
    whole = table[table["region"].str.startswith("whole/") & mass & told]
    assert set(whole["region"]) >= {"whole/prior", "whole/current", "whole/union"}
    assert set(whole["status"]) == {"ok"}
    values = whole[["value", "chance"]].astype(float)
    assert np.isfinite(values).all(axis=None)
    assert ((values >= 0) & (values <= 1)).all(axis=None)
    panel = work / "explained" / "panels" / f"{PAIR}.png"
    assert panel.read_bytes().startswith(b"\x89PNG")
