"""Tumour burdens of sessions: volumes and sums of products, and RANO's baseline and nadir of each.

The region is the enhancing tumour, which RANO measures; where a segmentation does not tell tissues
apart, the whole lesion.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from xrano.data.diameters import sum_of_products
from xrano.data.label_schemes import WHOLE, has_region, region_mask
from xrano.data.pairing.exclusions import is_marked
from xrano.data.pairing.rule_ratings import BURDEN
from xrano.data.store import Store, read_prepared
from xrano.data.tables import records
from xrano.rano import Role

SessionKey: TypeAlias = tuple[str, str]
"""patient_id, session_id."""

Burdens: TypeAlias = Mapping[SessionKey, float]
"""ml or mm² of each session that has a segmentation."""


@dataclass(frozen=True)
class CourseReference:
    """What a session is measured against, of the scans since the last operation before it.

    ``baseline``: burden of the first of them; ``nadir``: the smallest burden, the session's own
    not counted; ``week``: of the first of them.
    """

    baseline: float
    nadir: float
    week: int


def rano_region(volumes: pd.DataFrame, source: str) -> str:
    """The region of a source that stands for the burden."""
    own = volumes[volumes["source"] == source]
    return BURDEN if (own["region"] == BURDEN).any() else WHOLE


def volume_burdens(volumes: pd.DataFrame, source: str, region: str) -> dict[SessionKey, float]:
    """Millilitres of a region by session."""
    own = volumes[(volumes["source"] == source) & (volumes["region"] == region)]
    keys = zip(own["patient_id"], own["session_id"], strict=True)
    return dict(zip(keys, own["ml"].astype(float), strict=True))


def product_burdens(store: Store, patients: Iterable[str]) -> dict[str, dict[SessionKey, float]]:
    """Sums of products of perpendicular diameters by source and session, on the store's grid.

    Reads the segmentations of every session of the patients; see
    :func:`xrano.data.diameters.sum_of_products` for what is measured.

    Args:
        store: a prepared store.
        patients: whose sessions are measured.

    Returns:
        source to session to mm².
    """
    wanted = set(patients)
    found: dict[str, dict[SessionKey, float]] = {}
    for row in records(store.sessions):
        key = (str(row["patient_id"]), str(row["session_id"]))
        path = store.session_path(*key)
        if key[0] not in wanted or not path.is_file():
            continue
        for source, (labels, scheme) in read_prepared(path, ()).segmentations.items():
            region = BURDEN if has_region(scheme, BURDEN) else WHOLE
            mask = region_mask(labels, scheme, region)
            found.setdefault(source, {})[key] = sum_of_products(mask, store.grid)
    return found


def course_references(
    sessions: pd.DataFrame, burdens: Burdens
) -> dict[SessionKey, CourseReference]:
    """Baseline and nadir of every session, from earlier sessions alone.

    As in :func:`~xrano.data.pairing.rule_ratings.rate_by_rule`, every session with a burden takes
    part unless the user marked its scan as unusable, and the first one after an operation (its
    role is ``postop``, or a session since the one before it is ``preop`` or ``postop``) starts
    the course anew.

    Returns:
        session to reference; sessions without a burden, and each first one of a course, are left
        out.
    """
    found: dict[SessionKey, CourseReference] = {}
    ordered = sessions.sort_values(["patient_id", "order"], kind="stable")
    for patient, course in ordered.groupby("patient_id", sort=False):
        state: CourseReference | None = None
        previous = str(Role.UNKNOWN)
        for row in records(course):
            if row["role"] == Role.POSTOP or previous == Role.PREOP:
                state = None
            previous = row["role"]
            key = (str(patient), str(row["session_id"]))
            burden = burdens.get(key, math.nan)
            if math.isnan(burden) or is_marked(row["exclude_reason"]):
                continue
            if state is None:
                state = CourseReference(burden, burden, int(row["week"]))
                continue
            found[key] = state
            state = CourseReference(state.baseline, min(state.nadir, burden), state.week)
    return found
