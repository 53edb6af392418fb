"""Whose segmentation the primary analysis takes, and the shuffle test with it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from xrano.data.agreement import AGREEMENT
from xrano.metrics.catalogue import OverlapStatus
from xrano.scoring.pair_masks import ALL_LESIONS
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import PRIMARY_METRIC

_MEASURED = frozenset({OverlapStatus.OK, OverlapStatus.FULL_MASK})
_UNTOLD = frozenset({OverlapStatus.NO_SEGMENTATION, OverlapStatus.REGION_NOT_LABELLED})


def most_measured(counts: Mapping[str, int]) -> str | None:
    """The segmentation with most pairs of the primary analysis; of several, the first by name.

    Args:
        counts: source to its rated pairs without surgery between the scans whose primary mask is
            measurable.

    Example:
        >>> most_measured({"second": 7, "first": 7, "third": 3})
        'first'
    """
    return max(sorted(counts), key=lambda name: counts[name]) if any(counts.values()) else None


def primary_source(table: pd.DataFrame) -> str | None:
    """The same from a score table: the choice of :func:`most_measured` over its pairs.

    Where no pair qualifies, unrated ones and those across surgery count too, and at last whatever
    is segmented. Never what several agree on: that is exploratory.

    Args:
        table: a score table.
    """
    own = table[~table["segmentation_source"].isin(["", AGREEMENT])]
    region = own[
        (own["region"] == PRIMARY_REGION)
        & (own["lesion"] == ALL_LESIONS)
        & (own["metric"] == PRIMARY_METRIC)
    ]
    # A silent map says nothing of its mask; of every pair, maps are scored that are not.
    measured = region[region["status"].isin(_MEASURED)]
    apart = measured["spans_surgery"].astype(str).str.lower() == "true"
    chosen = (
        measured[(measured["response"] != "") & ~apart],
        measured,
        own[~own["status"].isin(_UNTOLD)],
    )
    for rows in chosen:
        pairs = rows.groupby("segmentation_source")["pair_id"].nunique()
        found = most_measured({str(name): int(count) for name, count in pairs.items()})
        if found is not None:
            return found
    return None
