"""Two folders outside the cohort: explained as a pair inside it, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from explained_cases import METHODS, QUICK, current_scan, maps_of

from xrano.errors import ConfigError, ManifestError, SplitError, VolumeError
from xrano.experiments.outside_pair import explain_outside
from xrano.map_files import find_maps, load_map
from xrano.training.run import Run


@pytest.fixture(scope="module")
def outside(tiny_run: Run, some: list[str], tmp_path_factory: pytest.TempPathFactory):
    """The second pair's folders under a patient whom no network has seen."""
    row = tiny_run.pair(some[0])
    home = tmp_path_factory.mktemp("outside") / "Patient-900"
    for name in ("prior_session", "current_session"):
        scan = nib.load(current_scan(tiny_run, some[0])).get_filename()
        session = Path(scan).parents[4] / row[name]
        shutil.copytree(session, home / row[name])
    return home / row["prior_session"], home / row["current_session"]


def test_outside_a_cohort_a_pair_is_explained_as_inside(
    tiny_run: Run, explained, outside, some: list[str], tmp_path: Path
):
    """The same network (fold 0), the same scans: the same maps, up to the patient's name."""
    prior, current = outside
    panel = explain_outside(tiny_run, prior, current, METHODS, tmp_path, settings=QUICK)
    pair_id = f"Patient-900_{prior.name}_{current.name}"
    assert panel == tmp_path / "panels" / f"{pair_id}.png"
    assert panel.is_file()
    inside, found = maps_of(explained[0], some[0]), maps_of(tmp_path, pair_id)
    assert set(found) == set(inside)
    for method, path in found.items():
        one, two = nib.load(inside[method]), nib.load(path)
        np.testing.assert_array_equal(one.affine, two.affine)
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))
        a, b = (dict(load_map(p).meta) for p in (inside[method], path))
        for name in ("pair_id", "patient_id", "response", "rating_source", "spans_surgery"):
            a.pop(name), b.pop(name)
        assert a == b


def test_flat_folders_will_do(tiny_run: Run, explained, outside, some: list[str], tmp_path: Path):
    flat = []
    for folder in outside:
        here = tmp_path / "Someone" / folder.name
        here.mkdir(parents=True)
        strip = folder / "DeepBraTumIA-segmentation" / "atlas" / "skull_strip"
        for name in ("CT1", "FLAIR"):
            shutil.copy(strip / f"{name.lower()}_skull_strip.nii.gz", here / f"{name}.nii.gz")
        shutil.copy(strip / "brain_mask.nii.gz", here / "brain_mask.nii.gz")
        labels = nib.load(folder / "DeepBraTumIA-segmentation/atlas/segmentation/seg_mask.nii.gz")
        lesion = (np.asarray(labels.dataobj) > 0).astype(np.uint8)
        nib.save(nib.Nifti1Image(lesion, labels.affine), here / "segmentation.nii.gz")
        flat.append(here)
    explain_outside(tiny_run, flat[0], flat[1], ["saliency"], tmp_path / "out", settings=QUICK)
    (path,) = find_maps(tmp_path / "out")
    one, two = nib.load(maps_of(explained[0], some[0])["saliency"]), nib.load(path)
    # The same voxels are lesion, so the same tissue normalises the pair.
    np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))


def test_two_scans_of_one_name_are_told_apart(tiny_run: Run, outside, tmp_path: Path):
    _, current = outside
    panel = explain_outside(tiny_run, current, current, ["saliency"], tmp_path)
    assert panel.stem == f"Patient-900_{current.name}-prior_{current.name}"


def test_outside_refusals(tiny_run: Run, outside, tmp_path: Path):
    prior, current = outside
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="no response to explain"):
        explain_outside(tiny_run, prior, current, ["saliency"], out, target="response")
    with pytest.raises(VolumeError, match="nowhere is no folder"):
        explain_outside(tiny_run, tmp_path / "nowhere", current, ["saliency"], out)
    lacking = tmp_path / "Patient-901" / "week-001"
    lacking.mkdir(parents=True)
    strip = current / "DeepBraTumIA-segmentation" / "atlas" / "skull_strip"
    shutil.copy(strip / "ct1_skull_strip.nii.gz", lacking / "CT1.nii.gz")
    with pytest.raises(VolumeError, match="lacks FLAIR.*trained on CT1, FLAIR"):
        explain_outside(tiny_run, prior, lacking, ["saliency"], out)
    # In another space: the brain lies two metres away.
    away = tmp_path / "Patient-902" / "week-001"
    away.mkdir(parents=True)
    for name in ("ct1", "flair"):
        image = nib.load(strip / f"{name}_skull_strip.nii.gz")
        affine = image.affine.copy()
        affine[0, 3] += 150.0
        moved = nib.Nifti1Image(np.asarray(image.dataobj), affine)
        nib.save(moved, away / f"{name.upper()}.nii.gz")
    with pytest.raises((ManifestError, VolumeError), match="field of view|inside the brain"):
        explain_outside(tiny_run, prior, away, ["saliency"], out)
    assert not out.exists()


def test_a_scan_of_the_cohort_keeps_its_patient_in_any_folder(
    tiny_run: Run, outside, tmp_path: Path
):
    """A training patient must not be explained by going round the cohort."""
    pairs = tiny_run.pairs()
    untrained = set(tiny_run.splits["folds"][2]["test"])
    pair_id = pairs[pairs["patient_id"].isin(untrained)]["pair_id"].iloc[0]
    prior = Path(current_scan(tiny_run, pair_id)).parents[3]
    renamed = tmp_path / "somebody" / "week-777"
    renamed.parent.mkdir()
    renamed.symlink_to(prior)
    for folders in ((prior, outside[1]), (outside[0], renamed)):
        with pytest.raises(SplitError, match="test patient of fold 2"):
            explain_outside(tiny_run, *folders, ["saliency"], tmp_path / "out")
    own = Path(current_scan(tiny_run, pairs["pair_id"].iloc[-1])).parents[3]
    with pytest.raises(ConfigError, match="different patients"):
        explain_outside(tiny_run, own, renamed, ["saliency"], tmp_path / "out")
