"""What a scoring folder says of one model: from its tables to one number a method and score.

Two steps, so that lesion sizes can be divided at a volume that is known only when all models are
there:

1. :func:`pair_values`: one row a method, measure and pair, of the pairs of the primary analysis
   (:mod:`xrano.scoring.summary`: predicted class, core of prior ∪ current, no surgery between);
2. :func:`model_scores`: means within a patient, then over patients, in a form of
   :data:`AUDIT_SCORES`: as a lift over chance, a gain over random-weight copies, or as they are.

Every score has the direction in which an honest model is expected, written down here before any
was measured. A score whose AUROC comes out below 0.5 points the other way, and is said to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from xrano.errors import ManifestError
from xrano.metrics.catalogue import MAP_METRICS, OverlapStatus
from xrano.scoring.primary_source import primary_source
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import (
    ALL,
    PRIMARY_METRIC,
    UNRATED,
    method_labels,
    primary_pairs,
)
from xrano.scoring.table_files import read_frame
from xrano.scoring.tables import read_table

Form: TypeAlias = Literal["lift", "gain", "mean", "difference"]
"""How pairs become one number: log2(mean / mean chance); log2(mean / mean of the copies); the
mean; the mean less that of the copies."""

STRATA = ("all", "small", "large")
"""Lesion sizes: all pairs; those with less core than the median pair of the audit; the others."""

PLACEMENT, PRIOR_SHARE, EDGE_SHARE = "placement_percentile", "prior_share", "edge_share"
"""Measures of pairs that come from the tables beside the scores."""


@dataclass(frozen=True)
class AuditScore:
    """One score of a model.

    ``measure``: of pairs; ``form``: how they become one number; ``higher_is_honest``: the
    direction expected; ``words``: what it is, for people.
    """

    measure: str
    form: Form
    higher_is_honest: bool
    words: str


AUDIT_SCORES: Mapping[str, AuditScore] = MappingProxyType(
    {
        "lift": AuditScore("relevance_mass_accuracy", "lift", True, "relevance mass, lift"),
        "gain": AuditScore("relevance_mass_accuracy", "gain", True, "relevance mass, gain"),
        "rank_lift": AuditScore("relevance_rank_accuracy", "lift", True, "rank accuracy, lift"),
        "rank_gain": AuditScore("relevance_rank_accuracy", "gain", True, "rank accuracy, gain"),
        "top_lift": AuditScore("top_k_intersection", "lift", True, "strongest 5 %, lift"),
        "top_dice": AuditScore("top_fraction_dice", "mean", True, "strongest 5 %, Dice"),
        "pointing": AuditScore("pointing_game", "mean", True, "pointing game"),
        "pointing_10mm": AuditScore("pointing_game_10mm", "mean", True, "pointing game, 10 mm"),
        "ap": AuditScore("normalised_average_precision", "mean", True, "average precision"),
        "ap_gain": AuditScore(
            "normalised_average_precision", "difference", True, "average precision, gain"
        ),
        "auroc": AuditScore("auroc", "mean", True, "AUROC of voxels"),
        "auroc_gain": AuditScore("auroc", "difference", True, "AUROC of voxels, gain"),
        PLACEMENT: AuditScore(PLACEMENT, "mean", True, "placement percentile"),
        "peak_distance": AuditScore("peak_distance_mm", "mean", False, "peak to tumour, mm"),
        "centre_distance": AuditScore("centre_distance_mm", "mean", False, "centres apart, mm"),
        # A network that compares two scans needs both; a mark on the current one tells all.
        PRIOR_SHARE: AuditScore(PRIOR_SHARE, "mean", True, "share on the prior scan"),
        EDGE_SHARE: AuditScore(EDGE_SHARE, "mean", False, "share at the brain's edge"),
        # A tumour is one place; most marks fill the brain.
        "gini": AuditScore("gini", "mean", True, "Gini coefficient"),
        "entropy": AuditScore("entropy", "mean", False, "entropy"),
        "outside": AuditScore("outside_brain_mass", "mean", False, "mass outside the brain"),
    }
)
"""Every score that is charted."""

PAIR_COLUMNS = (
    *("method", "measure", "pair_id", "patient_id", "volume_ml", "value", "chance", "copies"),
)
"""Of :func:`pair_values`. ``volume_ml``: core on the scan that has more of it, NaN if unknown;
``copies``: the value on random-weight copies of the network, averaged, NaN without any."""

_NUMBERS = ("volume_ml", "value", "chance", "copies")


def pair_values(folder: Path) -> pd.DataFrame:
    """The pairs of a scoring folder's primary analysis: columns :data:`PAIR_COLUMNS`.

    Args:
        folder: of ``scores.csv`` and the tables beside it, of one run.

    Raises:
        ManifestError: if a table is missing or broken, or no pair of the primary analysis is
            rated and segmented.
    """
    scores = read_table("scores", folder)
    scores = scores[scores["weights"] != "none"]
    source = primary_source(scores)
    pairs = _of_metric(scores, PRIMARY_METRIC, source)
    if pairs.empty:
        raise ManifestError(
            f"{folder} has no pair with a response, a segmentation of {PRIMARY_REGION} and no "
            "surgery between its scans, so that nothing can be compared"
        )
    metrics = {score.measure for score in AUDIT_SCORES.values()} & set(scores["metric"])
    parts = [_of_metric(scores, metric, source) for metric in sorted(metrics)]
    who = pairs[["method", "pair_id", "patient_id"]]
    parts += [who.merge(extra, on=["method", "pair_id"]) for extra in _beside(folder, source)]
    table = pd.concat(parts, ignore_index=True)
    table["volume_ml"] = table["pair_id"].map(_core_ml(folder, source))
    return table.reindex(columns=list(PAIR_COLUMNS)).reset_index(drop=True)


def read_pair_values(path: Path) -> pd.DataFrame:
    """The table of :func:`pair_values` from its file."""
    return read_frame(path, numbers=_NUMBERS)


def model_scores(pairs: pd.DataFrame, *, median_ml: float) -> pd.DataFrame:
    """Every score of one model: a row a method, score and stratum.

    Args:
        pairs: of :func:`pair_values`.
        median_ml: core volume that parts small lesions from large ones; NaN for no such strata.

    Returns:
        Columns ``method``, ``score``, ``stratum``, ``value`` (NaN where undefined; −∞ for the lift
        of a mean of exactly zero), ``n_pairs`` and ``n_patients`` behind it.
    """
    strata = {
        "all": pairs,
        "small": pairs[pairs["volume_ml"] < median_ml],
        "large": pairs[pairs["volume_ml"] >= median_ml],
    }
    rows = []
    for stratum, chosen in strata.items():
        for method, of_method in chosen.groupby("method", sort=False):
            measures = dict(list(of_method.groupby("measure", sort=False)))
            for name, score in AUDIT_SCORES.items():
                if score.measure in measures:
                    found = _one(measures[score.measure], score.form)
                    rows.append({"method": method, "score": name, "stratum": stratum, **found})
    columns = ["method", "score", "stratum", "value", "n_pairs", "n_patients"]
    return pd.DataFrame(rows, columns=columns)


def _one(pairs: pd.DataFrame, form: Form) -> dict[str, float | int]:
    """The mean over patients in a form; pairs without what it needs are left out."""
    beside = {"lift": "chance", "gain": "copies", "difference": "copies"}.get(form)
    needed = ["value"] if beside is None else ["value", beside]
    defined = pairs.dropna(subset=needed)
    means = defined.groupby("patient_id")[needed].mean()
    if means.empty:
        return {"value": math.nan, "n_pairs": 0, "n_patients": 0}
    over = means.mean()
    value = float(over["value"])
    if form in ("lift", "gain"):
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(np.log2(np.float64(over["value"]) / np.float64(over[str(beside)])))
    elif beside is not None:
        value -= float(over[beside])
    return {"value": value, "n_pairs": len(defined), "n_patients": len(means)}


def _of_metric(scores: pd.DataFrame, metric: str, source: str | None) -> pd.DataFrame:
    """The values of one metric on the pairs of the primary analysis, chosen by its own rule."""
    rows = scores[scores["metric"] == metric].assign(metric=PRIMARY_METRIC)
    if metric in MAP_METRICS:
        rows = rows.assign(region=PRIMARY_REGION, segmentation_source=source or "")
    pairs = primary_pairs(rows, source)
    rated = pairs[pairs["response"] != UNRATED]
    return rated.rename(columns={"label": "method", "copy_value": "copies"}).assign(measure=metric)


def _beside(folder: Path, source: str | None) -> list[pd.DataFrame]:
    """Measures of the tables beside the scores: method, pair_id, measure, value."""
    nulls = read_table("nulls", folder)
    placed = nulls[
        (nulls["null"] == "placement")
        & (nulls["weights"] == "trained")
        & (nulls["metric"] == PRIMARY_METRIC)
        & (nulls["region"] == PRIMARY_REGION)
        & (nulls["lesion"] == ALL)
        & (nulls["segmentation_source"] == (source or ""))
        & _predicted(nulls)
    ]
    shares = read_table("shares", folder)
    prior = shares[
        (shares["weights"] == "trained")
        & (shares["timepoint"] == "prior")
        & (shares["sequence"] == ALL)
        & (shares["status"] == OverlapStatus.OK)
        & (shares["target"] == shares["predicted"])
    ].assign(layer="")
    found = [_measure(placed, PLACEMENT, "percentile"), _measure(prior, PRIOR_SHARE, "share")]
    accounting = Path(folder) / "accounting.csv"
    if accounting.is_file():
        parts = read_frame(accounting, numbers=("share", "expected"))
        edge = parts[
            (parts["part"] == "brain_edge")
            & (parts["weights"] == "trained")
            & parts["segmentation_source"].isin([source or "", ""])
            & (parts["status"] == OverlapStatus.OK)
            & _predicted(parts)
        ]
        found.append(_measure(edge, EDGE_SHARE, "share"))
    return found


def _measure(rows: pd.DataFrame, name: str, column: str) -> pd.DataFrame:
    labelled = rows.assign(method=method_labels(rows)) if len(rows) else rows
    found = labelled[["method", "pair_id"]].assign(measure=name, value=labelled[column])
    return found.drop_duplicates(["method", "pair_id"])


def _predicted(rows: pd.DataFrame) -> pd.Series:
    """Whether a map explains the class that the network predicted."""
    if "predicted" not in rows:
        return rows["target_choice"] == "predicted"
    return (rows["target_choice"] == "predicted") | (rows["target"] == rows["predicted"])


def _core_ml(folder: Path, source: str | None) -> pd.Series:
    """By pair: ml of core on the scan that has more of it."""
    lesions = read_table("lesions", folder)
    core = lesions[
        (lesions["region"] == PRIMARY_REGION) & (lesions["segmentation_source"] == (source or ""))
    ]
    return core.groupby("pair_id")[["prior_ml", "current_ml"]].sum().max(axis=1)
