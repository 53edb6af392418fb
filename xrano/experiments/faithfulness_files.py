"""Tables of a faithfulness run: tidy rows, answers to interventions, and their summary."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.data.tables import write_table
from xrano.faithfulness.catalogue import FAITHFULNESS, FaithfulnessStatus
from xrano.metrics.bootstrap import patient_weights, percentile_interval
from xrano.scoring.summary import DESCRIPTIVE_BELOW

ROW_COLUMNS = (
    *("pair_id", "patient_id", "response", "predicted", "method", "metric", "infill", "setting"),
    *("quantity", "value", "chance", "reference", "status"),
)
"""Of ``faithfulness.csv``. ``method`` is empty where a number is about the network alone;
``quantity`` says what of a metric is meant where there are several; ``chance`` and ``reference``
are told in :data:`xrano.faithfulness.catalogue.FAITHFULNESS`."""

SUMMARY_COLUMNS = (
    *("metric", "method", "infill", "setting", "quantity", "mean", "low", "high", "chance"),
    *("reference", "difference", "difference_low", "difference_high", "better"),
    *("n_pairs", "n_patients", "n_undefined", "descriptive"),
)
"""Of ``faithfulness_summary.csv``: means over patients of the means over their pairs, 95 %
intervals from resamples of patients; ``difference`` is value − reference, pair by pair; ``better``
says which end of the value is: ``higher``, ``lower``, or empty where neither is."""

_GROUP = ["metric", "method", "infill", "setting", "quantity"]

_DIRECTED = ("", "rank_correlation", "top_dice", "rank_correlation_moved_alike")
"""Quantities that have the direction of their metric; the others have none."""


def tidy_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """``faithfulness.csv``; undefined numbers NaN."""
    frame = pd.DataFrame(rows, columns=list(ROW_COLUMNS))
    for name in ("value", "chance", "reference"):
        frame[name] = frame[name].astype(np.float64)
    return frame


def summarise(rows: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """The mean of every number, with an interval over patients.

    Args:
        rows: of :func:`tidy_rows`.
        n_resamples: resamples of patients behind each 95 % interval.
        seed: of the resamples.

    Returns:
        :data:`SUMMARY_COLUMNS`, in the order of the rows.
    """
    if rows.empty:
        return pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    pairs = rows.drop_duplicates("pair_id")
    # Not within responses: of one patient each there would be nothing to draw, and no width.
    patients, drawn = patient_weights(
        pairs["patient_id"].tolist(), [""] * len(pairs), n_resamples=n_resamples, seed=seed
    )
    # Row 0 is the sample itself.
    weights = np.vstack([np.ones((1, len(patients))), drawn])
    groups = rows.groupby(_GROUP, sort=False)
    found = [_summary(keys, own, patients, weights) for keys, own in groups]
    return pd.DataFrame(found, columns=list(SUMMARY_COLUMNS))


def _summary(
    keys: Hashable, own: pd.DataFrame, patients: list[str], weights: NDArray[np.float64]
) -> dict[str, Any]:
    facts = dict(zip(_GROUP, keys if isinstance(keys, tuple) else (keys,), strict=True))
    own = own.assign(difference=own["value"] - own["reference"])
    names = ["value", "reference", "difference", "chance"]
    means = own.groupby("patient_id")[names].mean().reindex(patients)
    drawn = {name: _weighted(means[name].to_numpy(dtype=np.float64), weights) for name in names}
    found: dict[str, Any] = {**facts, "mean": drawn["value"][0]}
    found["chance"], found["reference"] = drawn["chance"][0], drawn["reference"][0]
    found["difference"] = drawn["difference"][0]
    n_patients = int(means["value"].notna().sum())
    for name, prefix in (("value", ""), ("difference", "difference_")):
        interval = percentile_interval(drawn[name][1:])
        # Of one patient, every resample is the sample.
        found[f"{prefix}low"] = interval.low if n_patients > 1 else np.nan
        found[f"{prefix}high"] = interval.high if n_patients > 1 else np.nan
    found["better"] = _better(str(facts["metric"]), str(facts["quantity"]))
    found["n_pairs"] = int(own["value"].notna().sum())
    found["n_patients"] = n_patients
    found["n_undefined"] = int((own["status"] != str(FaithfulnessStatus.OK)).sum())
    found["descriptive"] = n_patients < DESCRIPTIVE_BELOW
    return found


def _weighted(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(resample,) mean over the patients that have a value; NaN where none was drawn."""
    there = ~np.isnan(values)
    total = weights[:, there].sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(weights[:, there] @ values[there] / total)


def _better(metric: str, quantity: str) -> str:
    higher = FAITHFULNESS[metric].higher_is_better
    if quantity == "answer_as_ruled":
        return "higher"
    if higher is None or quantity not in _DIRECTED:
        return ""
    return "higher" if higher else "lower"


def write_faithfulness(
    rows: pd.DataFrame, summary: pd.DataFrame, answers: pd.DataFrame, out: Path
) -> list[Path]:
    """Write ``faithfulness.csv``, ``faithfulness_summary.csv`` and, if any, ``interventions.csv``.

    Returns:
        The files.
    """
    written = {"faithfulness": rows, "faithfulness_summary": summary}
    if len(answers):
        written["interventions"] = answers
    for name, table in written.items():
        write_table(out / f"{name}.csv", table)
    return [out / f"{name}.csv" for name in written]
