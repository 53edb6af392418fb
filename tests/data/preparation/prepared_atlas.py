"""Preparing the cohort of :mod:`atlas_cohort`, whole or with broken files, and what is left."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from atlas_cohort import SESSIONS, SHAPE, save, scan

from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import Store, open_store, read_prepared
from xrano.data.tables import read_exclusions
from xrano.errors import ManifestError, UnfinishedError


def prepare(index: Path, spacing: float = 0.0, **options: object) -> Store:
    out = index.parent / "store"
    prepare_index(index, out, PrepareSettings(spacing), **options)
    return open_store(out)


def prepared(store: Store, number: int):
    return read_prepared(store.session_path(*SESSIONS[number]))


def session_files(store: Store) -> list[Path]:
    return sorted((store.root / "sessions").rglob("*.*"))


def stamps(store: Store) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in session_files(store)}


def refused(index: Path, error: type[Exception], *words: str, spacing: float = 0.0) -> None:
    """The whole command is refused, and leaves no store."""
    with pytest.raises(error) as caught:
        prepare(index, spacing)
    for word in words:
        assert word in str(caught.value), caught.value
    with pytest.raises(ManifestError, match="not a prepared store"):
        open_store(index.parent / "store")
    assert not list((index.parent / "store").rglob(".*"))


def failed(index: Path, error: type[Exception], *words: str, spacing: float = 0.0) -> None:
    """One patient fails with its cause, and the other one's pair is prepared."""
    out = index.parent / "store"
    cohort = prepare_index(index, out, PrepareSettings(spacing))
    with pytest.raises(UnfinishedError, match=r"problems\.csv"):
        cohort.require_whole()
    problems = pd.read_csv(out / "problems.csv", keep_default_na=False).to_dict("records")
    causes = [problem for problem in problems if problem["kind"] == error.__name__]
    assert len(causes) == 1, problems
    patient = causes[0]["patient_id"]
    for word in words:
        assert word in causes[0]["text"], causes
        assert word in str(cohort.failures[0].describe())
    kept = open_store(out)
    assert [pair["patient_id"] for pair in kept.pairs.to_dict("records")] == [
        other for other in ("P1", "P2") if other != patient
    ]
    lost = read_exclusions(out / "exclusions.csv").to_dict("records")
    excluded = [row for row in lost if row["reason"] == "not_prepared"]
    assert [row["patient_id"] for row in excluded] == [patient]
    assert all(word in excluded[0]["detail"] for word in words)
    assert not list(out.rglob(".*"))


def broken(path: Path, how: str) -> None:
    data, affine = scan(1, "T1"), nib.load(path).affine
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "text":
        path.write_bytes(gzip.compress(b"no image"))
    elif how in ("nan", "infinite"):
        data[4, 5, 6] = np.nan if how == "nan" else -np.inf
        save(path, data)
    elif how == "zero":
        save(path, np.zeros(SHAPE, np.float32))
    else:
        nib.save(nib.Nifti1Image(np.stack([data, data], axis=-1), affine), path)
