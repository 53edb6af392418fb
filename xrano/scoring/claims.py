"""The paper's two claims as contrasts of hit rates, with "hit" defined beforehand.

"Saliency often highlighted the tumour, Grad-CAM typically failed" and "Grad-CAM was right in CR
and PD rather than in PR and SD" were judged by eye. Here a map **hits** if its relevance mass in
the primary region is more than :data:`HIT_LIFT` bits above chance: more than twice as dense there
as in the brain at large.

Why one bit: maps without any relation to the tumour, random fields as smooth as attribution maps
are, reached 1.05 (white noise), 1.5 (smoothed by 4 mm) and 1.96 times chance (15 mm) at their 95th
percentile. Twice chance is above all three, so a map that knows nothing seldom hits whatever its
smoothness; and an eye would hardly call less than that "highlighted".

Rates are means within a patient, then over patients, of the pairs of the primary analysis in which
the maps compared are defined; a silent map (no relevance in the brain) is counted, not judged.
Intervals: percentiles of the patient-clustered bootstrap; both sides of a contrast see the same
patients in each resample.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.metrics.bootstrap import patient_weights, percentile_interval
from xrano.scoring.summary import DESCRIPTIVE_BELOW, UNRATED, primary_pairs

HIT_LIFT = 1.0
"""Bits above chance from which a map hits; set before any result was seen."""

MANY, FEW = ("CR", "PD"), ("PR", "SD")
"""The responses that the second claim sets against each other."""

CLAIMS = {
    "saliency_vs_gradcam": "saliency hits more often than Grad-CAM, over all responses",
    "gradcam_by_response": "Grad-CAM hits more often in CR and PD than in PR and SD",
}
"""Name and words of each claim."""

CLAIM_COLUMNS = (
    *("claim", "difference", "low", "high", "first_rate", "second_rate", "n_patients"),
    *("n_pairs", "n_undefined", "descriptive", "hit_lift", "n_resamples"),
)
"""Columns of ``claims.csv``: ``difference`` = first rate − second rate, with 95 % limits."""


def claims_analysis(
    rows: pd.DataFrame,
    *,
    segmentation_source: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """The two contrasts, each where the table has the methods (and responses) that it needs.

    Args:
        rows: a score table.
        segmentation_source: whose masks; the first in the table if not given.
        n_resamples: resamples of patients.
        seed: of the resamples.

    Returns:
        A row a claim with :data:`CLAIM_COLUMNS`.
    """
    pairs = primary_pairs(rows, segmentation_source)
    pairs = pairs[pairs["response"] != UNRATED]
    cells = []
    if len(pairs):
        hits = (pairs["value"] > 2**HIT_LIFT * pairs["chance"]).astype(float)
        pairs = pairs.assign(hit=hits.where(pairs["value"].notna()))
        wide = pairs.pivot(index="pair_id", columns="label", values="hit")
        wide = wide.join(pairs.drop_duplicates("pair_id").set_index("pair_id")["patient_id"])
        wide = wide.join(pairs.drop_duplicates("pair_id").set_index("pair_id")["response"])
        sides = _sides(wide)
        for claim, (first, second, undefined) in sides.items():
            numbers = _contrast(wide, first, second, n_resamples, seed)
            cells.append({"claim": claim, **numbers, "n_undefined": undefined})
    return pd.DataFrame(cells, columns=list(CLAIM_COLUMNS))


def format_claims(frame: pd.DataFrame) -> str:
    """The contrasts in words, a line each; empty if there are none."""
    lines = []
    for row in frame.to_dict("records"):
        lines.append(
            f"claim: {CLAIMS[row['claim']]}: {row['first_rate']:.0%} − {row['second_rate']:.0%} = "
            f"{100 * row['difference']:+.0f} points [{100 * row['low']:+.0f}, "
            f"{100 * row['high']:+.0f}], {row['n_patients']} patients, {row['n_pairs']} pairs"
            + (f", {row['n_undefined']} undefined" if row["n_undefined"] else "")
            + (" (descriptive)" if row["descriptive"] else "")
        )
    if lines:
        lines.append(f"a hit: relevance mass in the tumour more than {2**HIT_LIFT:g} times chance")
    return "\n".join(lines)


def _sides(wide: pd.DataFrame) -> dict[str, tuple[pd.Series, pd.Series, int]]:
    """For each claim the hits (pair,) of both sides, NaN where one does not count, and a count.

    The count is of pairs without a value.
    """
    found: dict[str, tuple[pd.Series, pd.Series, int]] = {}
    if "gradcam" not in wide:
        return found
    cam = wide["gradcam"]
    if "saliency" in wide:
        both = wide["saliency"].notna() & cam.notna()
        found["saliency_vs_gradcam"] = (
            wide["saliency"].where(both),
            cam.where(both),
            int((~both).sum()),
        )
    many, few = wide["response"].isin(MANY), wide["response"].isin(FEW)
    if (cam[many].notna()).any() and (cam[few].notna()).any():
        undefined = int(cam[many | few].isna().sum())
        found["gradcam_by_response"] = (cam.where(many), cam.where(few), undefined)
    return found


def _contrast(
    wide: pd.DataFrame, first: pd.Series, second: pd.Series, n_resamples: int, seed: int
) -> dict[str, Any]:
    counted = first.notna() | second.notna()
    patient_of, response_of = wide["patient_id"][counted], wide["response"][counted]
    numbers: dict[str, Any] = {
        "n_patients": int(patient_of.nunique()),
        "n_pairs": int(counted.sum()),
        "hit_lift": HIT_LIFT,
        "descriptive": patient_of.nunique() < DESCRIPTIVE_BELOW,
    }
    if not counted.any():
        undefined = ("difference", "low", "high", "first_rate", "second_rate")
        return {**numbers, **dict.fromkeys(undefined, math.nan), "n_resamples": 0}
    patients, drawn = patient_weights(
        patient_of.tolist(), response_of.tolist(), n_resamples=n_resamples, seed=seed
    )
    weights = np.vstack([np.ones(len(patients)), drawn])
    rates = [_rates(side[counted], patient_of, patients, weights) for side in (first, second)]
    difference = rates[0] - rates[1]
    interval = percentile_interval(difference[1:])
    return {
        **numbers,
        "difference": float(difference[0]),
        "low": interval.low,
        "high": interval.high,
        "first_rate": float(rates[0][0]),
        "second_rate": float(rates[1][0]),
        "n_resamples": interval.n_defined,
    }


def _rates(
    hits: pd.Series, patient_of: pd.Series, patients: list[str], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(draw,) mean over the patients drawn of their mean; patients without a pair do not count."""
    means = hits.groupby(patient_of).mean().reindex(patients).to_numpy(dtype=np.float64)
    has = ~np.isnan(means)
    with np.errstate(invalid="ignore"):
        rate = (weights @ np.where(has, means, 0.0)) / (weights @ has)
    return np.asarray(rate, dtype=np.float64)
