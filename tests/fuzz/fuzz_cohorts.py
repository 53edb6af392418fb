"""Cohorts as bytes: a tree of small files, and the workbooks that come with some."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import openpyxl
from fuzz_mutations import mutated
from hypothesis import strategies as st

from xrano.data.datasets.clinical_tables import read_rows
from xrano.data.index import index_cohort


def _tree(content: bytes, folder: Path) -> None:
    """Files from lines ``path<TAB>content``; what would leave the folder is left out."""
    for line in content.decode("utf-8", "replace").splitlines()[:60]:
        place, _, text = line.partition("\t")
        parts = place.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            continue
        try:
            path = folder.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("\\n", "\n").replace("\\t", "\t"), encoding="utf-8")
        except (OSError, ValueError):
            continue


def read_cohort(dataset: str) -> Callable[[bytes, Path], object]:
    def run(content: bytes, folder: Path) -> object:
        _tree(content, folder / "tree")
        return index_cohort(folder / "tree", folder / "index", dataset=dataset)

    return run


BIDS = (
    b"participants.tsv\tparticipant_id\\tage\\tsex\\nsub-01\\t61\\tM\\nsub-02\\tn/a\\tF\n"
    b"sub-01/sub-01_sessions.tsv\tsession_id\\tdays\\trating\\trole\\nses-1\\t0\\t\\tpreop\\n"
    b"ses-2\\t84\\tPD\\tfollowup\n"
    b"sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz\tx\n"
    b"sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz\tx\n"
    b"sub-01/ses-2/anat/sub-01_ses-2_ce-gd_T1w.nii\tx\n"
    b"derivatives/seg/sub-01/ses-2/anat/sub-01_ses-2_dseg.nii.gz\tx\n"
    b"derivatives/seg/dseg.tsv\tindex\\tname\\n0\\tbackground\\n1\\tenhancing\\n2\\tedema\n"
    b"derivatives/bet/sub-01/ses-2/anat/sub-01_ses-2_desc-brain_mask.nii.gz\tx\n"
)
BIDS_DATES = (
    b"sub-02/sub-02_sessions.tsv\tsession_id\\tacq_time\\trating\\nses-1\\t2019-05-17T10:00:00\\t\\n"
    b"ses-2\\t2019-07-17\\tSD\n"
    b"sub-02/ses-1/anat/sub-02_ses-1_FLAIR.nii.gz\tx\n"
    b"sub-02/ses-2/anat/sub-02_ses-2_FLAIR.nii.gz\tx\n"
)
_MASK = "DeepBraTumIA-segmentation/atlas/segmentation"
LUMIERE = (
    "LUMIERE-ExpertRating-v202211.csv\tPatient,Date,LessThan3Months,NonMeasurableLesions,"
    '"Rating (according to RANO, PD)",Rating rationale (CRET)\\nPatient-001,week-000,,,Pre-Op,\\n'
    "Patient-001,week-012,,,PD,\\n"
    f"\nImaging/Patient-001/week-000/{_MASK}/seg_mask.nii.gz\tx\n"
    "Imaging/Patient-001/week-000/DeepBraTumIA-segmentation/atlas/skull_strip/"
    "t1_skull_strip.nii.gz\tx\n"
    "Imaging/Patient-001/week-012/T1.nii.gz\tx\nImaging/Patient-001/week-012/CT1.nii.gz\tx\n"
    f"Imaging/Patient-001/week-000/{_MASK}/measured_volumes_in_mm3.json\t"
    '{"Enhancing_Core": 1200.5, "Necrotic_NonEnhancing": 3, "Edema_Compartment": 0}\n'
    "LUMIERE-Demographics_Pathology.csv\tPatient,Survival time (weeks),Sex,Age at surgery (years),"
    "IDH (WT: wild type),MGMT qualitative,MGMT quantitative\\n"
    "Patient-001,66,male,61,WT,methylated,12%\\n\n"
    "LUMIERE-datacompleteness.csv\tPatient,Timepoint,CT1,T1,T2,FLAIR\\n"
    "Patient-001,week-000,x,x,x,x\\n\n"
).encode()

CFB = (
    b"CFB-GBM_mri_availability_v04.tsv\tid_patient\\ttemporality\\ttime_diff_t0 (weeks)\\n"
    b"1\\tt0\\t0\\n1\\tt1\\t15.6\\n15\\tt0\\t0\n"
    b"CFB-GBM_rano_criteria_v04.tsv\tid_patient\\tsize_t0 (cm3)\\trano_t0_to_t1\\n"
    b"1\\t10.0\\tPartial Response (PR)\\n15\\t5\\tStable Disease\n"
    b"CFB-GBM_clinical_data_v04.tsv\tid_patient\\tsurvival (weeks)\\tage_at_t0 (years)\\tgender\\n"
    b"1\\t62\\t58\\tM\n"
    b"001/t0/1_t0_t1gd.nii.gz\tx\n001/t0/1_t0_gtv.nii.gz\tx\n001/t1/flair/1_t1_flair.nii\tx\n"
    b"015/t0/15_t0_t1gd.nii.gz\tx\n015/t0/15_t0_brain_mask.nii.gz\tx\n"
)
_MU_DAYS = b"Number of Days from Diagnosis to 1st MRI (Timepoint_1)"
_MU_STEM = b"PatientID_0003/Timepoint_1/PatientID_0003_Timepoint_1"
MU = (
    b"MU-Glioma-Post_ClinicalData.csv\tPatient_ID,Age at diagnosis,IDH1 mutation," + _MU_DAYS
    + b"\\nPatientID_0003,61,0,-4\\nPatientID_0099,na,1,12\n"
    + _MU_STEM + b"_brain_t1c.nii.gz\tx\n" + _MU_STEM + b"_tumorMask.nii.gz\tx\n"
    + _MU_STEM.replace(b"point_1", b"point_2") + b"_brain_t2f.nii\tx\n"
)  # fmt: skip
UCSF = (
    b"100001/100001_time1_t1.nii.gz\tx\n100001/100001_time1_seg.nii.gz\tx\n"
    b"100001/100001_time2_t1ce.nii\tx\n100002/100002_time1_flair.nii.gz\tx\n"
)

# --- workbooks

SHEET = "S"
_SHEET_FILE = "xl/worksheets/sheet1.xml"


@cache
def _book() -> dict[str, bytes]:
    """The parts of a workbook with a table of two rows."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    sheet = book.active
    sheet.title = SHEET
    for row in (("Patient_ID", "Age (years)"), ("P1", 61), ("P2", "na"), (None, 3.5)):
        sheet.append(row)
    book.save(file)
    with zipfile.ZipFile(file) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def _packed(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in parts.items():
            # Without the time of packing, so that a run can be repeated.
            packed.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


_XML_TOKENS = (
    *(b"XFD1048576", b"A0", b"a-1", b"<c/>", b"<row/>", b"</row>", b'r="9999999999"', b' t="e"'),
    *(b"&amp;", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"]]>", b"\0", b"<v>", b"s", b"1e999"),
    *(b"A1:XFD1048576", b'spans="1:16384"', b"-1", b"n", b"b", b"inlineStr", b"<f>1/0</f>"),
)


@st.composite
def workbooks(draw: st.DrawFn) -> bytes:
    """A workbook with one of its parts changed, or its bytes."""
    parts = _book()
    if draw(st.booleans()):
        return draw(mutated([_packed(parts)]))
    name = draw(st.sampled_from((_SHEET_FILE, _SHEET_FILE, "xl/workbook.xml", "xl/styles.xml")))
    return _packed({**parts, name: draw(mutated([parts[name]], _XML_TOKENS))})


def read_book(content: bytes, folder: Path) -> None:
    (folder / "t.xlsx").write_bytes(content)
    columns = {"patient": ("Patient_ID",), "age": ("Age…",)}
    for row in read_rows(folder / "t.xlsx", columns, key="patient", sheet=SHEET):
        row.number("age")
