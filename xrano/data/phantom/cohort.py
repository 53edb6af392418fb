"""A phantom cohort on disk: LUMIERE's tree and tables, and ``phantom.json``, which tells the truth.

``phantom.json`` holds the settings (with the margin), the versions, the count of each response,
the planted irregularities, and for every session its true volumes and the rule's rating.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xrano.atomic_files import write_json
from xrano.data.datasets.lumiere_layout import PHANTOM_DESCRIPTION
from xrano.data.phantom.lumiere_tables import (
    MISSING_SEQUENCE,
    SessionRecord,
    plan_missing,
    plan_quirks,
    write_completeness,
    write_demographics,
    write_ratings,
)
from xrano.data.phantom.lumiere_tree import write_session
from xrano.data.phantom.patients import PhantomSession, phantom_patient
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.preparation.jobs import run_jobs
from xrano.errors import ConfigError, ManifestError
from xrano.progress import Progress, quiet
from xrano.rano import RESPONSES, Role
from xrano.text_files import read_json

DESCRIPTION = PHANTOM_DESCRIPTION
RATINGS = "LUMIERE-ExpertRating-v202211.csv"
DEMOGRAPHICS = "LUMIERE-Demographics_Pathology.csv"
COMPLETENESS = "LUMIERE-datacompleteness.csv"

LATER_SETTINGS = ("texture", "repeat_ratings")
"""Settings that ``phantom.json`` leaves out at 0: a cohort without them is, byte for byte, what it
was before there were such settings."""

_PACKAGES = ("xrano", "numpy", "scipy", "nibabel", "nilearn")


@dataclass(frozen=True)
class PhantomSummary:
    """What was written: the folder, and how many patients, sessions and ratings of each class.

    ``class_counts`` counts the visits that the rule rates, those with an irregular row included.
    """

    path: Path
    patients: int
    sessions: int
    class_counts: dict[str, int]
    irregular: int


def write_phantom(
    out: Path, settings: PhantomSettings, *, jobs: int = 1, progress: Progress = quiet
) -> PhantomSummary:
    """Write a cohort; it appears at ``out`` only when it is whole.

    A cohort of the same settings and versions that is there already is left as it is.

    Args:
        out: folder to make; it may exist if it is empty.
        settings: what to make.
        jobs: how many processes; 0 for one a core. The files are the same.
        progress: how to show progress.

    Returns:
        What was written, or is there.

    Raises:
        ConfigError: if ``out`` holds something else already.
    """
    out = Path(out)
    if _is_there(out, settings):
        return summarise(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} is not an empty folder; a phantom cohort is written only where nothing is, "
            "so choose another folder or remove this one"
        )
    working = out.with_name(f".{out.name}-{os.getpid()}")
    working.mkdir(parents=True)
    try:
        _write(working, settings, jobs, progress)
        if out.exists():
            out.rmdir()
        os.replace(working, out)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return summarise(out)


def _is_there(out: Path, settings: PhantomSettings) -> bool:
    path = out / DESCRIPTION
    if not path.is_file():
        return False
    wanted = json.loads(json.dumps({"settings": _as_json(settings), "versions": _versions()}))
    found = _read_description(out)
    return all(found.get(key) == value for key, value in wanted.items())


def _read_description(cohort: Path) -> dict[str, Any]:
    path = cohort / DESCRIPTION
    try:
        found = read_json(path)
        if not isinstance(found, dict):
            raise ValueError("it is no mapping")
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{path} cannot be read ({error}); delete the folder and make the phantom again"
        ) from error
    return found


def summarise(cohort: Path) -> PhantomSummary:
    """What a cohort on disk holds, from its ``phantom.json``."""
    description = _read_description(cohort)
    return PhantomSummary(
        path=cohort,
        patients=len(description["patients"]),
        sessions=sum(len(sessions) for sessions in description["patients"].values()),
        class_counts=description["class_counts"],
        irregular=len(description["irregular_sessions"]),
    )


def _write(root: Path, settings: PhantomSettings, jobs: int, progress: Progress) -> None:
    write = partial(_write_patient, root, settings, plan_missing(settings))
    numbers = range(1, settings.patients + 1)
    outcomes = run_jobs(write, numbers, jobs=jobs, progress=progress, what="patients")
    records = [record for outcome in outcomes for record in outcome.required()]
    quirks = plan_quirks(settings, records)
    write_ratings(root / RATINGS, records, quirks)
    write_demographics(root / DEMOGRAPHICS, records, settings)
    write_completeness(root / COMPLETENESS, records, settings)
    write_json(root / DESCRIPTION, describe(settings, records, quirks))


def _write_patient(
    root: Path, settings: PhantomSettings, missing: dict[tuple[int, int], str], number: int
) -> list[SessionRecord]:
    records = []
    for session, absent in _with_missing(phantom_patient(settings, number), number, missing):
        write_session(root, session, settings, absent)
        records.append(_record(session, absent))
    return records


def _with_missing(
    sessions: Iterator[PhantomSession], number: int, missing: dict[tuple[int, int], str]
) -> Iterator[tuple[PhantomSession, str]]:
    followups = 0
    for session in sessions:
        if session.role is Role.FOLLOWUP:
            yield session, missing.get((number, followups), "")
            followups += 1
        else:
            yield session, ""


def _record(session: PhantomSession, absent: str) -> SessionRecord:
    enhancing, necrosis, oedema = session.volumes_ml
    return SessionRecord(
        patient_id=session.patient_id,
        session_id=session.session_id,
        week=session.week,
        role=session.role,
        surgery=session.surgery,
        new_lesion=session.new_lesion,
        enhancing_ml=round(enhancing, 6),
        necrosis_ml=round(necrosis, 6),
        oedema_ml=round(oedema, 6),
        rating=session.rating,
        missing_sequence=absent,
    )


def describe(
    settings: PhantomSettings,
    records: list[SessionRecord],
    quirks: dict[tuple[str, str], str],
) -> dict[str, Any]:
    """The content of ``phantom.json``.

    Keys: ``settings``, ``class_counts``, ``versions``, ``irregular_sessions`` (patient_id,
    session_id, what) and ``patients``: patient_id to a list of sessions in order of time, each
    with session_id, week, role, surgery, new_lesion, enhancing_ml, necrosis_ml, oedema_ml, rating
    (the rule's; null around operations) and missing_sequence.
    """
    counts = Counter(str(record.rating) for record in records if record.rating is not None)
    irregular = [[*key, what] for key, what in quirks.items()]
    irregular += [
        [record.patient_id, record.session_id, f"{MISSING_SEQUENCE} {record.missing_sequence}"]
        for record in records
        if record.missing_sequence
    ]
    patients: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        row = asdict(record)
        patients.setdefault(row.pop("patient_id"), []).append(row)
    return {
        "settings": _as_json(settings),
        "class_counts": {str(response): counts[str(response)] for response in RESPONSES},
        "versions": _versions(),
        "irregular_sessions": sorted(irregular),
        "patients": patients,
    }


def _as_json(settings: PhantomSettings) -> dict[str, Any]:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {name: value for name, value in values.items() if value or name not in LATER_SETTINGS}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
