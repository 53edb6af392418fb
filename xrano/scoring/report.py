"""``report.json``: what a page about a scoring folder needs, as one JSON object.

A function of the tables as they are read from disk and of the facts of the run beside them
(``settings.json``), so that report and tables cannot differ. Numbers are finite; ``null`` stands
where one does not exist (or is infinite: the lift of a mean of exactly zero).

======================  ==========================================================================
``schema``              :data:`REPORT_SCHEMA`
``run``                 name, network, protocol, folds, task, store, pairs left out before scoring
``settings``            what was asked for
``versions``            of Python and the libraries
``tables``              file, number of rows, what a row is
``counts``              pairs and patients, by response; what the primary analysis leaves out
``statuses``            number of score rows by status
``undefined``           for each method and region: pairs by status of the primary metric
``summary`` …           the rows of every short table (primary analysis, claims, shuffle test)
``nulls``               for each null, method and metric of the primary region: medians, rejections
``shares``              for each method and scan: mean share, and that expected
``lesions``             lesions by tag
``thresholds``          the tuned ones, where asked for
``multiplicity``        how each p is corrected, and for how many tests
``notes``               what to say beside the numbers
======================  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from xrano.metrics.catalogue import OverlapStatus
from xrano.scoring.null_table import UNADJUSTED
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import PRIMARY_METRIC, UNRATED
from xrano.scoring.tables import TABLES

REPORT_FILE = "report.json"
"""Its name; the last file of a scoring folder to be written."""

REPORT_SCHEMA = 1
"""Raised when an entry goes or changes its meaning."""

LEVEL = 0.05
"""At which rejections are counted."""

_METHOD = ["method", "baseline", "layer"]


def score_report(
    tables: Mapping[str, pd.DataFrame],
    facts: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The report of a scoring folder.

    Args:
        tables: by name (:data:`xrano.scoring.tables.TABLES`), as they are on disk; those that are
            not there have no entry.
        facts: ``run``, ``settings`` and ``versions``.
        notes: what to say beside the numbers.

    Returns:
        JSON values only.

    Example:
        >>> report = score_report({}, {"settings": {"copies": 3}})
        >>> report["schema"], report["settings"], report["tables"]
        (1, {'copies': 3}, {})
    """
    found: dict[str, Any] = {
        "schema": REPORT_SCHEMA,
        **{name: facts.get(name, {}) for name in ("run", "settings", "versions")},
        "tables": {
            name: {"file": f"{name}.csv", "rows": len(table), "row": TABLES[name].row}
            for name, table in tables.items()
        },
        **{
            name: table.to_dict("records")
            for name, table in tables.items()
            if TABLES[name].in_report
        },
        "multiplicity": _multiplicity(tables),
        "notes": list(notes),
    }
    if "scores" in tables:
        scores = tables["scores"]
        found["counts"] = _counts(scores)
        found["statuses"] = {str(k): int(v) for k, v in scores["status"].value_counts().items()}
        found["undefined"] = _undefined(scores)
        found["thresholds"] = _thresholds(scores)
    if "nulls" in tables:
        found["nulls"] = _nulls(tables["nulls"])
    if "shares" in tables:
        found["shares"] = _shares(tables["shares"])
    if "lesions" in tables:
        tags = tables["lesions"]["tag"].value_counts()
        found["lesions"] = {str(tag): int(count) for tag, count in tags.items()}
    plain: dict[str, Any] = finite(found)
    return plain


def finite(value: Any) -> Any:
    """The same with ``None`` for every number that is NaN or infinite, in any depth.

    Example:
        >>> finite({"a": [1.0, float("nan")], "b": float("-inf")})
        {'a': [1.0, None], 'b': None}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _counts(scores: pd.DataFrame) -> dict[str, Any]:
    pairs = scores.drop_duplicates("pair_id")
    response = pairs["response"].replace("", UNRATED)
    return {
        "pairs": len(pairs),
        "patients": pairs["patient_id"].nunique(),
        "responses": {
            str(name): {"pairs": len(group), "patients": group["patient_id"].nunique()}
            for name, group in pairs.groupby(response)
        },
        "left_out_of_primary": {
            "unrated": int((response == UNRATED).sum()),
            "spans_surgery": int(pairs["spans_surgery"].sum()),
        },
        "rated_by_rule": int((pairs["rating_source"] == "rule").sum()),
        "segmentation_sources": sorted(set(scores["segmentation_source"]) - {""}),
    }


def _undefined(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Pairs by status of the primary metric, where not all are defined; no copies."""
    own = scores[
        (scores["metric"] == PRIMARY_METRIC)
        & (scores["lesion"] == "all")
        & ~scores["weights"].str.startswith("random")
    ]
    cells = []
    for key, group in own.groupby([*_METHOD, "segmentation_source", "region"], sort=False):
        statuses = group.groupby("status")["pair_id"].nunique()
        if set(statuses.index) != {str(OverlapStatus.OK)}:
            named = dict(zip((*_METHOD, "segmentation_source", "region"), key, strict=True))
            counted = {str(name): int(count) for name, count in statuses.items()}
            cells.append({**named, "pairs": group["pair_id"].nunique(), "statuses": counted})
    return cells


def _thresholds(scores: pd.DataFrame) -> list[dict[str, Any]]:
    if "threshold" not in scores:
        return []
    keys = ["fold", *_METHOD, "segmentation_source", "threshold"]
    # A fold is a number in a table just made, and a word in one that was read.
    found = scores.loc[scores["threshold"].notna(), keys].drop_duplicates().astype({"fold": str})
    return [dict(zip(keys, row, strict=True)) for row in found.itertuples(index=False)]


def _nulls(nulls: pd.DataFrame) -> list[dict[str, Any]]:
    # Rows of the whole cohort, the shuffle test's, name no pair and have a table of their own.
    of_pair = (nulls["lesion"] == "all") & (nulls["pair_id"] != "")
    primary = nulls[(nulls["region"] == PRIMARY_REGION) & of_pair]
    cells = []
    keys = ["null", *_METHOD, "segmentation_source", "metric"]
    for key, group in primary.groupby(keys, sort=False):
        tested = group["p"].notna()
        cells.append(
            {
                **dict(zip(keys, key, strict=True)),
                "n": len(group),
                "n_undefined": int((group["status"] != str(OverlapStatus.OK)).sum()),
                **{f"median_{name}": group[name].median() for name in ("B", "z", "percentile")},
                "n_tested": int(tested.sum()),
                "n_rejected": int((group["p"] <= LEVEL).sum()),
                "n_adjusted": int(group["p_bh"].notna().sum()),
                "n_rejected_bh": int((group["p_bh"] <= LEVEL).sum()),
            }
        )
    return cells


def _shares(shares: pd.DataFrame) -> list[dict[str, Any]]:
    own = shares[~shares["weights"].str.startswith("random")]
    keys = ["method", "baseline", "timepoint", "sequence"]
    return [
        {
            **dict(zip(keys, key, strict=True)),
            "share": group["share"].mean(),
            "expected": group["expected"].mean(),
            "n": int((group["status"] == "ok").sum()),
            "statuses": {str(k): int(v) for k, v in group["status"].value_counts().items()},
            "one_visit": int(group["one_visit"].sum()),
        }
        for key, group in own.groupby(keys, sort=False)
    ]


def _multiplicity(tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    found = []
    if "shuffle" in tables:
        tested = tables["shuffle"]["p"].notna().sum()
        found.append(
            {
                "table": "shuffle",
                "column": "p_adjusted",
                "by": "largest z over all methods and responses of a kind (family-wise)",
                "tests": int(tested),
            }
        )
    if "nulls" in tables:
        corrected = tables["nulls"][~tables["nulls"]["null"].isin(UNADJUSTED)]
        for null, group in corrected.groupby("null", sort=False):
            found.append(
                {
                    "table": "nulls",
                    "null": str(null),
                    "column": "p_bh",
                    "by": "Benjamini and Hochberg over all rows of the null (false discoveries)",
                    "tests": int(group["p"].notna().sum()),
                }
            )
    return found
