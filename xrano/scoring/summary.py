"""The primary analysis: how far above chance a method looks at the tumour, and above no training.

Named before any result was seen; everything else that a score table can tell is exploratory:

* rows of the predicted class as target, the core (enhancing and necrosis) of prior ∪ current,
  relevance mass accuracy, pairs that do not span surgery, one segmentation source for all;
* rectification ``absolute`` for voxel-wise maps and ``positive`` for class activation maps;
* **lift** = log2(mean mass accuracy / mean chance), each averaged within a patient and then over
  patients. A ratio of means, because one map without any relevance in the tumour would turn a
  mean of logarithms into −∞. A mean of exactly zero is reported as −∞, not left out;
* **gain** = lift − lift of the same method on random-weight copies of the network. The copies are
  averaged within the pair before any logarithm, for the same reason, and the gain is taken over
  the pairs in which both are defined, so that their chance is the same and cancels;
* **of_reference** = mean mass accuracy / mean of what the masks themselves score when they are seen
  through the cells of a class activation map: how much of what its resolution allows it reaches;
* intervals: percentiles over patients drawn within strata (:mod:`xrano.metrics.bootstrap`). All
  methods and both sides of a gain see the same draws;
* a class with fewer than ten patients is descriptive, and so is a gain of fewer than ten.

Copies explain the class that the trained network predicts, so their rows too say ``predicted``.
Reference maps (weights ``none``) have a lift and no gain.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.errors import ManifestError, UnknownNameError
from xrano.metrics.bootstrap import patient_weights, percentile_interval
from xrano.metrics.catalogue import OverlapStatus
from xrano.rano import RESPONSES
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.score_table import check_scores

__all__ = [
    "ALL",
    "DESCRIPTIVE_BELOW",
    "PRIMARY_METRIC",
    "PRIMARY_REGION",
    "SUMMARY_COLUMNS",
    "UNRATED",
    "method_labels",
    "primary_analysis",
    "primary_pairs",
    "primary_rows",
]

PRIMARY_METRIC = "relevance_mass_accuracy"
DESCRIPTIVE_BELOW = 10
"""Classes with fewer patients than this are described, not compared."""

ALL = "all"
UNRATED = "unrated"
SUMMARY_COLUMNS = (
    *("response", "method", "lift", "lift_low", "lift_high", "gain", "gain_low", "gain_high"),
    *("n_patients", "n_pairs", "n_undefined", "descriptive"),
    *("mean_value", "mean_chance", "random_lift", "n_copies", "n_gain_pairs"),
    *("n_gain_patients", "gain_descriptive", "n_resamples", "mean_reference", "of_reference"),
)


def primary_analysis(
    rows: pd.DataFrame,
    *,
    segmentation_source: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Lift and gain of every method for every response, as this module's documentation defines.

    Args:
        rows: a score table of one run; other metrics, regions and targets may be in it.
        segmentation_source: whose masks; the first in the table if not given.
        n_resamples: resamples of patients behind the 95 % intervals.
        seed: seed of the resamples.

    Returns:
        A row a response (CR, PR, SD, PD, then ``unrated`` if there are such pairs, then ``all``
        rated pairs) and method (with its attribution baseline, ``ig:prior``, and, where several
        were scored, its layer, ``gradcam@features``). ``lift`` and ``gain`` in bits with 95 %
        limits; ``n_patients`` and ``n_pairs`` with a value; ``n_undefined`` pairs without;
        ``descriptive``; ``mean_value`` and ``mean_chance`` over patients; ``random_lift`` of the
        copies; ``n_copies``; ``n_gain_pairs`` and ``n_gain_patients`` behind the gain, and
        ``gain_descriptive``; ``n_resamples`` that had a lift; ``mean_reference`` over patients and
        ``of_reference``, over the pairs that have one (class activation maps). No rows if no pair
        qualifies.

    Raises:
        ManifestError: if a column is missing, or a map of a pair was scored twice (several runs
            or reductions in one table).
        UnknownNameError: if there are no masks of the source asked for.
    """
    pairs = primary_pairs(rows, segmentation_source)
    if pairs.empty:
        return pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    unique = pairs.drop_duplicates("pair_id")
    patients, drawn = patient_weights(
        unique["patient_id"].tolist(),
        unique["response"].tolist(),
        n_resamples=n_resamples,
        seed=seed,
    )
    # Row 0 is the sample itself, every patient once.
    weights = np.vstack([np.ones(len(patients)), drawn])
    cells = [
        {"response": response, "method": method, **_cell(of_method, patients, weights)}
        for response, group in _groups(pairs)
        for method, of_method in group.groupby("label", sort=False)
    ]
    return pd.DataFrame(cells, columns=list(SUMMARY_COLUMNS))


def primary_pairs(rows: pd.DataFrame, source: str | None = None) -> pd.DataFrame:
    """The values that the primary analysis rests on: one row a method and pair.

    Columns ``label`` (of the method), ``pair_id``, ``patient_id``, ``response`` (``unrated`` if
    there is none), ``value`` (NaN where undefined), ``chance``, ``reference`` (NaN where there is
    none), ``copy_value`` (mean over random-weight copies), ``n_copies``. Arguments and errors as
    :func:`primary_analysis`.
    """
    return _pair_table(primary_rows(rows, source))


def primary_rows(rows: pd.DataFrame, source: str | None = None) -> pd.DataFrame:
    """The rows that the primary analysis is about, each copy for itself.

    With ``label`` (of the method) and ``copy`` (whether of random weights) beside them. Arguments
    and errors as :func:`primary_analysis`.
    """
    check_scores(rows, "the table given to the primary analysis")
    # Metrics of a map alone have no source.
    sources = [name for name in dict.fromkeys(rows["segmentation_source"]) if name]
    if source is not None and source not in sources:
        raise UnknownNameError("segmentation source", source, sources)
    source = source if source is not None else (sources[0] if sources else "")
    reference = rows["weights"] == "none"
    # Of all targets, the predicted one is among them.
    predicted = (rows["target_choice"] == "predicted") | (
        (rows["target_choice"] == "all") & (rows["target"] == rows["predicted"])
    )
    named = np.where(rows["layer"] != "", "positive", "absolute")
    keep = (
        (predicted | reference)
        & (rows["region"] == PRIMARY_REGION)
        & (rows["lesion"] == ALL)
        & (rows["metric"] == PRIMARY_METRIC)
        & (rows["segmentation_source"] == source)
        & (rows["rectification"] == named)
        & (rows["spans_surgery"].astype(str).str.lower() != "true")
    )
    chosen = rows[keep].copy()
    chosen["copy"] = chosen["weights"].str.startswith("random")
    chosen["label"] = method_labels(chosen)
    chosen["value"] = chosen["value"].where(chosen["status"] == OverlapStatus.OK)
    # Tables of an earlier xrano have none.
    chosen["reference"] = chosen["reference"].astype(float) if "reference" in chosen else math.nan
    chosen["response"] = chosen["response"].replace("", UNRATED)
    _check_once(chosen)
    return chosen


def _check_once(chosen: pd.DataFrame) -> None:
    """Refuse a table in which a map of a pair appears more than once."""
    which_copy = chosen["weights"].where(chosen["copy"], "")
    twice = chosen[chosen.assign(which=which_copy).duplicated(["label", "pair_id", "which"])]
    if len(twice):
        first = twice.iloc[0]
        found = (f"{key} {sorted(set(chosen[key]))}" for key in ("run", "reduction", "weights"))
        raise ManifestError(
            f"the {first['label']} map of {first['pair_id']} with {first['weights']} weights has "
            "more than one score; give the rows of one run and one reduction, the table has "
            + ", ".join(found)
        )


def method_labels(chosen: pd.DataFrame) -> pd.Series:
    """Each row's method with its baseline, and its layer where a method has several."""
    label = chosen["method"].where(
        chosen["baseline"] == "", chosen["method"] + ":" + chosen["baseline"]
    )
    several = chosen.groupby(label)["layer"].transform("nunique") > 1
    return label.where(~several, label + "@" + chosen["layer"])


def _pair_table(chosen: pd.DataFrame) -> pd.DataFrame:
    """One row a method and pair, with the mean over random-weight copies beside the value."""
    keys = ["label", "pair_id"]
    copies = chosen[chosen["copy"]]
    of_pair = copies.groupby(keys)["value"].mean().rename("copy_value")
    of_method = copies.groupby("label")["weights"].nunique().rename("n_copies")
    numbers = ["value", "chance", "reference"]
    pairs = chosen.loc[~chosen["copy"], [*keys, "patient_id", "response", *numbers]]
    pairs = pairs.join(of_pair, on=keys).join(of_method, on="label")
    return pairs.fillna({"n_copies": 0})


def _groups(pairs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    found = set(pairs["response"])
    order = [*map(str, RESPONSES), *sorted(found - {*RESPONSES, UNRATED}), UNRATED]
    groups = [(name, pairs[pairs["response"] == name]) for name in order if name in found]
    rated = pairs[pairs["response"] != UNRATED]
    return groups if rated.empty else [*groups, (ALL, rated)]


def _cell(pairs: pd.DataFrame, patients: list[str], weights: NDArray[np.float64]) -> dict[str, Any]:
    """One response and method: the statistics of the sample, and their limits over the draws."""
    defined = pairs[pairs["value"].notna()]
    paired = defined[defined["copy_value"].notna()]
    means = defined.groupby("patient_id")[["value", "chance"]].mean()
    value, chance = _over_patients(means, patients)
    own, copies = _over_patients(
        paired.groupby("patient_id")[["value", "copy_value"]].mean(), patients
    )
    lift = _log2_ratio(weights @ value, weights @ chance)
    gain = _log2_ratio(weights @ own, weights @ copies)
    lift_interval, gain_interval = percentile_interval(lift[1:]), percentile_interval(gain[1:])
    random = paired.groupby("patient_id")[["copy_value", "chance"]].mean().sum()
    return {
        "lift": lift[0],
        "lift_low": lift_interval.low,
        "lift_high": lift_interval.high,
        "gain": gain[0],
        "gain_low": gain_interval.low,
        "gain_high": gain_interval.high,
        "n_patients": len(means),
        "n_pairs": len(defined),
        "n_undefined": len(pairs) - len(defined),
        "descriptive": len(means) < DESCRIPTIVE_BELOW,
        "mean_value": means["value"].mean() if len(means) else math.nan,
        "mean_chance": means["chance"].mean() if len(means) else math.nan,
        "random_lift": _log2_ratio(random["copy_value"], random["chance"]).item(),
        "n_copies": int(pairs["n_copies"].iloc[0]),
        "n_gain_pairs": len(paired),
        "n_gain_patients": paired["patient_id"].nunique(),
        "gain_descriptive": 0 < paired["patient_id"].nunique() < DESCRIPTIVE_BELOW,
        "n_resamples": lift_interval.n_defined,
        **_of_reference(defined),
    }


def _of_reference(defined: pd.DataFrame) -> dict[str, float]:
    """Mean reference, and what the mean value is of it, where there is one."""
    held = defined[defined["reference"].notna()]
    mean = held.groupby("patient_id")[["value", "reference"]].mean().mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.float64(mean["value"]) / np.float64(mean["reference"])
    return {"mean_reference": float(mean["reference"]), "of_reference": float(share)}


def _over_patients(means: pd.DataFrame, patients: list[str]) -> NDArray[np.float64]:
    """(column, patient) patient means, 0 for patients without a defined pair.

    The number of patients divides both sides of a ratio of means and is never needed.
    """
    return means.reindex(patients).fillna(0.0).to_numpy(dtype=np.float64).T


def _log2_ratio(above: Any, below: Any) -> NDArray[np.float64]:
    """log2(above / below): −∞ for 0 above, ∞ for 0 below, NaN for both."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log2(np.asarray(above, float) / np.asarray(below, float)))
