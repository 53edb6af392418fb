"""Two folders of raw scans, explained by a run whose store was made of raw scans.

The scans lie in worlds of their own; where is known, so that nothing is registered here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from native_cohort import SEQUENCES, Matrices, write_native

from xrano.attribution.methods import AttributionSettings
from xrano.cli.main import main
from xrano.data.preparation import prepare
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.jobs import Outcome
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.preparation.session_placement import Placement
from xrano.errors import ConfigError, ManifestError, SplitError, UnknownNameError, VolumeError
from xrano.experiments import outside_pair
from xrano.experiments.explained_pairs import explain_pairs
from xrano.experiments.outside_pair import explain_outside
from xrano.explain import Explainer
from xrano.map_files import find_maps, load_map
from xrano.training.run import Run, open_run

QUICK = AttributionSettings(n_steps=3)


@dataclass
class Known:
    """Stands in for registration: every session lies where the truth says.

    Strangers are copies of the sessions of one patient.
    """

    truth: Matrices
    asked: list[tuple[Sequence[Mapping[str, Any]], tuple[str, ...]]]
    stranger: str = ""

    def __call__(self, rows, names, *_: object, **__: object) -> list[Outcome[Placement]]:
        self.asked.append((rows, names))
        found = []
        for row in rows:
            patient = row["patient_id"]
            key = (self.stranger if patient == "Patient-900" else patient, row["session_id"])
            found.append(Outcome(Placement(self.truth[key], {}), None))
        return found


@dataclass(frozen=True)
class Cohort:
    run: Run
    index: Path
    known: Known
    space: str

    def row(self, pair_id: str, role: str) -> dict[str, Any]:
        pair = self.run.pair(pair_id)
        sessions = self.run.store.sessions.set_index(["patient_id", "session_id"])
        return dict(sessions.loc[(pair["patient_id"], pair[role])])

    def of_fold(self, fold: int) -> str:
        pairs = self.run.pairs()
        return pairs[pairs["patient_id"].isin(self.run.splits["folds"][fold]["test"])][
            "pair_id"
        ].iloc[0]


@pytest.fixture(scope="module", params=["native", "session"])
def cohort(tiny_run: Run, phantom_index: Path, tmp_path_factory, request):
    """The run of all tests, on a store made of scans that lie in worlds of their own."""
    index = tmp_path_factory.mktemp(request.param) / "index"
    pairs = list(tiny_run.store.pairs["pair_id"])
    known = Known(write_native(phantom_index, index, pairs, space=request.param), [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "place_sessions", known)
        patch.setattr(outside_pair, "place_sessions", known)
        prepare_index(index, index.parent / "store", PrepareSettings(template="none"))
        run = open_run(tiny_run.root, store=index.parent / "store")
        yield Cohort(run, index, known, request.param)


@pytest.fixture(scope="module")
def pair_id(cohort: Cohort) -> str:
    """Of the first fold, which explains strangers too."""
    found = cohort.of_fold(0)
    cohort.known.stranger = cohort.run.pair(found)["patient_id"]
    return found


def flat(folder: Path, cohort: Cohort, pair_id: str, role: str, *, links: bool = False) -> Path:
    """A folder of raw scans with masks, named like the session; copies unless linked."""
    row, here = cohort.row(pair_id, role), folder / cohort.run.pair(pair_id)[role]
    here.mkdir(parents=True)
    for name in SEQUENCES:
        if links:
            (here / f"{name}.nii.gz").symlink_to(row[name])
        else:
            (here / f"{name}.nii.gz").write_bytes(Path(row[name]).read_bytes())
    (here / "brain_mask.nii.gz").write_bytes(Path(row["brain_mask"]).read_bytes())
    labels = nib.load(Path(row["brain_mask"]).with_name("labels.nii.gz"))
    lesion = (np.asarray(labels.dataobj) > 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(lesion, labels.affine), here / "segmentation.nii.gz")
    return here


@pytest.fixture
def folders(cohort: Cohort, pair_id: str, tmp_path: Path) -> tuple[Path, Path]:
    home = tmp_path / "Patient-900"
    return tuple(flat(home, cohort, pair_id, role) for role in ("prior_session", "current_session"))


@pytest.fixture(scope="module")
def inside(cohort: Cohort, pair_id: str, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("inside")
    explain_pairs(cohort.run, [pair_id], ["saliency", "gradcam"], out, settings=QUICK)
    return out


def by_name(out: Path) -> dict[str, Path]:
    return {path.name.split("_", 2)[2]: path for path in find_maps(out)}


def test_flat_folders_of_raw_scans_are_explained_as_inside(
    cohort: Cohort, inside: Path, folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Through the command line; the same voxels, masks and network: the same maps."""
    prior, current = folders
    arguments = ["explain", str(cohort.run.root), "--store", str(cohort.run.store.root)]
    arguments += ["--prior", str(prior), "--current", str(current), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--methods", "saliency", "gradcam"]) == 0
    panel = tmp_path / "out" / "panels" / f"Patient-900_{prior.name}_{current.name}.png"
    assert str(panel) in capsys.readouterr().out
    assert panel.is_file()
    expected, found = by_name(inside), by_name(tmp_path / "out")
    assert set(found) == set(expected)
    assert len(found) == 3
    for name, path in found.items():
        one, two = nib.load(expected[name]), nib.load(path)
        np.testing.assert_array_equal(np.asarray(two.dataobj), np.asarray(one.dataobj))
        np.testing.assert_array_equal(two.affine, one.affine)
        metas = [dict(load_map(other).meta) for other in (expected[name], path)]
        assert metas[0].get("to_common") == metas[1].get("to_common")
        assert metas[1]["fold"] == 0
    scan = nib.load(current / "CT1.nii.gz")
    (on_scan,) = (path for name, path in found.items() if "Saliency" in name or "saliency" in name)
    np.testing.assert_array_equal(nib.load(on_scan).affine, scan.affine)
    assert load_map(on_scan).meta["to_common"] is not None


def test_they_are_registered_with_all_that_the_store_knows(cohort: Cohort, folders, tmp_path: Path):
    cohort.known.asked.clear()
    explain_outside(cohort.run, *folders, ["saliency"], tmp_path / "out", settings=QUICK)
    ((rows, names),) = cohort.known.asked
    assert names == cohort.run.store.sequences
    assert [row["session_id"] for row in rows] == [folder.name for folder in folders]
    assert {row["patient_id"] for row in rows} == {"Patient-900"}
    assert {row["space"] for row in rows} == {cohort.space}


@pytest.mark.parametrize("cohort", ["native"], indirect=True)
def test_masks_lie_where_a_lumiere_folder_says(
    cohort: Cohort, inside: Path, pair_id: str, folders, tmp_path: Path
):
    """Its native masks name their scan, so they need not share its grid."""
    for folder in folders:
        tool = folder / "DeepBraTumIA-segmentation" / "native"
        for old, new in (
            ("brain_mask", "skull_strip/flair_brain_mask"),
            ("segmentation", "segmentation/flair_seg_mask"),
        ):
            image = nib.load(folder / f"{old}.nii.gz")
            (tool / new).parent.mkdir(parents=True, exist_ok=True)
            data = np.pad(np.asarray(image.dataobj), [(2, 0), (0, 3), (1, 1)])
            affine = image.affine.copy()
            affine[:3, 3] = nib.affines.apply_affine(affine, (-2, 0, -1))
            nib.save(nib.Nifti1Image(data, affine), tool / f"{new}.nii.gz")
            (folder / f"{old}.nii.gz").unlink()
    explain_outside(cohort.run, *folders, ["saliency"], tmp_path / "out", settings=QUICK)
    for name, path in by_name(tmp_path / "out").items():
        values, expected = (
            np.asarray(nib.load(one).dataobj) for one in (path, by_name(inside)[name])
        )
        scale = np.abs(expected).max()
        np.testing.assert_allclose(values, expected, atol=1e-3 * scale)


def test_a_mask_that_shares_no_grid_is_refused(cohort: Cohort, folders, tmp_path: Path):
    image = nib.load(folders[0] / "brain_mask.nii.gz")
    cut = nib.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine)
    nib.save(cut, folders[0] / "brain_mask.nii.gz")
    with pytest.raises((ManifestError, VolumeError, ValueError), match=r"brain_mask\.nii\.gz"):
        explain_outside(cohort.run, *folders, ["saliency"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- whose network


def test_a_cohort_s_own_scans_are_explained_by_the_network_that_never_saw_them(
    cohort: Cohort, tmp_path: Path
):
    pair_id = cohort.of_fold(1)
    patient = cohort.run.pair(pair_id)["patient_id"]
    linked = [
        flat(tmp_path / "Somebody", cohort, pair_id, role, links=True)
        for role in ("prior_session", "current_session")
    ]
    panel = explain_outside(cohort.run, *linked, ["saliency"], tmp_path / "out", settings=QUICK)
    assert panel.stem == pair_id
    assert pair_id.startswith(patient)
    (path,) = find_maps(tmp_path / "out")
    meta = load_map(path).meta
    assert (meta["fold"], meta["patient_id"]) == (1, patient)
    record = json.loads((tmp_path / "out" / "explanations" / f"{pair_id}.json").read_text())
    own = Explainer(cohort.run.model(1), ["saliency"])
    assert record["weights_sha256"] == own.weights_sha256


def test_one_scan_of_an_untrained_fold_is_enough_to_refuse(cohort: Cohort, folders, tmp_path: Path):
    """Before anything is registered or written."""
    theirs = cohort.of_fold(2)
    linked = flat(tmp_path / "Somebody", cohort, theirs, "prior_session", links=True)
    cohort.known.asked.clear()
    for pair in ((linked, folders[1]), (folders[0], linked)):
        with pytest.raises(SplitError, match="test patient of fold 2"):
            explain_outside(cohort.run, *pair, ["saliency"], tmp_path / "out")
    mine = flat(tmp_path / "Another", cohort, cohort.of_fold(1), "current_session", links=True)
    with pytest.raises(ConfigError, match="different patients"):
        explain_outside(cohort.run, mine, linked, ["saliency"], tmp_path / "out")
    assert cohort.known.asked == []
    assert not (tmp_path / "out").exists()


def test_what_can_be_refused_at_once_is_not_registered_first(
    cohort: Cohort, folders, tmp_path: Path
):
    cohort.known.asked.clear()
    for error, methods, options in (
        (UnknownNameError, ["lrp"], {}),
        (UnknownNameError, ["saliency"], {"scan": "T1"}),
        (ConfigError, ["saliency"], {"target": "response"}),
    ):
        with pytest.raises(error):
            explain_outside(cohort.run, *folders, methods, tmp_path / "out", **options)
    (folders[0] / "FLAIR.nii.gz").unlink()
    with pytest.raises(VolumeError, match="lacks FLAIR"):
        explain_outside(cohort.run, *folders, ["saliency"], tmp_path / "out")
    assert cohort.known.asked == []
    assert not (tmp_path / "out").exists()
