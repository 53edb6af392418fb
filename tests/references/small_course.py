"""Courses of a few sessions with volumes, as tables, without any image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xrano.data.pairing.pairs import build_pairs
from xrano.data.tables import session_table

SOURCE = "auto"


def sessions_of(patient: str, *visits: dict[str, object]) -> list[dict[str, object]]:
    return [
        {
            "patient_id": patient, "session_id": f"s{order}", "order": order, "week": 6 * order,
            "days": 42 * order, "role": "followup", "space": "atlas", **visit,
        }
        for order, visit in enumerate(visits)
    ]  # fmt: skip


def volumes_of(
    patient: str, ml: Sequence[float | None], region: str = "enhancing", source: str = SOURCE
) -> pd.DataFrame:
    rows = [
        (patient, f"s{order}", source, region, value)
        for order, value in enumerate(ml)
        if value is not None
    ]
    return pd.DataFrame(rows, columns=["patient_id", "session_id", "source", "region", "ml"])


def cohort(patients: int = 30, visits: int = 5, *, seed: int = 0, clinical: bool = True):
    """Random courses: sessions, volumes of two regions, and pairs rated by their log ratio."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    volumes = []
    for number in range(patients):
        patient = f"P{number:02d}"
        ml = rng.lognormal(1.0, 1.0, visits) * (rng.random(visits) > 0.15)
        own = {"age": 40.0 + number, "sex": "male" if number % 2 else "female"} if clinical else {}
        ratio = np.log((ml[1:] + 0.1) / (ml[:-1] + 0.1))
        ratings = ["", *np.array(["CR", "PR", "SD", "PD"])[np.digitize(ratio, (-2, -0.7, 0.4))]]
        weeks = np.cumsum(rng.integers(4, 15, visits))
        rows += sessions_of(
            patient,
            *(
                {"rating": str(name), "week": int(week), **own}
                for name, week in zip(ratings, weeks, strict=True)
            ),
        )
        volumes += [volumes_of(patient, ml), volumes_of(patient, 2.5 * ml + 1, "whole")]
    sessions = session_table(rows)
    pairs, _ = build_pairs(sessions)
    return sessions, pd.concat(volumes, ignore_index=True), pairs


def folds_of(pairs: pd.DataFrame, n_folds: int = 3) -> tuple[pd.DataFrame, dict[int, pd.DataFrame]]:
    """Test pairs and training pairs of folds grouped by patient."""
    patients = sorted(set(pairs["patient_id"]))
    fold = pairs["patient_id"].map({name: index % n_folds for index, name in enumerate(patients)})
    test = pairs.assign(fold=fold)
    return test, {index: pairs[fold != index] for index in range(n_folds)}
