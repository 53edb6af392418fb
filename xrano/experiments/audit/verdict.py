"""An audit in plain words: what was trained, which score to trust, which not, and what it is not.

Statements about scores are of verified models alone and name how many there were.
"""

from __future__ import annotations

import pandas as pd

from xrano.experiments.audit.audit_result import AuditResult
from xrano.experiments.audit.cohort_probe import probe_line
from xrano.experiments.audit.score_table import AUDIT_SCORES, STRATA
from xrano.experiments.audit.separation import (
    EVERY_KIND,
    HEADLINE,
    has_many,
    headline_reason,
)
from xrano.experiments.audit.settings import DEVELOPMENT_SEEDS, MANY_MODELS
from xrano.experiments.audit.verification import RULE
from xrano.progress import minutes
from xrano.viz.names import method_name

DISCLAIMER = "Research software, not a medical device."

CAVEAT = (
    "The scale is of phantoms, whose tumours and marks are simpler than a patient's; a score that "
    "tells cheats here may not tell those of real scanners and clinics."
)

NO_DECOYS = (
    "Honest models were scored on scans without marks, cheating ones on marked scans, so part of a "
    "difference may be the scans' own; decoys (--kinds honest noise noise@0 …) take that out."
)


def verdict_text(result: AuditResult) -> str:
    """The whole verdict, a paragraph a line."""
    table = result.separation
    lines = [_form(result), f"Rule: {RULE}.", *model_lines(result.models)]
    lines += [probe_line(result.probes), ""]
    if table.empty:
        lines.append("No verified model on one of the sides: no score can be judged.")
    else:
        lines += [headline_line(table), ""]
        lines += [line for stratum in STRATA for line in _stratum(table, stratum, result)]
        lines += ["", *_kinds(table), *_mixed(result.scores)]
        if not table["comparison"].str.endswith("same marks").any():
            lines.append(NO_DECOYS)
    return "\n".join([*lines, "", CAVEAT, DISCLAIMER])


def model_lines(models: pd.DataFrame) -> list[str]:
    """A line a kind: how many models, what verification found, and their mean accuracies."""
    lines = []
    for kind, own in models.groupby("kind", sort=False):
        counts = own["verified"].value_counts()
        found = ", ".join(f"{counts[name]} {name}" for name in sorted(counts.index))
        means = ", ".join(
            f"{name} {own[name].mean():.2f}"
            for name in ("own", "swapped", "removed", "erased")
            if own[name].notna().any()
        )
        assigned = own["assigned"].iloc[0]
        line = f"{kind}: {len(own)} models assigned {assigned}: {found}; accuracy {means}"
        failed = int((~own["usable"]).sum())
        if assigned == "cheat" and failed:
            line += f"; {failed} assigned to cheat did not, and stand on neither side"
        lines.append(line)
    return lines


def headline_line(table: pd.DataFrame) -> str:
    """What became of the score that was named beforehand."""
    own = table[table["headline"] & (table["comparison"] == EVERY_KIND)]
    named = f"Headline, named beforehand ({headline_reason()}): {score_name(*HEADLINE)}"
    if own.empty:
        return f"{named}: not among the scores of this audit."
    parts = [
        f"{_size(row['stratum'])} {_estimate(row)}, {row['verdict']}" for _, row in own.iterrows()
    ]
    return f"{named}: {'; '.join(parts)}."


def score_name(method: str, score: str) -> str:
    """A method's score for people.

    Example:
        >>> score_name("ig:prior", "gain")
        'Integrated gradients, prior scan: relevance mass, gain'
    """
    return f"{method_name(method)}: {AUDIT_SCORES[score].words}"


def _form(result: AuditResult) -> str:
    many = has_many(result.separation)
    what = "Quick form" if result.settings.quick else "Audit"
    spent = minutes(float(result.models["seconds"].sum()))
    line = f"{what}: {len(result.models)} of {result.planned} models, {spent} of work"
    if result.settings.quick or not many:
        line += (
            f"; with fewer than {MANY_MODELS} verified on either side, or one form of training "
            "only, what follows is a sign and no finding"
        )
    used = sorted(set(result.settings.cohort_seeds) & set(DEVELOPMENT_SEEDS))
    if used:
        line += f"; cohorts {', '.join(map(str, used))} are development ones: not to be reported"
    return line + "."


def _stratum(table: pd.DataFrame, stratum: str, result: AuditResult) -> list[str]:
    own = table[(table["comparison"] == EVERY_KIND) & (table["stratum"] == stratum)]
    if own.empty:
        return []
    size = _size(stratum, result.median_ml)
    n = f"{own['n_honest'].max()} honest, {own['n_cheating'].max()} cheating models"
    lines = [f"{size} ({n}):"]
    for verdict, words in (
        ("trust", "to trust"),
        ("not resolved", "ahead, but not resolved with so few models"),
        ("distrust", "to distrust (interval reaches 0.5)"),
        ("reversed", "to distrust: cheats score as honest models should"),
        ("too few models", "too few models"),
    ):
        found = own[own["verdict"] == verdict].sort_values("auroc", ascending=False)
        lines += [f"  {words}:", *_by_method(found)] if len(found) else []
    return lines


def _by_method(rows: pd.DataFrame) -> list[str]:
    """A line a method: how far its scores part the models, then which they are, the best first."""
    lines = []
    for method, own in rows.groupby("method", sort=False):
        known = own.dropna(subset=["auroc"])
        if known.empty:
            told = "undefined"
        elif len(known) == 1:
            told = _estimate(known.iloc[0])
        else:
            low, high = known["auroc"].min(), known["auroc"].max()
            told = f"{high:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
            told += f", intervals from {known['low'].min():.2f}"
        named = "; ".join(AUDIT_SCORES[str(score)].words for score in own["score"])
        lines.append(f"    {method_name(str(method))} ({told}): {named}")
    return lines


def _kinds(table: pd.DataFrame) -> list[str]:
    """The headline kind by kind, and the best score of each."""
    lines = []
    everywhere = table[(table["stratum"] == "all") & (table["comparison"] != EVERY_KIND)]
    for name, own in everywhere.groupby("comparison", sort=False):
        said = []
        headline = own[own["headline"]]
        if len(headline):
            said.append(f"headline {_estimate(headline.iloc[0])}")
        told = own.dropna(subset=["auroc"]).sort_values("auroc", ascending=False)
        if len(told):
            best = told.iloc[0]
            said.append(f"highest {score_name(best['method'], best['score'])} {_estimate(best)}")
            blind = int((told["low"] <= 0.5).sum())
            said.append(f"{blind} of {len(told)} scores do not see it")
        n = f"{own['n_honest'].max()} honest, {own['n_cheating'].max()} cheating"
        lines.append(f"{name} ({n}): {'; '.join(said)}")
    return lines


def _mixed(scores: pd.DataFrame) -> list[str]:
    """Where mixed models lie by the headline: they stand on neither side."""
    named = (scores["method"] == HEADLINE[0]) & (scores["score"] == HEADLINE[1])
    own = scores[named & (scores["stratum"] == "all")]
    sides = own[own["usable"]].groupby("assigned")["value"].mean()
    told = ", ".join(f"{name} {value:+.2f}" for name, value in sides.items())
    return [
        f"{kind} (mixed, {len(rows)} models): headline {rows['value'].mean():+.2f} on average; "
        f"{told}"
        for kind, rows in own[own["assigned"] == "mixed"].groupby("kind", sort=False)
    ]


def _size(stratum: str, median_ml: float | None = None) -> str:
    volume = "" if median_ml is None else f" {median_ml:.1f} ml of core"
    return {
        "all": "all lesions",
        "small": f"small lesions{' below' if volume else ''}{volume}",
        "large": f"large lesions{' from' if volume else ''}{volume}{' on' if volume else ''}",
    }[stratum]


def _estimate(row: pd.Series) -> str:
    if row["auroc"] != row["auroc"]:
        return "undefined"
    return f"{row['auroc']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
