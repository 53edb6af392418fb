"""Ratings by the volumetric rule, for sessions that nobody has rated.

The rule sees nothing but volumes: no new lesion, no steroids, no clinical state, and no FLAIR
progression. On LUMIERE such a rule agrees with the expert in little more than half of the sessions,
no better than calling all of them PD; so a rating by rule carries ``rating_source`` ``rule`` into
every table, and is a stand-in where there is no expert, never a truth about one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from xrano.data.label_schemes import WHOLE, has_region, region_mask
from xrano.data.pairing.pairs import ExclusionReason
from xrano.data.volumes import read_labels
from xrano.errors import ManifestError
from xrano.rano import Role, rate_course

VOLUME_COLUMNS = ("patient_id", "session_id", "source", "region", "ml")

BURDEN = "enhancing"
"""The region that RANO measures; where a scheme does not tell tissues apart, the whole lesion."""

_SCAN_IS_FINE = {"", *(str(reason) for reason in ExclusionReason)} - {str(ExclusionReason.MARKED)}
"""Reasons to exclude that are about the rating; any other text is about the scan."""


def rate_by_rule(
    sessions: pd.DataFrame, volumes: pd.DataFrame, *, reference: str = "rano", source: str = ""
) -> pd.DataFrame:
    """Fill empty ratings from volumes by :func:`xrano.rano.rate_course`.

    Every session with a volume takes part in its patient's course, in the table's order, rated or
    not, unless its scan is marked as unusable. The first one and each first one after an operation
    (its role is ``postop``, or the one before it is ``preop``, sessions without a volume included)
    start the course anew and get no rating, nor do pre-operative sessions. A rating that is there
    stays, whatever the rule says, as does a ``rating_raw``; a session with an ``exclude_reason``
    is not rated.

    Args:
        sessions: a sessions table.
        volumes: patient_id, session_id, source, region, ml, as :func:`measure_volumes` gives it.
        reference: ``rano``: PR against the first scan since the last operation, PD against the
            smallest volume since; ``previous``: both against the scan before, as consecutive
            pairs are.
        source: the segmentation to go by; needed where there are several.

    Returns:
        A copy with ``rating``, ``rating_raw`` (``rule: 1.3 ml enhancing, rano``) and
        ``rating_source`` ``rule`` filled in.

    Raises:
        ManifestError: if volumes lacks a column, has several sources and none is named, holds
            no volume of the source, or one volume twice.
        UnknownNameError: if the reference is unknown.
        ConfigError: if a volume is negative or not finite.
    """
    burdens, region = _burdens(volumes, source)
    rated = sessions.copy()
    ordered = sessions.sort_values(["patient_id", "order"], kind="stable")
    for patient, course in ordered.groupby("patient_id", sort=False):
        rows: list[Any] = []
        surgery: list[bool] = []
        operated = False
        previous = str(Role.UNKNOWN)
        for row, session, role, reason in zip(
            course.index,
            course["session_id"],
            course["role"],
            course["exclude_reason"],
            strict=True,
        ):
            operated = operated or role == Role.POSTOP or previous == Role.PREOP
            previous = role
            if (patient, session) in burdens and reason in _SCAN_IS_FINE:
                rows.append(row)
                surgery.append(operated)
                operated = False
        responses = rate_course(
            [burdens[patient, course.at[row, "session_id"]] for row in rows],
            surgery=surgery,
            new_lesions=[False] * len(rows),
            reference=reference,
        )
        for row, response in zip(rows, responses, strict=True):
            if response is None or not _is_open(course.loc[row]):
                continue
            ml = burdens[patient, course.at[row, "session_id"]]
            rated.loc[row, "rating"] = str(response)
            if not rated.at[row, "rating_raw"]:
                rated.loc[row, "rating_raw"] = f"rule: {ml:.3g} ml {region}, {reference}"
            rated.loc[row, "rating_source"] = "rule"
    return rated


def _is_open(session: pd.Series) -> bool:
    """Whether a session is one for the rule: not rated, excluded, or next to an operation."""
    operation = session["role"] in (Role.PREOP, Role.POSTOP)
    return not (session["rating"] or session["exclude_reason"] or operation)


def _burdens(volumes: pd.DataFrame, source: str) -> tuple[dict[tuple[Any, Any], float], str]:
    """Millilitres by session, and the region that they are of."""
    missing = [column for column in VOLUME_COLUMNS if column not in volumes]
    if missing:
        raise ManifestError(f"the volumes lack the columns {', '.join(missing)}")
    sources = sorted(set(volumes["source"]))
    if source and source not in sources:
        raise ManifestError(f"there are no volumes of {source!r}; found: {', '.join(sources)}")
    if not source and len(sources) > 1:
        raise ManifestError(
            f"the volumes come from several segmentations ({', '.join(sources)}); name the one "
            "that ratings are to be made from"
        )
    own = volumes[volumes["source"] == (source or (sources[0] if sources else ""))]
    region = BURDEN if (own["region"] == BURDEN).any() else WHOLE
    own = own[own["region"] == region]
    keys = list(zip(own["patient_id"], own["session_id"], strict=True))
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ManifestError(f"{' '.join(twice)} has two volumes of {region} {source}".rstrip())
    return dict(zip(keys, own["ml"].astype(float), strict=True)), region


def measure_volumes(
    segmentations: pd.DataFrame, regions: Iterable[str] = (BURDEN, WHOLE)
) -> pd.DataFrame:
    """The volume of each region of each segmentation, on the segmentation's own grid.

    Args:
        segmentations: a segmentations table; each file is read once.
        regions: names in :data:`~xrano.data.label_schemes.REGIONS`; those that a scheme cannot
            tell are left out.

    Returns:
        patient_id, session_id, source, region, ml (voxels x voxel volume by the affine).

    Raises:
        VolumeError: naming the file, if it is missing or broken.
        LabelSchemeError: naming the file, if it holds labels that its scheme does not name.
        UnknownNameError: if a scheme or region is unknown.
    """
    wanted = tuple(regions)
    rows: list[dict[str, object]] = []
    for item in segmentations.to_dict("records"):
        labels = read_labels(item["path"], item["scheme"])
        key = {name: item[name] for name in VOLUME_COLUMNS[:3]}
        for region in wanted:
            if has_region(item["scheme"], region):
                voxels = int(np.count_nonzero(region_mask(labels.labels, item["scheme"], region)))
                rows.append({**key, "region": region, "ml": voxels * labels.grid.voxel_ml})
    return pd.DataFrame(rows, columns=list(VOLUME_COLUMNS)).astype({"ml": "float64"})
