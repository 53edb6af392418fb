"""The clinical variables of pairs, as the sessions table has them: no encoding, no statistics.

What is one for a patient (sex, age, IDH, MGMT) is taken from all sessions of the patient together:
one session that says it is enough, and two that contradict each other are refused. Of several ages
the first counts, since the weeks tell the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.data.clinical_words import CATEGORIES, category_value
from xrano.data.table_columns import sequence_columns
from xrano.errors import ManifestError

PATIENT_VARIABLES = ("sex", "age", "idh", "mgmt")
"""Columns of the sessions table that are one for a patient."""

WEEK_VARIABLES = ("weeks_since_first", "weeks_since_prior")
"""Weeks that each pair has of its own."""

VARIABLES = (*PATIENT_VARIABLES, *WEEK_VARIABLES)
"""All variables, in the order of the encoding."""


def pair_values(pairs: pd.DataFrame, sessions: pd.DataFrame) -> NDArray[np.float64]:
    """Raw values ``(pair, variable)`` in the order of :data:`VARIABLES`, NaN where missing.

    Args:
        pairs: rows of a pairs table.
        sessions: the sessions table of their cohort.

    Raises:
        ManifestError: for a cell that cannot be read, a patient of whom there is no session, or
            sessions of one patient that contradict each other.
    """
    wanted = set(pairs["patient_id"])
    groups = dict(list(sessions[sessions["patient_id"].isin(wanted)].groupby("patient_id")))
    lacking = sorted(wanted - set(groups))
    if lacking:
        raise ManifestError(
            f"the sessions table lacks {', '.join(lacking[:10])}, which the pairs table names: "
            "they must be of one cohort"
        )
    images = list(sequence_columns(sessions))
    patients = {name: _patient_values(str(name), group, images) for name, group in groups.items()}
    values = np.empty((len(pairs), len(VARIABLES)))
    rows = zip(pairs["patient_id"], pairs["prior_week"], pairs["current_week"], strict=True)
    for row, (patient, prior, current) in enumerate(rows):
        *own, first = patients[patient]
        values[row] = (*own, current - first, current - prior)
    return values


def _patient_values(patient: str, sessions: pd.DataFrame, images: list[str]) -> tuple[float, ...]:
    """The patient's variables, then the week of the first scan."""
    own = [
        _patient_category(patient, sessions, name)
        if name in CATEGORIES
        else _patient_number(patient, sessions, name)
        for name in PATIENT_VARIABLES
    ]
    return (*own, _first_week(patient, sessions, images))


def _first_week(patient: str, sessions: pd.DataFrame, images: list[str]) -> float:
    """The week of the patient's first scan, as the table says or else as it shows."""
    for week, cell in zip(sessions["week"], sessions.get("weeks_since_first", ()), strict=False):
        since = _number(patient, "weeks_since_first", cell)
        if not np.isnan(since):
            return float(week) - since
    # A session that only a table of ratings names is no scan.
    scanned = sessions[(sessions[images] != "").any(axis=1)] if images else sessions
    return float((scanned if len(scanned) else sessions)["week"].min())


def _patient_category(patient: str, sessions: pd.DataFrame, name: str) -> float:
    found: dict[float, str] = {}
    for cell in sessions.get(name, ()):
        text = "" if pd.isna(cell) else str(cell)
        try:
            value = category_value(name, text)
        except ManifestError as error:
            raise ManifestError(f"sessions of {patient}: {error}") from error
        if value is not None:
            found.setdefault(value, text)
    if len(found) > 1:
        raise ManifestError(
            f"sessions of {patient}: {name} is {' and '.join(map(repr, found.values()))}; one "
            "patient has one, so mend the sessions table"
        )
    return next(iter(found), np.nan)


def _patient_number(patient: str, sessions: pd.DataFrame, name: str) -> float:
    """The first number that is known, by week."""
    cells = sessions.sort_values("week", kind="stable").get(name, ())
    numbers = (_number(patient, name, cell) for cell in cells)
    return next((number for number in numbers if not np.isnan(number)), np.nan)


def _number(patient: str, name: str, cell: Any) -> float:
    """A cell as a number, NaN if it is empty."""
    try:
        number = np.nan if cell == "" else float(cell)
    except (TypeError, ValueError):
        number = np.inf
    if np.isinf(number):
        raise ManifestError(
            f"sessions of {patient}: {name} is {cell!r}; a number or nothing is needed"
        )
    return number
