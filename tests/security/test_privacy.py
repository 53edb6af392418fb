from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from xrano.attribution.methods import AttributionSettings
from xrano.data.image_roots import write_roots
from xrano.data.index import index_cohort
from xrano.data.phantom import PhantomSettings, write_phantom
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.privacy import BIRTH, NAME, cohort_findings, looks_like, privacy_note
from xrano.data.tables import segmentation_table, session_table
from xrano.experiments.explained_cohort import CohortRequest, explain_cohort
from xrano.experiments.explained_pairs import explain_pairs
from xrano.experiments.scan_place import scan_place
from xrano.nifti_header import TEXT_FIELDS, header_text
from xrano.training.run import Run, open_run

SECRETS = ("MUSTER^ERIKA", "19560312", "erika.muster")


@pytest.mark.parametrize(
    "text",
    [
        "DOE^JOHN",
        "Müller^^Jörg",
        "O'Brien^Mary",
        "van-der-Berg^A",
        'PatientName: "Doe"',
        "Patient's Name = Doe",
        "patients_name:Doe John",
    ],
)
def test_names_as_dicom_writes_them_are_seen(text: str):
    assert looks_like(text) == (NAME,)
    assert looks_like(f"TE=2.9; {text}; 2019-05-17") == (NAME,)


@pytest.mark.parametrize(
    "text",
    [
        *("19560312", "sub-19560312_T1w", "ID19560312", "1956-03-12", "1956.3.12", "12.03.1956"),
        *("03/12/1956", "12-03-1956", "PatientBirthDate=1956", "birth 20001231", "20100101"),
    ],
)
def test_dates_that_may_be_of_birth_are_seen(text: str):
    assert looks_like(text) == (BIRTH,)


@pytest.mark.parametrize(
    "text",
    [
        *("", "FSL5.0", "6.0.4:ddd0a010", "TE=2.9;Time=120915.477", "spm - 3D normalized"),
        *("Patient-001", "week-000-1", "PatientID_0001", "100001", "sub-01_ses-02_T1w.nii.gz"),
        *("2019-05-17", "20190517", "19561312", "19560230", "18991231", "20110101", "119560312"),
        *("1.2.840.113619.2.19560312.1", "x^2", "R^n", "PatientName=anonymous", "PatientName: XXX"),
        *("PatientBirthDate: 00000000", "sequence name: mprage", "195603120", "ab12^34"),
    ],
)
def test_what_every_header_holds_is_not(text: str):
    assert looks_like(text) == ()


def write(path: Path, *, descrip: str = "", aux: str = "", db: str = "", note: str = "") -> Path:
    image = nib.Nifti1Image(np.ones((3, 4, 2), np.float32), np.diag([-2.0, 2.5, 3.0, 1.0]))
    image.header["descrip"], image.header["aux_file"] = descrip.encode(), aux.encode()
    image.header["db_name"] = db.encode()
    if note:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", note.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def tables(paths: dict[str, Path], segmentation: Path | None = None):
    row = {"patient_id": "P1", "session_id": "s", "order": 0, "week": 0, "days": 0}
    sessions = session_table([{**row, **{name: str(path) for name, path in paths.items()}}])
    made = {"patient_id": "P1", "session_id": "s", "source": "x", "path": str(segmentation)}
    return sessions, segmentation_table([made] if segmentation else [])


def test_each_place_is_told_once_and_never_what_stands_there(tmp_path: Path):
    paths = {
        "T1": write(tmp_path / "a.nii.gz", descrip="MUSTER^ERIKA 19560312"),
        "CT1": write(tmp_path / "b.nii", aux="MUSTER^ERIKA", db="19560312"),
        "T2": write(tmp_path / "c.nii.gz", note='{"PatientName": "erika.muster"}'),
        "FLAIR": write(tmp_path / "MUSTER^ERIKA" / "19560312_T1.nii.gz"),
        "ADC": write(tmp_path / "fine.nii.gz", descrip="FSL5.0"),
        "brain_mask": tmp_path / "not there.nii",
    }
    found = cohort_findings(*tables(paths, paths["CT1"]))
    assert [(one.file, one.place, one.looks_like) for one in found] == [
        ("T1", "header's descrip", NAME),
        ("T1", "header's descrip", BIRTH),
        ("CT1", "header's aux_file", NAME),
        ("CT1", "header's db_name", BIRTH),
        ("T2", "header's extensions", NAME),
        ("FLAIR", "file name", BIRTH),
        ("FLAIR", "folder name", NAME),
    ]
    note = privacy_note(found, "privacy.csv")
    said = " ".join([*(one.text for one in found), note])
    assert not any(secret in said for secret in SECRETS)
    # The first few are named, as far as their names tell nothing.
    named = "P1 s T1 (a.nii.gz), P1 s CT1 (b.nii), P1 s T2 (c.nii.gz) …; privacy.csv says which"
    assert f"({named})" in note
    assert privacy_note(found[-2:]).count("(P1 s FLAIR)") == 1
    assert "T1 (a.nii.gz): its header's descrip looks like a patient's name" in said
    assert said.count("4 files look as if") == 1


def test_identifiers_are_looked_at_too(tmp_path: Path):
    sessions, segmentations = tables({"T1": write(tmp_path / "a.nii")})
    sessions["patient_id"] = "sub-19560312"
    found = cohort_findings(sessions, segmentations)
    assert [(one.place, one.looks_like, one.path) for one in found] == [("patient_id", BIRTH, "")]
    told = found[0].text + found[0].file_text + privacy_note(found)
    assert not any(secret in told for secret in SECRETS)


def test_a_file_whose_name_tells_is_not_named_for_its_header(tmp_path: Path):
    path = write(tmp_path / "MUSTER^ERIKA_19560312.nii", descrip="MUSTER^ERIKA")
    found = cohort_findings(*tables({"T1": path}))
    assert {one.place for one in found} == {"file name", "header's descrip"}
    said = privacy_note(found) + " ".join(one.text + one.file_text for one in found)
    assert not any(secret in said for secret in SECRETS)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("field", TEXT_FIELDS)
def test_every_field_of_text_is_looked_at(tmp_path: Path, kind, field: str):
    image = kind(np.ones((3, 4, 2), np.float32), np.diag([-2.0, 2.5, 3.0, 1.0]))
    if field in image.header:
        image.header[field] = b"19560312"
        nib.save(image, tmp_path / "T1.nii")
        assert header_text(tmp_path / "T1.nii") == {field: "19560312"}
        assert len(cohort_findings(*tables({"T1": tmp_path / "T1.nii"}))) == 1
    else:
        # NIfTI-2 has no fields of Analyze.
        assert kind is nib.Nifti2Image
        assert field in ("data_type", "db_name")


def test_every_field_of_bytes_counts_as_text():
    # What nifti1.h calls char, but for the magic, flags of a bit each, and one of one sign.
    header = nib.Nifti1Header()
    texts = {name for name in header if header.template_dtype[name].kind == "S"}
    assert texts - {"magic", "regular", "dim_info"} == set(TEXT_FIELDS)


def test_nothing_stands_out_of_a_phantom(phantom_index: Path, phantom_store):
    assert not (phantom_index / "privacy.csv").exists()
    problems = pd.read_csv(phantom_store.root / "problems.csv")
    assert "privacy" not in set(problems["kind"])


@pytest.fixture(scope="module")
def marked_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom cohort of which every header is full of a patient's name and date of birth."""
    root = tmp_path_factory.mktemp("marked") / "phantom"
    write_phantom(root, PhantomSettings(patients=4, visits=(3, 3), seed=5, spacing_mm=6.0))
    for path in root.rglob("*.nii.gz"):
        image = nib.load(path)
        image.header["descrip"], image.header["db_name"] = b"MUSTER^ERIKA", b"19560312"
        image.header["aux_file"], image.header["intent_name"] = b"erika.muster", b"19560312"
        image.header["data_type"] = b"19560312"
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"MUSTER^ERIKA"))
        values = np.asanyarray(image.dataobj)
        nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
    return root


@pytest.fixture(scope="module")
def marked_index(marked_tree: Path) -> Path:
    index_cohort(marked_tree, marked_tree.parent / "index")
    return marked_tree.parent / "index"


def test_an_index_lists_the_files_and_says_so_in_one_line(
    marked_tree: Path, phantom_tree: Path, tmp_path: Path
):
    summary = index_cohort(marked_tree, tmp_path / "index")
    notes = [note for note in summary.notes if "privacy.csv" in note]
    listed = pd.read_csv(tmp_path / "index" / "privacy.csv", dtype=str, keep_default_na=False)
    sessions = pd.read_csv(tmp_path / "index" / "sessions.csv", dtype=str, keep_default_na=False)
    count = int((sessions[["T1", "CT1", "T2", "FLAIR", "brain_mask"]] != "").sum().sum())
    count += len(pd.read_csv(tmp_path / "index" / "segmentations.csv"))
    assert len(notes) == 1
    assert notes[0].startswith(f"{count} files look as if header or name held a date of birth or a")
    assert listed["path"].nunique() == count
    assert set(listed["place"]) == {
        *("header's descrip", "header's data_type", "header's db_name", "header's intent_name"),
        "header's extensions",
    }
    assert not listed.duplicated().any()
    text = (tmp_path / "index" / "privacy.csv").read_text() + summary.describe()
    assert not any(secret in text for secret in SECRETS)
    # An index of a cohort without them leaves none behind.
    index_cohort(phantom_tree, tmp_path / "index")
    assert not (tmp_path / "index" / "privacy.csv").exists()


def test_preparing_remarks_it_once_a_file_and_keeps_nothing_of_it(
    marked_index: Path, tmp_path: Path
):
    cohort = prepare_index(marked_index, tmp_path / "store", PrepareSettings())
    assert not cohort.failures
    remarked = [problem for problem in cohort.problems if problem.kind == "privacy"]
    texts = [(one.patient_id, one.session_id, one.text) for one in remarked]
    assert len(set(texts)) == len(texts)
    described = cohort.describe(tmp_path / "store")
    assert described.count("files look as if header or name held") == 1
    assert "remarks (problems.csv)" not in described
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in SECRETS), path


def images(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nii.gz"))


def test_no_header_that_a_phantom_writes_holds_free_text(tmp_path: Path):
    settings = PhantomSettings(
        patients=4, visits=(3, 3), seed=1, spacing_mm=6.0, raw_scans=True, hdglio=True
    )
    write_phantom(tmp_path / "p", settings)
    assert len(images(tmp_path / "p")) > 50
    assert not any(header_text(path) for path in images(tmp_path / "p"))


def test_no_map_takes_over_text_of_the_scan_that_it_lies_on(tiny_run: Run, tmp_path: Path):
    # The run's own cohort, its scans' headers replaced by talkative ones.
    shutil.copytree(tiny_run.root, tmp_path / "run")
    shutil.copytree(tiny_run.store.root, tmp_path / "store")
    sessions = tiny_run.store.sessions
    for name in ("T1", "CT1", "T2", "FLAIR"):
        for number, value in enumerate(sessions[name]):
            if not value:
                continue
            image = nib.load(value)
            image.header["descrip"], image.header["aux_file"] = b"MUSTER^ERIKA", b"19560312"
            image.header["data_type"] = b"19560312"
            image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"erika.muster"))
            path = tmp_path / "scans" / f"{number}_{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(image, path)
            sessions.loc[number, name] = str(path)
    sessions.to_csv(tmp_path / "store" / "sessions.csv", index=False)
    write_roots(tmp_path / "store", [tmp_path / "scans"])
    run = open_run(tmp_path / "run", store=tmp_path / "store")
    pair = str(run.tested_pairs()["pair_id"].iloc[0])
    assert scan_place(run, run.pair(pair)).path.is_relative_to(tmp_path / "scans")
    explain_pairs(run, [pair], ["saliency", "gradcam"], tmp_path / "one", panel={})
    for storage in ("float32", "int16"):
        request = CohortRequest(
            ("saliency", "gradcam"),
            storage=storage,
            settings=AttributionSettings(n_steps=2),
        )
        explain_cohort(run, tmp_path / storage, request)
    for folder in ("one", "float32", "int16"):
        assert images(tmp_path / folder)
        for path in images(tmp_path / folder):
            assert header_text(path) == {}
            sidecar = path.with_name(path.name.replace(".nii.gz", ".json")).read_text()
            assert not any(secret in sidecar for secret in SECRETS)
