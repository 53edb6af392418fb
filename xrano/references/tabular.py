"""Numbers of a pair for models on tables: volumes and their changes, weeks, and clinical data.

Of each region of a segmentation (ml; NaN where a scan lacks it):

===================  ============================================================
``prior``            volume on the prior scan
``current``          volume on the current scan
``change``           current − prior
``log_ratio``        log((current + 0.1 ml) / (prior + 0.1 ml))
``baseline``         volume on the first scan since the last operation
``nadir``            smallest volume since the last operation, current aside
``log_ratio_…``      as above, against baseline and nadir
===================  ============================================================

``weeks_since_prior`` and ``weeks_since_baseline`` come with the volumes. The clinical columns are
those of :mod:`xrano.data.clinical_values`: sex, age, IDH, MGMT, weeks since the first and the prior
scan. How long a patient lived is known to nobody at the scan, and is not among them.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from xrano.data.clinical_values import PATIENT_VARIABLES, VARIABLES, pair_values
from xrano.references.burdens import course_references, rano_region, volume_burdens

LEAST_ML = 0.1
"""Added to both volumes of a ratio: nothing at all is still so much."""


def volume_features(
    pairs: pd.DataFrame, sessions: pd.DataFrame, volumes: pd.DataFrame, source: str
) -> pd.DataFrame:
    """Volumes, changes and weeks of each pair, from one segmentation.

    Args:
        pairs: a pairs table; ratings are not looked at.
        sessions: the sessions table; only sessions up to a pair's current one matter to it.
        volumes: patient_id, session_id, source, region, ml.
        source: the segmentation.

    Returns:
        float64 columns, indexed by pair_id, in the order of ``pairs``; NaN where unknown.
    """
    columns: dict[str, list[float]] = {}
    regions = sorted(set(volumes.loc[volumes["source"] == source, "region"]))
    for region in regions:
        for name, values in _region_columns(pairs, sessions, volumes, source, region).items():
            columns[f"{region}_{name}"] = values
    burdens = volume_burdens(volumes, source, rano_region(volumes, source))
    references = course_references(sessions, burdens)
    weeks = pairs["current_week"].to_numpy(dtype=np.float64)
    columns["weeks_since_prior"] = list(weeks - pairs["prior_week"].to_numpy(dtype=np.float64))
    columns["weeks_since_baseline"] = [
        week - references[key].week if key in references else math.nan
        for week, key in zip(weeks, _keys(pairs, "current_session"), strict=True)
    ]
    return pd.DataFrame(columns, index=pd.Index(pairs["pair_id"]), dtype=np.float64)


def clinical_features(pairs: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """Clinical variables of each pair.

    Args:
        pairs: a pairs table.
        sessions: the sessions table, with :data:`~xrano.data.table_columns.CLINICAL_COLUMNS` as far
            as they are known.

    Returns:
        float64 columns :data:`~xrano.data.clinical_values.VARIABLES`, indexed by pair_id;
        categories are ±1, and what is missing is NaN.

    Raises:
        ManifestError: for a spelling that is not known, or sessions of one patient that
            contradict each other.
    """
    values = pair_values(pairs, sessions)
    return pd.DataFrame(values, index=pd.Index(pairs["pair_id"]), columns=list(VARIABLES))


def has_clinical(features: pd.DataFrame) -> bool:
    """Whether anything but weeks is known of some pair."""
    return bool(features[list(PATIENT_VARIABLES)].notna().any(axis=None))


def _keys(pairs: pd.DataFrame, side: str) -> list[tuple[str, str]]:
    return list(zip(pairs["patient_id"], pairs[side], strict=True))


def _region_columns(
    pairs: pd.DataFrame, sessions: pd.DataFrame, volumes: pd.DataFrame, source: str, region: str
) -> dict[str, list[float]]:
    burdens = volume_burdens(volumes, source, region)
    references = course_references(sessions, burdens)
    columns: dict[str, list[float]] = {}
    sides = (_keys(pairs, "prior_session"), _keys(pairs, "current_session"))
    for before, now in zip(*sides, strict=True):
        prior, current = burdens.get(before, math.nan), burdens.get(now, math.nan)
        reference = references.get(now)
        baseline = reference.baseline if reference else math.nan
        nadir = reference.nadir if reference else math.nan
        values = {
            "prior": prior,
            "current": current,
            "change": current - prior,
            "log_ratio": _log_ratio(current, prior),
            "baseline": baseline,
            "nadir": nadir,
            "log_ratio_baseline": _log_ratio(current, baseline),
            "log_ratio_nadir": _log_ratio(current, nadir),
        }
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    return columns


def _log_ratio(current: float, reference: float) -> float:
    return math.log((current + LEAST_ML) / (reference + LEAST_ML))
