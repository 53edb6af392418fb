"""The paper's two claims as contrasts of hit rates, with "hit" defined beforehand.

"Saliency often highlighted the tumour, Grad-CAM typically failed" and "Grad-CAM was right in CR
and PD rather than in PR and SD" were judged by eye. Here a map **hits** if its relevance mass in
the primary region is more than :data:`HIT_LIFT` bits above chance: more than twice as dense there
as in the brain at large.

Why one bit: an eye would hardly call less than twice chance "highlighted". It is no threshold of
5 %. Absolute values of random fields reached 1.05 (white noise), 1.5 (smoothed by 4 mm) and 1.96
times chance (15 mm) at their 95th percentile for a lesion of 5 ml; a lesion that is small beside
the smoothness of the map sees one value of the field, which is above twice its mean in 11 % of
cases (absolute values of a Gaussian) or in 21 % (its positive part, as of class activation maps).
So by chance alone Grad-CAM may hit more often than saliency, and every map more often where lesions
are small. Beside each rate therefore stands that of the same method on random-weight copies of the
network, in the same pairs: each copy hits or not, and is averaged within the pair. Read a rate
against its copies'; a difference of rates against the copies' difference.

Rates are means within a patient, then over patients, of the pairs of the primary analysis in which
the maps compared are defined; a silent map (no relevance in the brain) is counted, not judged.
Intervals: percentiles of the patient-clustered bootstrap; both sides of a contrast see the same
patients in each resample. A contrast is descriptive if either side has fewer than ten patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.metrics.bootstrap import patient_weights, percentile_interval
from xrano.scoring.summary import DESCRIPTIVE_BELOW, UNRATED, primary_rows

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
    *("claim", "difference", "low", "high", "first_rate", "second_rate"),
    *("first_copies", "second_copies", "n_copies", "n_patients", "first_patients"),
    *("second_patients", "n_pairs", "n_undefined", "descriptive", "hit_lift", "n_resamples"),
)
"""Columns of ``claims.csv``: ``difference`` = first rate − second rate, with 95 % limits;
``first_copies`` and ``second_copies``: rates of ``n_copies`` random-weight copies, NaN without any;
``first_patients`` and ``second_patients``: patients behind each rate."""

CLAIM_NUMBERS = (
    *("difference", "low", "high", "first_rate", "second_rate", "first_copies", "second_copies"),
    "hit_lift",
)
CLAIM_COUNTS = (
    *("n_copies", "n_patients", "first_patients", "second_patients", "n_pairs", "n_undefined"),
    "n_resamples",
)


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
    chosen = primary_rows(rows, segmentation_source)
    chosen = chosen[chosen["response"] != UNRATED]
    if chosen.empty:
        return pd.DataFrame(columns=list(CLAIM_COLUMNS))
    hits = (chosen["value"] > 2**HIT_LIFT * chosen["chance"]).astype(float)
    chosen = chosen.assign(hit=hits.where(chosen["value"].notna()))
    own, copies = (
        part.groupby(["pair_id", "label"])["hit"].mean().unstack("label")
        for part in (chosen[~chosen["copy"]], chosen[chosen["copy"]])
    )
    drawn = chosen[chosen["copy"]].groupby("label")["weights"].nunique()
    pairs = chosen.groupby("pair_id")[["patient_id", "response"]].first().loc[own.index]
    copies = copies.reindex(index=own.index, columns=own.columns)
    cells = [
        {"claim": claim, **_contrast(pairs, sides, n_resamples, seed)}
        for claim, sides in _sides(own, copies, pairs["response"], drawn).items()
    ]
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
            + (
                f"; untrained copies {row['first_copies']:.0%} and {row['second_copies']:.0%}"
                if row["n_copies"]
                else ""
            )
            + (" (descriptive)" if row["descriptive"] else "")
        )
    if lines:
        lines.append(f"a hit: relevance mass in the tumour more than {2**HIT_LIFT:g} times chance")
    return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Sides:
    """A claim's two sides: hits (pair,) of the network and of its copies, NaN where none count."""

    first: pd.Series
    second: pd.Series
    first_copies: pd.Series
    second_copies: pd.Series
    n_copies: int
    undefined: int


def _sides(
    own: pd.DataFrame, copies: pd.DataFrame, response: pd.Series, drawn: pd.Series
) -> dict[str, _Sides]:
    """The claims that the methods and responses at hand allow."""
    found: dict[str, _Sides] = {}
    if "gradcam" not in own:
        return found
    cam, cam_copies, n_copies = own["gradcam"], copies["gradcam"], int(drawn.get("gradcam", 0))
    if "saliency" in own:
        both = own["saliency"].notna() & cam.notna()
        found["saliency_vs_gradcam"] = _Sides(
            own["saliency"].where(both),
            cam.where(both),
            copies["saliency"].where(both),
            cam_copies.where(both),
            min(n_copies, int(drawn.get("saliency", 0))),
            int((~both).sum()),
        )
    many, few = response.isin(MANY), response.isin(FEW)
    if (cam[many].notna()).any() and (cam[few].notna()).any():
        found["gradcam_by_response"] = _Sides(
            cam.where(many),
            cam.where(few),
            cam_copies.where(many & cam.notna()),
            cam_copies.where(few & cam.notna()),
            n_copies,
            int(cam[many | few].isna().sum()),
        )
    return found


def _contrast(pairs: pd.DataFrame, sides: _Sides, n_resamples: int, seed: int) -> dict[str, Any]:
    first, second = sides.first, sides.second
    counted = first.notna() | second.notna()
    patient_of, response_of = pairs["patient_id"][counted], pairs["response"][counted]
    of_side = [int(pairs["patient_id"][side.notna()].nunique()) for side in (first, second)]
    numbers: dict[str, Any] = {
        "n_copies": sides.n_copies,
        "n_patients": int(patient_of.nunique()),
        "first_patients": of_side[0],
        "second_patients": of_side[1],
        "n_pairs": int(counted.sum()),
        "n_undefined": sides.undefined,
        "hit_lift": HIT_LIFT,
        "descriptive": min(of_side) < DESCRIPTIVE_BELOW,
    }
    if not counted.any():
        rates = ("first_rate", "second_rate", "first_copies", "second_copies")
        undefined = ("difference", "low", "high", *rates)
        return {**numbers, **dict.fromkeys(undefined, math.nan), "n_resamples": 0}
    patients, drawn = patient_weights(
        patient_of.tolist(), response_of.tolist(), n_resamples=n_resamples, seed=seed
    )
    weights = np.vstack([np.ones(len(patients)), drawn])
    first_rate, second_rate, first_copies, second_copies = (
        _rates(side[counted], patient_of, patients, weights)
        for side in (first, second, sides.first_copies, sides.second_copies)
    )
    difference = first_rate - second_rate
    interval = percentile_interval(difference[1:])
    return {
        **numbers,
        "difference": float(difference[0]),
        "low": interval.low,
        "high": interval.high,
        "first_rate": float(first_rate[0]),
        "second_rate": float(second_rate[0]),
        "first_copies": float(first_copies[0]),
        "second_copies": float(second_copies[0]),
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
