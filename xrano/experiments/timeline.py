"""What is known of one patient of a run, over all visits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.data.datasets.timeline import natural_key
from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.store import Store
from xrano.data.tables import read_exclusions, records
from xrano.errors import CheckpointError, UnknownNameError
from xrano.evaluation.calibration import probabilities
from xrano.evaluation.predictions import logit_columns
from xrano.experiments.told_region import told_region
from xrano.rano import Role
from xrano.scoring.tables import read_table
from xrano.training.run import Run
from xrano.viz.patient_timeline import (
    PatientTimeline,
    TimelinePrediction,
    TimelineShare,
    TimelineVisit,
)

REASON_WORDS: Mapping[str, str] = {
    ExclusionReason.NO_IMAGES: "no images",
    ExclusionReason.DISJOINT_DATES: "dates do not fit",
    ExclusionReason.LESS_THAN_3_MONTHS: "< 3 months after RT",
    ExclusionReason.NOT_A_RANO_TIMEPOINT: "no RANO visit",
    ExclusionReason.DUPLICATE_RATING: "rated twice",
    ExclusionReason.PREOP: "before operation",
    ExclusionReason.POSTOP: "after operation",
    ExclusionReason.NO_RATING: "not rated",
    ExclusionReason.FIRST_SESSION: "first visit",
    ExclusionReason.NO_REFERENCE: "no reference scan",
    ExclusionReason.PRIOR_MARKED: "prior unusable",
    ExclusionReason.MISSING_SEQUENCE: "sequence missing",
    ExclusionReason.NOT_PREPARED: "not prepared",
}
"""Reason of an exclusion to its words on a picture."""

_TREATMENT = re.compile(r"treat|therap|chemo|radiation|steroid|drug", re.IGNORECASE)
_WEEK = re.compile(r"week[-_]?(\d+)")


def patient_timeline(
    run: Run, patient_id: str, shares: Path | pd.DataFrame | None = None
) -> PatientTimeline:
    """Visits, ratings, volumes, predictions and relevance of one patient.

    Volumes are those of the store's table, measured on each segmentation's own grid. Sessions that
    were not prepared are known by name only: they stand where their name puts them in time
    (``week-012``), without volumes.

    Args:
        run: a run; an untrained one has no predictions.
        patient_id: a patient of its store.
        shares: folder of scores, or the rows of its ``shares.csv``.

    Raises:
        UnknownNameError: if the store has no such patient; near ones are named.
        ManifestError: if the folder of scores holds no shares.
    """
    require_patient(run, patient_id)
    sessions = _of_patient(run.store.sessions, patient_id)
    pairs = _of_patient(run.pairs(), patient_id)
    excluded = _exclusions(run, patient_id)
    source, _region = told_region(run.store)
    visits, lost = _visits(sessions, set(pairs["current_session"]), excluded, run.store, source)
    predictions, notes = _predictions(run, pairs)
    if lost:
        notes.append(f"Not shown, since nothing tells when they were: {', '.join(lost)}.")
    if run.leak_note:
        notes.append(f"Mind that {run.leak_note}.")
    return PatientTimeline(
        patient_id=patient_id,
        visits=visits,
        classes=run.task.classes,
        predictions=predictions,
        shares=() if shares is None else _shares(shares, pairs, patient_id),
        source=source,
        events=_operations(visits),
        notes=tuple(notes),
        held_out="patient" if run.config.grouping == "patient" else "pair",
    )


def require_patient(run: Run, patient_id: str) -> None:
    """Refuse a patient whom the run's store does not have.

    Raises:
        UnknownNameError: naming near ones.
    """
    known = list(dict.fromkeys(run.store.sessions["patient_id"]))
    if patient_id not in known:
        near = difflib.get_close_matches(patient_id, known, n=5, cutoff=0.3)
        path = run.store.root / "sessions.csv"
        raise UnknownNameError(f"patient in {path}:", patient_id, near or known[:5])


def _of_patient(table: pd.DataFrame, patient_id: str) -> pd.DataFrame:
    return table[table["patient_id"] == patient_id]


def _exclusions(run: Run, patient_id: str) -> dict[str, str]:
    """Session to why it is the current scan of no pair, in words."""
    found: dict[str, str] = {}
    for path in (run.store.root / "exclusions.csv", run.root / "exclusions.csv"):
        if path.is_file():
            for row in records(_of_patient(read_exclusions(path), patient_id)):
                own = row["detail"] if row["reason"] == ExclusionReason.MARKED else ""
                words = own or REASON_WORDS.get(row["reason"], str(row["reason"]))
                found.setdefault(str(row["session_id"]), words)
    return found


def _visits(
    sessions: pd.DataFrame,
    current: set[str],
    excluded: Mapping[str, str],
    store: Store,
    source: str,
) -> tuple[tuple[TimelineVisit, ...], list[str]]:
    """All visits in the order of time, and the sessions that have no place in it."""
    patient_id = str(sessions["patient_id"].iloc[0])
    volumes = _of_patient(store.volumes, patient_id)
    volumes = volumes[volumes["source"] == source]
    treatments = [str(name) for name in sessions if _TREATMENT.search(str(name))]
    visits = []
    for row in records(sessions):
        name = str(row["session_id"])
        own = volumes[volumes["session_id"] == name]
        told = [str(row[column]) for column in treatments]
        visits.append(
            TimelineVisit(
                session_id=name,
                week=float(row["week"]),
                volumes=tissue_volumes(dict(zip(own["region"], own["ml"], strict=True))),
                rating=row["rating"],
                rating_source=row["rating_source"] if row["rating"] else "",
                role=row["role"],
                excluded="" if name in current else excluded.get(name, "in no pair"),
                treatment=", ".join(text for text in told if text not in ("", "nan")),
            )
        )
    lost = []
    for name in excluded.keys() - set(sessions["session_id"]):
        week = _WEEK.search(name)
        if week is None:
            lost.append(f"{name} ({excluded[name]})")
        else:
            visits.append(TimelineVisit(name, float(week[1]), {}, excluded=excluded[name]))
    visits.sort(key=lambda visit: (visit.week, natural_key(visit.session_id)))
    return tuple(visits), sorted(lost)


def tissue_volumes(regions: Mapping[str, float]) -> dict[str, float]:
    """Volumes of tissues from those of the regions that they make up, in ml.

    Example:
        >>> tissue_volumes({"enhancing": 2.0, "core": 5.0, "whole": 12.0})
        {'enhancing': 2.0, 'necrosis': 3.0, 'oedema': 7.0}
        >>> tissue_volumes({"enhancing": 2.0, "whole": 12.0}), tissue_volumes({"whole": 4.0})
        ({'enhancing': 2.0, 'oedema': 10.0}, {'tumour': 4.0})
    """
    enhancing, core, whole = (regions.get(name) for name in ("enhancing", "core", "whole"))
    found: dict[str, float] = {}
    if enhancing is not None:
        found["enhancing"] = float(enhancing)
        if core is not None:
            found["necrosis"] = max(float(core - enhancing), 0.0)
    inner = core if core is not None else enhancing
    if whole is not None:
        name = "tumour" if inner is None else "oedema"
        found[name] = max(float(whole - (inner or 0.0)), 0.0)
    return found


def _predictions(run: Run, pairs: pd.DataFrame) -> tuple[tuple[TimelinePrediction, ...], list[str]]:
    try:
        table = run.predictions
    except CheckpointError as error:
        return (), [f"No predictions: {error}."]
    current = dict(zip(pairs["pair_id"], pairs["current_session"], strict=True))
    table = table[table["pair_id"].isin(list(current))]
    logits = table[logit_columns(run.task.classes)].to_numpy(dtype=float)
    found = tuple(
        TimelinePrediction(
            pair_id=str(row["pair_id"]),
            current_session=str(current[row["pair_id"]]),
            truth=run.task.class_of(str(row["response"])),
            predicted=str(row["predicted"]),
            probabilities=dict(zip(run.task.classes, map(float, shares), strict=True)),
        )
        for row, shares in zip(records(table), probabilities(logits), strict=True)
    )
    absent = "No predictions: no fold that was trained tests this patient."
    return found, [] if found else [absent]


def _shares(
    shares: Path | pd.DataFrame, pairs: pd.DataFrame, patient_id: str
) -> tuple[TimelineShare, ...]:
    """Of the network's own maps of the predicted class, as far as they are defined."""
    table = shares if isinstance(shares, pd.DataFrame) else read_table("shares", Path(shares))
    current = dict(zip(pairs["pair_id"], pairs["current_session"], strict=True))
    own = _of_patient(table, patient_id)
    own = own[
        ~own["weights"].str.startswith("random")
        & (own["target"] == own["predicted"])
        & (own["sequence"] != "all")
        & (own["status"] == "ok")
        & own["pair_id"].isin(list(current))
    ]
    found: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for row in records(own):
        method = ":".join(name for name in (row["method"], row["baseline"]) if name)
        key = (method, str(current[row["pair_id"]]))
        found.setdefault(key, {})[row["timepoint"], row["sequence"]] = float(row["share"])
    return tuple(TimelineShare(*key, values) for key, values in found.items())


def _operations(visits: tuple[TimelineVisit, ...]) -> tuple[tuple[str, str], ...]:
    """An operation lies before the first scan after it, or else after the last one before it."""
    found: dict[str, Any] = {}
    waiting = False
    for visit in visits:
        if waiting or visit.role == Role.POSTOP:
            found[visit.session_id] = "operation"
        waiting = visit.role == Role.PREOP
    return tuple(found.items())
