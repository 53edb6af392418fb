"""The findings in plain words, each sentence made of the numbers at hand and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from xrano.evaluation.text import LABELS
from xrano.experiments.evaluated_run import NETWORK
from xrano.experiments.report.gathered import Gathered, Judged, Scored
from xrano.experiments.report.number_words import (
    bits_interval,
    counted,
    interval_words,
    listed,
    percent,
    times,
)
from xrano.scoring.claims import CLAIMS
from xrano.scoring.pair_values import TRAINED
from xrano.scoring.summary import ALL, DESCRIPTIVE_BELOW
from xrano.viz.names import method_name
from xrano.viz.overlap_figure import is_reference

_CEILING = "mask"
"""The mask itself at the method's resolution: what could be reached, not a rival."""


def summary_paragraph(gathered: Gathered) -> str:
    """One paragraph: how right, where it looks, what beats it, what the controls say."""
    sentences = [_right(gathered), _beaten(gathered.judged)]
    if gathered.scored is not None:
        overall = overall_rows(gathered.scored)
        sentences += [_looks(overall), _untrained(overall), _rivals(overall)]
        sentences.append(_other_patients(gathered.scored.table("shuffle")))
        sentences.append(_few(gathered.scored))
    else:
        sentences.append(
            "Where it looks has not been scored, so nothing is said here about the tumour."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def findings(gathered: Gathered) -> list[str]:
    """One line a method, then the claims of the paper: what the paragraph has no room for."""
    if gathered.scored is None:
        return []
    lines = [_method_line(row) for row in network_rows(overall_rows(gathered.scored))]
    for row in gathered.scored.table("claims").to_dict("records"):
        lines.append(_claim_line(row))
    return lines


def overall_rows(scored: Scored) -> pd.DataFrame:
    """The primary analysis over all rated pairs."""
    summary = scored.table("summary")
    return summary[(summary["response"] == ALL) & summary["lift"].notna()]


def network_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Those that explain the network, as records."""
    return [_record(row) for row in rows.to_dict("records") if not is_reference(str(row["method"]))]


def _in_prose(method: str) -> str:
    """A method's name without a comma, since names are listed by commas.

    Example:
        >>> _in_prose("ig:prior")
        'Integrated gradients (prior scan)'
    """
    name, comma, rest = method_name(method).partition(", ")
    return f"{name} ({rest})" if comma else name


def _record(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _right(gathered: Gathered) -> str:
    network = gathered.judged.network
    if network is None:
        return f"How right the network is cannot be told: {gathered.judged.why}."
    chance = 1 / len(network["classes"])
    by_patient = gathered.run.config.grouping == "patient"
    unseen = "not seen" if by_patient else "seen on other days"
    recall = [
        f"{percent(network['recall'][name][0])} of {name}"
        for name in network["classes"]
        if network["recall"].get(name, [None])[0] is not None
    ]
    return (
        f"Asked for the response of {counted(network['n_pairs'], 'pair')} of scans of "
        f"{counted(network['n_patients'], 'patient')} that it had {unseen}, the network reached a "
        f"balanced accuracy of {interval_words(network['balanced_accuracy'])}, where guessing "
        f"gives {chance:.2f}; it recognised {listed(recall)}."
    )


def _beaten(judged: Judged) -> str:
    """How many references that need no network do better, and the best of them."""
    network = judged.network
    references = {
        name: found["balanced_accuracy"]
        for name, found in judged.found.items()
        if name != NETWORK and found["balanced_accuracy"][0] is not None
    }
    if network is None or not references or network["balanced_accuracy"][0] is None:
        return ""
    own = network["balanced_accuracy"]
    better = {name: found for name, found in references.items() if found[0] > own[0]}
    best = max(references, key=lambda name: float(references[name][0]))
    shown = f"{LABELS.get(best, best)}, {interval_words(references[best])}"
    if not better:
        return (
            f"None of {len(references)} references that need no network scored higher; the best "
            f"is: {shown}."
        )
    low, high = references[best][1], own[2]
    apart = low is not None and high is not None and low > high
    return (
        f"{len(better)} of {len(references)} references that need no network scored higher on "
        f"the same pairs; the best is: {shown}"
        + ("; its interval lies above the network's." if apart else "; the intervals overlap.")
    )


def _looks(overall: pd.DataFrame) -> str:
    rows = network_rows(overall)
    if not rows:
        return "No map qualifies for the primary analysis, so where it looks cannot be told."
    told = [f"{times(float(row['lift']))} by {_in_prose(str(row['method']))}" for row in rows]
    return (
        "Measured against a map that ignores the tumour, the tumour core (enhancing and necrotic, "
        f"of either scan) holds {listed(told)} as much relevance."
    )


def _untrained(overall: pd.DataFrame) -> str:
    """Which methods find the tumour more than they do on networks that learnt nothing."""
    more: list[str] = []
    less: list[str] = []
    same: list[str] = []
    for row in network_rows(overall):
        low, high = float(row["gain_low"]), float(row["gain_high"])
        if math.isnan(float(row["gain"])) or math.isnan(low) or math.isnan(high):
            continue
        (more if low > 0 else less if high < 0 else same).append(_in_prose(str(row["method"])))
    parts = [
        f"{listed(names)} {words}"
        for names, words in (
            (more, "mark the tumour more than on untrained copies of the network"),
            (same, "cannot be told from the same on untrained copies of the network"),
            (less, "mark it less than on untrained copies of the network"),
        )
        if names
    ]
    return f"{'; '.join(parts)}." if parts else ""


def _rivals(overall: pd.DataFrame) -> str:
    """Maps that need no network and mark the tumour more than the network's own."""
    rows = network_rows(overall)
    rivals = [
        row
        for row in overall.to_dict("records")
        if is_reference(str(row["method"])) and str(row["method"]).partition(":")[0] != _CEILING
    ]
    if not rows or not rivals:
        return ""
    best = max(rivals, key=lambda row: float(row["lift"]))
    beaten = [
        _in_prose(str(row["method"])) for row in rows if float(row["lift"]) < float(best["lift"])
    ]
    name, value = _in_prose(str(best["method"])), times(float(best["lift"]))
    if not beaten:
        return f"No simple map without a network marks it more; the best, {name}, has {value}."
    return f"A map that needs no network, {name}, has {value}, more than {listed(beaten)}."


def _other_patients(shuffle: pd.DataFrame) -> str:
    """What the confirmatory test says over all responses."""
    own = shuffle[(shuffle["response"] == ALL) & (shuffle["kind"] == TRAINED)]
    own = own[own["p_adjusted"].notna()]
    if own.empty:
        return ""
    fit = own[own["p_adjusted"] <= 0.05]
    names = listed([_in_prose(str(name)) for name in fit["method"]])
    if fit.empty:
        return (
            "Against the tumours of other patients of similar size, none of the maps fits its own "
            "patient's better (permutation test, corrected, 5 %)."
        )
    which = "all of them" if len(fit) == len(own) else names
    return (
        f"Put on the tumours of other patients of similar size instead, {which} "
        f"{'fit' if len(fit) > 1 else 'fits'} the own patient's better (permutation test, largest "
        f"corrected p {fit['p_adjusted'].max():.4f})."
    )


def _few(scored: Scored) -> str:
    summary = scored.table("summary")
    rows = summary[summary["descriptive"] & (summary["response"] != ALL)]
    names = list(dict.fromkeys(map(str, rows["response"])))
    if not names:
        return ""
    return (
        f"{listed(names)} {'has' if len(names) == 1 else 'have'} fewer than {DESCRIPTIVE_BELOW} "
        "patients: described, not compared."
    )


def _method_line(row: Mapping[str, Any]) -> str:
    line = (
        f"{_in_prose(str(row['method']))}: {times(float(row['lift']))} chance (log2 lift "
        f"{bits_interval(row, 'lift')})"
    )
    if not math.isnan(float(row["gain"])):
        line += f"; gain over untrained copies {bits_interval(row, 'gain')} bits"
    counts = f"{counted(int(row['n_patients']), 'patient')}, {counted(int(row['n_pairs']), 'pair')}"
    if row["n_undefined"]:
        counts += f", {int(row['n_undefined'])} undefined"
    return f"{line}; {counts}."


def _claim_line(row: Mapping[Any, Any]) -> str:
    """A claim of the paper, whether it holds here by the interval of its difference."""
    low, high = float(row["low"]), float(row["high"])
    if math.isnan(low) or math.isnan(high):
        verdict = "cannot be judged"
    elif row["descriptive"]:
        verdict = f"is not judged with fewer than {DESCRIPTIVE_BELOW} patients"
    elif low > 0:
        verdict = "holds here"
    elif high < 0:
        verdict = "is reversed here"
    else:
        verdict = "is not resolved here"
    return (
        f"The paper's claim “{CLAIMS.get(str(row['claim']), str(row['claim']))}” {verdict}: "
        f"{percent(row['first_rate'])} against {percent(row['second_rate'])} hits."
    )
