"""How well a score tells honest models from cheating ones: AUROC, with an interval over models.

AUROC is the chance that an honest model scores on the honest side of a cheating one, ties counting
half (Mann and Whitney. Ann Math Stat 1947;18:50-60): 0.5 tells nothing, below it the score points
the other way. Only models that were verified to do what they were assigned to do take part.

The interval is a percentile bootstrap over models, drawn within strata: the honest ones, and the
cheating ones of each kind. Models of one cohort share its patients, so their scores rise and fall
together; but a cohort stands on both sides, with a model of each kind, and what it adds to all of
them falls out of the comparison. In the full audit intervals from resampling whole cohorts were as
wide (0.17 against 0.16 on average), and no score changed sides.

Where no model is on the wrong side, every resample says 1 and the interval has no width, however
few the models are; so a verdict needs a p as well, of the Mann-Whitney test, exact where no models
tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import mannwhitneyu

from xrano.errors import ConfigError
from xrano.experiments.audit.score_table import AUDIT_SCORES, STRATA
from xrano.experiments.audit.settings import HONEST, MANY_MODELS
from xrano.metrics.bootstrap import percentile_interval
from xrano.metrics.multiplicity import benjamini_hochberg

HEADLINE = ("saliency", "gain")
"""Method and score named before any reported audit; :func:`headline_reason` says why."""

LEAST_MODELS = 3
"""Models on either side below which nothing is said."""

LEVEL = 0.05

EVERY_KIND = "all"

AUDIT_COLUMNS = (
    *("comparison", "stratum", "method", "score", "auroc", "low", "high", "p", "p_adjusted"),
    *("n_honest", "n_cheating", "higher_is_honest", "headline", "verdict"),
)
"""Of ``audit.csv``. ``comparison``: ``all``, a kind of cheat against every honest model without
marks, or ``KIND, same marks`` against its decoys; ``p_adjusted``: after Benjamini and Hochberg
over all scores of a comparison and stratum; the headline alone is judged by its own p."""


@dataclass(frozen=True)
class Separation:
    """An AUROC with its 95 % limits and the p of no difference; NaN where a side has no model."""

    auroc: float
    low: float
    high: float
    p: float
    n_honest: int
    n_cheating: int


def headline_reason() -> str:
    """Why the headline is what it is."""
    return (
        "saliency multiplies by no image, and the gain over random-weight copies takes out what "
        "the images alone put into the tumour; named before any model of an audit was trained"
    )


def separate(
    honest: ArrayLike,
    cheating: ArrayLike,
    *,
    kinds: Sequence[str] | None = None,
    higher_is_honest: bool = True,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Separation:
    """The AUROC of one score.

    Args:
        honest: (model,) scores of honest models; NaN for a model without one, which is left out.
            Infinite scores keep their rank.
        cheating: (model,) scores of cheating ones.
        kinds: (cheating model,) strata of the resampling; one if not given.
        higher_is_honest: the direction expected.
        n_resamples: bootstrap resamples, at least 1.
        seed: of the resamples.

    Raises:
        ConfigError: if there is not a kind for each cheating model, or no resample.

    Example:
        >>> found = separate([3.0, 4.0, 1.5], [1.0, 2.0], n_resamples=200)
        >>> round(found.auroc, 3), found.high
        (0.833, 1.0)
    """
    own, other = (np.asarray(side, dtype=np.float64).ravel() for side in (honest, cheating))
    strata = np.asarray([""] * other.size if kinds is None else list(kinds), dtype=str)
    if strata.size != other.size or n_resamples < 1:
        raise ConfigError(
            f"separating needs a kind for each cheating model and at least one resample, got "
            f"{strata.size} kinds, {other.size} models and {n_resamples} resamples"
        )
    strata, other, own = strata[~np.isnan(other)], other[~np.isnan(other)], own[~np.isnan(own)]
    if not own.size or not other.size:
        return Separation(np.nan, np.nan, np.nan, np.nan, own.size, other.size)
    if not higher_is_honest:
        own, other = -own, -other
    # (honest, cheating): 1 where the honest one is ahead, a half where they tie.
    ahead = (own[:, None] > other) + 0.5 * (own[:, None] == other)
    rng = np.random.default_rng(seed)
    of_own = _drawn(rng, np.zeros(own.size, dtype=str), n_resamples)
    of_other = _drawn(rng, strata, n_resamples)
    resampled = np.einsum("rh,hc,rc->r", of_own, ahead, of_other, optimize=True)
    interval = percentile_interval(resampled / ahead.size)
    # Tied scores make the test approximate; it is told of ranks, so infinite scores do no harm.
    p = mannwhitneyu(*_ranked(own, other), alternative="two-sided").pvalue
    return Separation(
        float(ahead.mean()), interval.low, interval.high, float(p), own.size, other.size
    )


def separation_table(scores: pd.DataFrame, *, n_resamples: int = 2000) -> pd.DataFrame:
    """Every method and score, by kind of cheat and over all, and by lesion size.

    Args:
        scores: one row a model, method, score and stratum, with the columns ``kind`` (as it is
            written), ``assigned``, ``usable`` (verified to do what it was assigned to), ``value``.
        n_resamples: bootstrap resamples.

    Returns:
        :data:`AUDIT_COLUMNS`; no rows without a usable model on each side.
    """
    kept = scores[scores["usable"]]
    honest, cheats = kept[kept["assigned"] == HONEST], kept[kept["assigned"] == "cheat"]
    parts = [
        _family(name, *sides, n_resamples)
        for name, sides in _comparisons(honest, cheats).items()
        if len(sides[0]) and len(sides[1])
    ]
    rows = [row for part in parts for row in part]
    return pd.DataFrame(rows, columns=list(AUDIT_COLUMNS))


def verdict_of(found: Separation, p: float) -> str:
    """What one score is worth, in a word or two.

    ``trust``: the interval lies above 0.5 and p is at most 0.05; ``not resolved``: it lies above,
    but p says that so few models may fall so by chance; ``distrust``: it reaches 0.5 or below;
    ``reversed``: it lies below 0.5, so that cheating models score as honest ones should;
    ``too few models``: fewer than three on a side.
    """
    if min(found.n_honest, found.n_cheating) < LEAST_MODELS:
        return "too few models"
    if found.low > 0.5:
        return "trust" if p <= LEVEL else "not resolved"
    return "reversed" if found.high < 0.5 else "distrust"


def has_many(table: pd.DataFrame) -> bool:
    """Whether both sides of the comparison of all kinds have :data:`MANY_MODELS` models."""
    every = table[table["comparison"] == EVERY_KIND]
    return bool(len(every)) and int(every[["n_honest", "n_cheating"]].max().min()) >= MANY_MODELS


def _comparisons(
    honest: pd.DataFrame, cheats: pd.DataFrame
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    found = {EVERY_KIND: (honest, cheats)}
    for kind in dict.fromkeys(cheats["kind"]):
        own = cheats[cheats["kind"] == kind]
        found[str(kind)] = (honest[honest["kind"] == HONEST], own)
        found[f"{kind}, same marks"] = (honest[honest["kind"] == f"{kind}@0"], own)
    return found


def _family(
    comparison: str, honest: pd.DataFrame, cheats: pd.DataFrame, n_resamples: int
) -> list[dict[str, object]]:
    """All scores of one comparison; p is adjusted within each stratum."""
    rows: list[dict[str, object]] = []
    for stratum in STRATA:
        own, other = (side[side["stratum"] == stratum] for side in (honest, cheats))
        of_other = _by_score(other)
        found = {
            key: separate(
                group["value"],
                of_other[key]["value"],
                kinds=list(of_other[key]["kind"]),
                higher_is_honest=AUDIT_SCORES[key[1]].higher_is_honest,
                n_resamples=n_resamples,
            )
            for key, group in _by_score(own).items()
            if key in of_other
        }
        adjusted = benjamini_hochberg([one.p for one in found.values()])
        for (key, one), p in zip(found.items(), adjusted, strict=True):
            headline = key == HEADLINE
            rows.append(
                {
                    "comparison": comparison,
                    "stratum": stratum,
                    "method": key[0],
                    "score": key[1],
                    **vars(one),
                    "p_adjusted": p,
                    "higher_is_honest": AUDIT_SCORES[key[1]].higher_is_honest,
                    "headline": headline,
                    "verdict": verdict_of(one, one.p if headline else float(p)),
                }
            )
    return rows


def _by_score(scores: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of each (method, score)."""
    groups = scores.groupby(["method", "score"], sort=False)
    return {(str(method), str(score)): rows for (method, score), rows in groups}


def _drawn(rng: np.random.Generator, strata: NDArray[np.str_], n: int) -> NDArray[np.float64]:
    """(resample, model) how often each model is drawn, as many of a stratum as it has."""
    counts = np.zeros((n, strata.size))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        even = np.full(members.size, 1 / members.size)
        counts[:, members] = rng.multinomial(members.size, even, size=n)
    return counts


def _ranked(
    own: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both sides as ranks among each other, equal ones alike."""
    order = np.unique(np.concatenate([own, other]))
    return np.searchsorted(order, own), np.searchsorted(order, other)
