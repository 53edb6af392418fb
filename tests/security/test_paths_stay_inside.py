from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from xrano.data.datasets.manifest import read_index
from xrano.data.index import index_cohort
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.quality.store_check import check_store
from xrano.data.store import Store, open_store
from xrano.errors import CheckpointError, ManifestError, VolumeError, XranoError
from xrano.experiments.audit.audit_files import claim
from xrano.experiments.audit.settings import QUICK
from xrano.experiments.explained_cohort import CohortRequest, explain_cohort
from xrano.experiments.saved_maps import saved_facts
from xrano.experiments.study.study_file import read_study
from xrano.experiments.study.units import folder_name
from xrano.geometry import Grid
from xrano.map_files import find_maps, save_map
from xrano.maps import AttributionMap
from xrano.models.weight_files import read_weights

AFFINE = np.diag([-2.0, 2.5, 3.0, 1.0])
SECRET = "root:x:0:0: a line of a file of somebody else"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """A cohort with one image inside, one outside, and links of every kind."""
    folder = tmp_path / "cohort"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    image = nib.Nifti1Image(np.ones((3, 4, 2), np.float32), AFFINE)
    for place in ("cohort/a/T1.nii.gz", "elsewhere/T1.nii.gz"):
        nib.save(image, tmp_path / place)
    (folder / "link.nii.gz").symlink_to(tmp_path / "elsewhere" / "T1.nii.gz")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to("folder")
    (folder / "a" / "inside.nii.gz").symlink_to("T1.nii.gz")
    return folder


OUTSIDE = {
    "dots": "../elsewhere/T1.nii.gz",
    "dots-within": "a/../../elsewhere/T1.nii.gz",
    "absolute": "{root}/elsewhere/T1.nii.gz",
    "file-link": "link.nii.gz",
    "folder-link": "folder/T1.nii.gz",
    "link-to-a-link": "again/T1.nii.gz",
    "dots-after-a-link": "folder/../elsewhere/T1.nii.gz",
    "system-file": "/etc/passwd",
}


def write_tables(
    folder: Path, *, image: str = "a/T1.nii.gz", mask: str = "", seg: str = ""
) -> None:
    rows = [
        {"patient_id": "P", "session_id": name, "week": week, "rating": rating, "T1": image}
        for name, week, rating in (("s0", 0, ""), ("s1", 9, "PD"))
    ]
    pd.DataFrame(rows).assign(brain_mask=mask, space="atlas").to_csv(
        folder / "sessions.csv", index=False
    )
    (folder / "segmentations.csv").unlink(missing_ok=True)
    if seg:
        made = {"patient_id": "P", "session_id": "s0", "source": "x", "scheme": "binary"}
        pd.DataFrame([{**made, "path": seg}]).to_csv(folder / "segmentations.csv", index=False)


@pytest.mark.parametrize("trick", OUTSIDE)
@pytest.mark.parametrize("column", ["image", "mask", "seg"])
def test_a_table_names_no_file_outside_of_its_folder(cohort: Path, trick: str, column: str):
    where = OUTSIDE[trick].format(root=cohort.parent)
    write_tables(cohort, **{column: where})
    table = "segmentations.csv" if column == "seg" else "sessions.csv"
    with pytest.raises(ManifestError, match=rf"{table}, line 2: .*outside of.*--allow-outside"):
        read_index(cohort)
    with pytest.raises(ManifestError, match="outside of"):
        index_cohort(cohort, cohort.parent / "index", dataset="manifest")
    assert not (cohort.parent / "index").exists()
    # Allowed, each of them is what it says.
    sessions, segmentations = read_index(cohort, allow_outside=True)
    named = {"image": "T1", "mask": "brain_mask"}
    found = segmentations["path"][0] if column == "seg" else sessions[named[column]][0]
    assert Path(found).resolve() == (cohort / where).resolve()


def test_dots_after_a_link_mean_what_the_system_means(cohort: Path):
    # As text the path leaves the folder, as the system walks it, it stays; one of both was checked
    # and the other read.
    (cohort / "x" / "y" / "z").mkdir(parents=True)
    (cohort / "deep").symlink_to("x/y/z")
    write_tables(cohort, image="deep/../../../a/T1.nii.gz")
    sessions, _ = read_index(cohort)
    assert sessions["T1"][0] == str(cohort.resolve() / "a" / "T1.nii.gz")


@pytest.mark.parametrize("inside", ["a/T1.nii.gz", "a/inside.nii.gz", "a/../a/T1.nii.gz"])
def test_what_stays_inside_is_read(cohort: Path, inside: str):
    write_tables(cohort, image=inside, mask=inside, seg=inside)
    sessions, segmentations = read_index(cohort)
    assert len(sessions) == 2
    assert len(segmentations) == 1


@pytest.mark.parametrize("root", ["/", "/..", "../../../../../../../../../.."])
def test_an_index_cannot_make_the_whole_disk_its_root(cohort: Path, root: str):
    write_tables(cohort, image="/etc/passwd")
    (cohort / "index.json").write_text(json.dumps({"root": root}))
    with pytest.raises(ManifestError, match="bounds nothing"):
        read_index(cohort)
    (cohort / "index.json").write_text(json.dumps({"root": ".", "also": [root]}))
    with pytest.raises(ManifestError, match="bounds nothing"):
        read_index(cohort)


NAMES = ("../x", "..", ".", "a/b", "/etc", "a\\b", "x" * 230)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["patient_id", "session_id"])
def test_identifiers_that_files_are_named_by_hold_no_path(cohort: Path, column: str, name: str):
    write_tables(cohort)
    frame = pd.read_csv(cohort / "sessions.csv", dtype=str, keep_default_na=False)
    frame.loc[0, column] = name
    frame.to_csv(cohort / "sessions.csv", index=False)
    with pytest.raises(ManifestError, match=rf"sessions\.csv, line 2: {column} is"):
        read_index(cohort)


@pytest.mark.parametrize("name", NAMES)
def test_nor_do_sequences(cohort: Path, name: str):
    write_tables(cohort)
    frame = pd.read_csv(cohort / "sessions.csv", dtype=str, keep_default_na=False)
    frame[name] = "a/T1.nii.gz"
    frame.to_csv(cohort / "sessions.csv", index=False)
    with pytest.raises(ManifestError, match=r"sessions\.csv: the column .* name it without"):
        read_index(cohort)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["pair_id", "patient_id", "prior_session", "current_session"])
def test_nor_do_pairs(phantom_index: Path, tmp_path: Path, column: str, name: str):
    shutil.copytree(phantom_index, tmp_path / "index")
    record = json.loads((phantom_index / "index.json").read_text())
    root = str((phantom_index / record["root"]).resolve())
    (tmp_path / "index" / "index.json").write_text(json.dumps({**record, "root": root}))
    frame = pd.read_csv(tmp_path / "index" / "pairs.csv", dtype=str, keep_default_na=False)
    frame.loc[0, column] = name
    frame.to_csv(tmp_path / "index" / "pairs.csv", index=False)
    with pytest.raises(ManifestError, match=rf"pairs\.csv, line 2: {column} is|outside of"):
        prepare_index(tmp_path / "index", tmp_path / "store", PrepareSettings(), allow_outside=True)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("subject", ["../../x", "sub-../../x", "/etc"])
def test_tables_of_bids_send_the_reader_nowhere(tmp_path: Path, subject: str):
    anatomy = tmp_path / "bids" / "sub-1" / "ses-1" / "anat"
    anatomy.mkdir(parents=True)
    (anatomy / "sub-1_ses-1_T1w.nii.gz").touch()
    for table, column in (
        ("participants.tsv", "participant_id"),
        ("sub-1/sub-1_sessions.tsv", "session_id"),
    ):
        path = tmp_path / "bids" / table
        path.write_text(f"{column}\n{subject}\n")
        with pytest.raises(ManifestError, match="cannot be the name of a folder"):
            index_cohort(tmp_path / "bids", tmp_path / "index", dataset="bids")
        path.unlink()


# --- stores, maps, runs


@pytest.mark.parametrize("name", ["../../outside.safetensors", "/etc/passwd", "sessions/../../x"])
def test_checksums_of_a_store_name_its_own_files(phantom_store: Store, tmp_path: Path, name: str):
    shutil.copytree(phantom_store.root, tmp_path / "store")
    path = tmp_path / "store" / "checksums.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: "0"}))
    with pytest.raises(ManifestError, match=r"checksums\.json.*outside of the store"):
        check_store(tmp_path / "store")


def test_a_store_opens_no_session_by_a_name_that_leads_out(phantom_store: Store, tmp_path: Path):
    shutil.copytree(phantom_store.root, tmp_path / "store")
    path = tmp_path / "store" / "sessions.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame["patient_id"] = frame["patient_id"].replace(frame["patient_id"][0], "../../x")
    frame.to_csv(path, index=False)
    with pytest.raises(ManifestError, match=r"patient_id is '../../x'"):
        _ = open_store(tmp_path / "store").sessions


def _map(**meta: object) -> AttributionMap:
    told = {
        **{"pair_id": "P_a_b", "patient_id": "P", "prior": "a", "current": "b"},
        **{"method": "saliency", "target_name": "PD"},
        **meta,
    }
    grid = Grid((3, 4, 2), AFFINE)
    return AttributionMap(np.ones((1, 3, 4, 2), np.float32), grid, ("all",), told)


@pytest.mark.parametrize("field", ["patient_id", "prior", "current", "method", "target_name"])
def test_a_map_is_saved_inside_whatever_its_sidecar_says(tmp_path: Path, field: str):
    path = save_map(_map(**{field: "../../x/..\\y"}), tmp_path / "maps")
    assert path.resolve().is_relative_to((tmp_path / "maps").resolve())
    assert {found.name for found in tmp_path.iterdir()} == {"maps"}


@pytest.mark.parametrize("part", ["image", "sidecar"])
def test_a_link_that_leads_out_of_a_folder_of_maps_is_refused(tmp_path: Path, part: str):
    path = save_map(_map(), tmp_path / "maps")
    moved = path if part == "image" else path.with_name(path.name.replace(".nii.gz", ".json"))
    outside = tmp_path / f"outside-{part}"
    shutil.move(moved, outside)
    moved.symlink_to(outside)
    for find in (find_maps, saved_facts):
        with pytest.raises(VolumeError, match=rf"{moved.name} leads to .*outside-{part}"):
            find(tmp_path / "maps")


def test_a_folder_of_maps_may_itself_be_a_link(tmp_path: Path):
    save_map(_map(), tmp_path / "maps")
    (tmp_path / "link").symlink_to("maps")
    assert len(find_maps(tmp_path / "link")) == 1


def test_a_unit_that_names_a_map_elsewhere_is_made_again(tiny_run, tmp_path: Path):
    request = CohortRequest(("saliency",), maps="reduced")
    pairs = explain_cohort(tiny_run, tmp_path / "out", request).pairs
    assert explain_cohort(tiny_run, tmp_path / "out", request).made == 0
    unit = next((tmp_path / "out" / "units").rglob("*.json"))
    told = json.loads(unit.read_text())
    copied = tmp_path / "elsewhere.nii.gz"
    name, size = next((name, size) for name, size in told["files"].items() if "nii" in name)
    shutil.copy(tmp_path / "out" / name, copied)
    unit.write_text(json.dumps({**told, "files": {"../elsewhere.nii.gz": size}}))
    again = explain_cohort(tiny_run, tmp_path / "out", request)
    assert (again.made, again.found) == (1, pairs - 1)


# --- studies, audits, weights


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a/../../b", "~"])
def test_an_arm_is_a_folder_of_its_study_whatever_its_name(tmp_path: Path, name: str):
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps({"store": "store", "arms": {name: {}}}))
    arm = read_study(path).arms[0]
    root = tmp_path / "runs"
    assert (root / folder_name(arm.name)).resolve().parent == root.resolve()


@pytest.mark.parametrize("kind", ["../../x", "honest/../..", "noise@../x"])
def test_an_audit_folder_names_no_kind_that_is_a_path(tmp_path: Path, kind: str):
    told = {**QUICK.to_json(), "kinds": [kind]}
    (tmp_path / "settings.json").write_text(json.dumps(told))
    with pytest.raises(XranoError):
        claim(tmp_path, QUICK)
    with pytest.raises(XranoError):
        replace(QUICK, kinds=(kind,))


def test_weights_that_are_another_file_are_refused_without_repeating_it(tmp_path: Path):
    # A config may name any file of its user's; nothing of what is no weights is shown.
    for name in ("weights.pth", "weights.safetensors"):
        (tmp_path / "passwd").write_text(SECRET)
        (tmp_path / name).symlink_to(tmp_path / "passwd")
        with pytest.raises(CheckpointError, match=name) as caught:
            read_weights(tmp_path / name)
        assert "somebody" not in str(caught.value)
