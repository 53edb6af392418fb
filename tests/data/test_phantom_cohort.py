"""The cohort on disk, read with nibabel and the csv module alone."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xrano.data.phantom import PhantomSettings, write_phantom
from xrano.data.phantom.lumiere_tables import RATING_COLUMNS
from xrano.errors import ConfigError
from xrano.rano import VOLUMETRIC, rate_course

SETTINGS = PhantomSettings(patients=9, visits=(3, 4), seed=101, spacing_mm=4.0)
ATLAS = Path("DeepBraTumIA-segmentation/atlas")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    shown = []

    def show(items, what):
        for item in items:
            shown.append(what)
            yield item

    summary = write_phantom(out, SETTINGS, progress=show)
    assert shown == ["patients"] * 9
    assert summary.path == out
    return out, summary


def truth(out: Path) -> dict:
    return json.loads((out / "phantom.json").read_text())


def ratings(out: Path) -> list[dict[str, str]]:
    with (out / "LUMIERE-ExpertRating-v202211.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def counted_ml(folder: Path) -> np.ndarray:
    image = nib.load(folder / ATLAS / "segmentation" / "seg_mask.nii.gz")
    counts = np.bincount(np.asarray(image.dataobj).ravel(), minlength=4)
    return counts[1:] * abs(np.linalg.det(image.affine[:3, :3])) / 1000.0


def folders(out: Path) -> list[Path]:
    return sorted((out / "Imaging").glob("Patient-*/week-*"))


def test_every_rating_on_disk_follows_from_the_masks_on_disk(cohort):
    out, _ = cohort
    written = {(row["Patient"], row["Date"]): row for row in ratings(out)}
    checked = 0
    for patient_id, sessions in truth(out)["patients"].items():
        found = rate_course(
            [counted_ml(out / "Imaging" / patient_id / s["session_id"])[0] for s in sessions],
            surgery=[s["surgery"] for s in sessions],
            new_lesions=[s["new_lesion"] for s in sessions],
        )
        for session, rating in zip(sessions, found, strict=True):
            row = written.get((patient_id, session["session_id"]))
            text = row[RATING_COLUMNS[4]] if row else "None"
            if session["role"] == "followup":
                assert session["rating"] == rating
                assert text in (rating, "None")
                checked += text == rating
            else:
                assert session["rating"] is None
                assert text.strip() == {"preop": "Pre-Op", "postop": "Post-Op"}[session["role"]]
    assert checked >= 25


def test_the_margin_is_kept_and_small_lesions_can_be_seen(cohort):
    out, _ = cohort
    keep, least = 1.0 + SETTINGS.margin, SETTINGS.least_ml
    for sessions in truth(out)["patients"].values():
        for prior, current in pairwise(sessions):
            before, now = prior["enhancing_ml"], current["enhancing_ml"]
            assert now == 0.0 or now >= least - 1e-9
            ratio = now / before if before else np.inf
            allowed = {
                None: True,
                "CR": now == 0.0 < before,
                "PR": 0.0 < ratio <= VOLUMETRIC.response / keep,
                "SD": (VOLUMETRIC.response * keep <= ratio <= VOLUMETRIC.progression / keep)
                or now == before == 0.0,
                "PD": ratio >= VOLUMETRIC.progression * keep,
            }
            assert allowed[current["rating"]], (before, now, current["rating"])


def test_measured_volumes_equal_counts(cohort):
    out, _ = cohort
    keys = ("Enhancing_Core", "Necrotic_NonEnhancing", "Edema_Compartment")
    described = {
        (patient_id, s["session_id"]): s
        for patient_id, sessions in truth(out)["patients"].items()
        for s in sessions
    }
    assert len(folders(out)) == len(described)
    for folder in folders(out):
        file = folder / ATLAS / "segmentation" / "measured_volumes_in_mm3.json"
        measured = json.loads(file.read_text())
        counts = counted_ml(folder)
        assert np.allclose([measured[key] for key in keys], counts * 1000.0)
        session = described[folder.parent.name, folder.name]
        named = [session[f"{name}_ml"] for name in ("enhancing", "necrosis", "oedema")]
        assert np.allclose(named, counts, atol=1e-5)


def test_files_lie_on_the_atlas_grid_and_are_empty_outside_the_brain(cohort):
    out, _ = cohort
    for folder in folders(out)[:6]:
        skull_strip = folder / ATLAS / "skull_strip"
        brain = nib.load(skull_strip / "brain_mask.nii.gz")
        assert nib.aff2axcodes(brain.affine) == ("L", "A", "S")
        inside = np.asarray(brain.dataobj) > 0
        assert 0.9 < inside.sum() * 0.064 / 1000.0 < 2.4, "a brain has 0.9 to 2.4 litres"
        for path in skull_strip.glob("*_skull_strip.nii.gz"):
            scan = nib.load(path)
            assert scan.get_data_dtype() == np.float32
            assert np.array_equal(scan.affine, brain.affine)
            assert int(scan.header["sform_code"]) == int(scan.header["qform_code"]) == 4
            assert np.allclose(scan.get_qform(), scan.affine, atol=1e-4)
            assert np.array_equal(np.asarray(scan.dataobj) > 0, inside)
        labels = np.asarray(nib.load(folder / ATLAS / "segmentation/seg_mask.nii.gz").dataobj)
        assert not labels[~inside].any()


def test_irregularities_are_few_named_and_there(cohort):
    out, summary = cohort
    irregular = {(p, s): what for p, s, what in truth(out)["irregular_sessions"]}
    rows = ratings(out)
    count = Counter((row["Patient"], row["Date"]) for row in rows)
    texts = {key: [r[RATING_COLUMNS[4]] for r in rows if (r["Patient"], r["Date"]) == key]
             for key in irregular}  # fmt: skip
    by_word = {what: key for key, what in irregular.items()}
    assert texts[by_word["rated SD, then PD"]] == ["SD", "PD"]
    assert texts[by_word["rating None"]] == ["None"]
    assert texts[by_word["no rating row"]] == []
    assert texts[by_word["trailing blank in Post-Op"]] == ["Post-Op "]
    assert sum(n > 1 for n in count.values()) == 1
    lacking = [
        (folder.parent.name, folder.name)
        for folder in folders(out)
        if len(list((folder / ATLAS / "skull_strip").glob("*_skull_strip.nii.gz"))) < 4
    ]
    assert lacking == [key for key, what in irregular.items() if "no file" in what]
    assert len(irregular) == summary.irregular == 5


def test_tables_have_lumieres_headers_and_rows(cohort):
    out, summary = cohort
    first = (out / "LUMIERE-ExpertRating-v202211.csv").read_text().splitlines()[0]
    assert first.startswith('Patient,Date,LessThan3Months,NonMeasurableLesions,"Rating (')
    assert first.count('"') == 4
    with (out / "LUMIERE-datacompleteness.csv").open(newline="") as file:
        completeness = list(csv.DictReader(file))
    assert len(completeness) == summary.sessions == len(folders(out))
    for row in completeness:
        skull_strip = out / "Imaging" / row["Patient"] / row["Timepoint"] / ATLAS / "skull_strip"
        for sequence in ("T1", "CT1", "T2", "FLAIR"):
            there = (skull_strip / f"{sequence.lower()}_skull_strip.nii.gz").exists()
            assert (row[sequence] == "x") == there
    with (out / "LUMIERE-Demographics_Pathology.csv").open(newline="") as file:
        people = {row["Patient"]: row for row in csv.DictReader(file)}
    for patient_id, sessions in truth(out)["patients"].items():
        survival = people[patient_id]["Survival time (weeks)"]
        assert survival == "na" or int(survival) >= sessions[-1]["week"]


def test_the_description_says_what_was_asked_for(cohort):
    out, summary = cohort
    description = truth(out)
    assert description["settings"]["margin"] == SETTINGS.margin
    assert description["settings"]["visits"] == [3, 4]
    found = Counter(s["rating"] for v in description["patients"].values() for s in v)
    del found[None]
    assert description["class_counts"] == dict(found) == summary.class_counts
    assert set(description["versions"]) >= {"numpy", "scipy", "nibabel", "nilearn", "xrano"}


def digests(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_same_seed_same_bytes_and_another_seed_another_cohort(tmp_path):
    settings = PhantomSettings(patients=2, visits=(1, 1), spacing_mm=6.0, raw_scans=True)
    for name in ("a", "b"):
        write_phantom(tmp_path / name, settings)
    write_phantom(
        tmp_path / "c", PhantomSettings(patients=2, visits=(1, 1), spacing_mm=6.0, seed=1)
    )
    first = digests(tmp_path / "a")
    assert first == digests(tmp_path / "b")
    assert first["phantom.json"] != digests(tmp_path / "c")["phantom.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_patient_does_not_depend_on_the_size_of_the_cohort(tmp_path):
    for name, patients in (("one", 1), ("two", 2)):
        settings = PhantomSettings(patients=patients, visits=(1, 1), spacing_mm=6.0)
        write_phantom(tmp_path / name, settings)
    one = truth(tmp_path / "one")["patients"]["Patient-001"]
    assert one == truth(tmp_path / "two")["patients"]["Patient-001"]


def test_the_same_cohort_is_left_alone_and_another_refused(tmp_path):
    settings = PhantomSettings(patients=1, visits=(1, 1), spacing_mm=6.0)
    first = write_phantom(tmp_path / "cohort", settings)
    before = (tmp_path / "cohort" / "phantom.json").stat().st_mtime_ns
    assert write_phantom(tmp_path / "cohort", settings) == first
    assert (tmp_path / "cohort" / "phantom.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="not an empty folder"):
        write_phantom(tmp_path / "cohort", replace(settings, margin=0.2))


def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    settings = PhantomSettings(patients=1, visits=(1, 1), spacing_mm=6.0)
    with pytest.raises(ConfigError, match="not an empty folder"):
        write_phantom(tmp_path / "full", settings)

    def stop(items, what):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "new", settings, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_raw_and_hdglio_files_show_the_same_head_elsewhere(tmp_path):
    settings = PhantomSettings(
        patients=1, visits=(1, 1), spacing_mm=4.0, raw_scans=True, hdglio=True, seed=5
    )
    write_phantom(tmp_path / "raw", settings)
    folder = folders(tmp_path / "raw")[0]
    native = folder / "DeepBraTumIA-segmentation" / "native"
    wanted = counted_ml(folder)
    grids = set()
    for sequence in ("T1", "CT1", "T2", "FLAIR"):
        raw = nib.load(folder / f"{sequence}.nii.gz")
        labels = nib.load(native / "segmentation" / f"{sequence.lower()}_seg_mask.nii.gz")
        assert raw.get_data_dtype() == np.uint16
        assert raw.shape == labels.shape
        assert np.array_equal(raw.affine, labels.affine)
        grids.add((raw.shape, raw.affine.tobytes()))
        voxel_ml = abs(np.linalg.det(raw.affine[:3, :3])) / 1000.0
        volume = (np.asarray(labels.dataobj) == 1).sum() * voxel_ml
        assert volume == pytest.approx(wanted[0], rel=0.25)
    assert len(grids) == 4, "each raw scan has its own grid"
    registered = folder / "HD-GLIO-AUTO-segmentation" / "registered"
    labels = nib.load(registered / "segmentation.nii.gz")
    contrast = nib.load(registered / "CT1_r2s_bet_reg.nii.gz")
    assert labels.shape == contrast.shape
    data, ct1 = np.asarray(labels.dataobj), np.asarray(contrast.dataobj)
    assert np.median(ct1[data == 2]) > 1.3 * np.median(ct1[data == 1])


def test_files_are_gzip_without_a_time_stamp(cohort):
    out, _ = cohort
    path = folders(out)[0] / ATLAS / "skull_strip" / "brain_mask.nii.gz"
    raw = path.read_bytes()
    assert raw[4:8] == b"\0\0\0\0"
    assert gzip.decompress(raw)[344:347] == b"n+1"
