"""The table of cases, which of them have a page, and what its file is called."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from xrano.errors import ConfigError
from xrano.evaluation.calibration import probabilities
from xrano.evaluation.predictions import logit_columns
from xrano.experiments.report.gathered import Gathered, Scored
from xrano.experiments.report.number_words import bits, percent
from xrano.experiments.report.overlap_section import STATUS_WORDS
from xrano.rano import RESPONSES
from xrano.report.cohort_page import CaseRow, CaseScore
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import PRIMARY_METRIC
from xrano.viz.overlap_figure import is_reference

CASES_FOLDER = "cases"

_LONGEST = 80
"""Characters of a file's name, so that no file system refuses it."""

_MOST_METHODS = 6
"""Columns of methods in the table of cases."""


def chosen_cases(cases: pd.DataFrame, asked: str) -> list[str]:
    """Ids of the pairs that have a page.

    Args:
        cases: held-out pairs, with ``pair_id`` and ``response``.
        asked: ``all``, ``none``, or how many: responses take turns, each in the order of its ids.

    Raises:
        ConfigError: for anything else.

    Example:
        >>> cases = pd.DataFrame({"pair_id": ["a", "b", "c"], "response": ["PD", "PD", "CR"]})
        >>> chosen_cases(cases, "2"), chosen_cases(cases, "none")
        (['c', 'a'], [])
    """
    if asked == "none":
        return []
    if asked == "all":
        return [str(name) for name in cases["pair_id"]]
    if not re.fullmatch(r"[0-9]+", asked):
        raise ConfigError(f"cases is all, none or a number of pages, got {asked!r}")
    order = [*map(str, RESPONSES), *sorted(set(cases["response"]) - set(map(str, RESPONSES)))]
    queues = [sorted(map(str, cases.loc[cases["response"] == name, "pair_id"])) for name in order]
    turns = [
        pair for place in range(len(cases)) for pair in (q[place] for q in queues if place < len(q))
    ]
    return turns[: int(asked)]


def page_names(pair_ids: Iterable[str]) -> dict[str, str]:
    """File name of each pair's page: ASCII letters, digits, ``-``, ``_`` and ``.`` only.

    An id that has to be changed, or is too long, ends with eight digits of its hash, so that no
    two ids share a file, not even where capitals do not count.

    Example:
        >>> page_names(["P-1_week-0_week-9"])
        {'P-1_week-0_week-9': 'P-1_week-0_week-9.html'}
        >>> list(page_names(["é <b>"]).values())[0].split("-")[0]
        'e'
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for pair_id in pair_ids:
        plain = unicodedata.normalize("NFKD", pair_id).encode("ascii", "ignore").decode()
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:_LONGEST]
        if name != pair_id or name.lower() in taken or _is_reserved(name):
            digest = hashlib.sha256(pair_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            name = f"{'case-' if _is_reserved(name) else ''}{name}-{digest}".replace("--", "-")
        taken.add(name.lower())
        found[pair_id] = f"{name}.html"
    return found


def case_methods(scored: Scored | None) -> list[str]:
    """The network's methods that have a column."""
    if scored is None:
        return []
    labels = [str(label) for label in dict.fromkeys(scored.primary["label"])]
    return [label for label in labels if not is_reference(label)][:_MOST_METHODS]


def case_rows(gathered: Gathered, pages: Mapping[str, str]) -> list[CaseRow]:
    """A row for every held-out pair, in the order of the run's pairs.

    Args:
        gathered: what the report is made of.
        pages: file name of the page of each pair that has one.
    """
    predicted = _predictions(gathered)
    scores = _scores(gathered.scored)
    methods = case_methods(gathered.scored)
    scored_ids = set() if gathered.scored is None else set(gathered.scored.tables["scores"].pair_id)
    rows = []
    for pair in gathered.cases.to_dict("records"):
        pair_id = str(pair["pair_id"])
        response = str(pair["response"])
        named, probability = predicted.get(pair_id, ("", None))
        own = [scores.get((pair_id, method)) for method in methods]
        page = pages.get(pair_id, "")
        rows.append(
            CaseRow(
                pair_id,
                str(pair["patient_id"]),
                _weeks(pair),
                response,
                named,
                probability,
                _verdict(gathered, response, named),
                tuple(_case_score(row) for row in own),
                _status(pair, own, scored=pair_id in scored_ids, gathered=gathered),
                f"{CASES_FOLDER}/{quote(page)}" if page else "",
            )
        )
    return rows


def _is_reserved(name: str) -> bool:
    """Names that Windows keeps for devices, with any ending."""
    first = name.split(".")[0].upper()
    return (
        not name
        or first in {"CON", "PRN", "AUX", "NUL"}
        or bool(re.fullmatch(r"(COM|LPT)[0-9]", first))
    )


def _predictions(gathered: Gathered) -> dict[str, tuple[str, float | None]]:
    """Predicted class and its probability by pair; of unrated pairs only what scores tell."""
    found: dict[str, tuple[str, float | None]] = {}
    if gathered.scored is not None:
        scored = gathered.scored.tables["scores"].drop_duplicates("pair_id")
        for pair_id, name in zip(scored["pair_id"], scored["predicted"], strict=True):
            found[str(pair_id)] = (str(name), None)
    table = gathered.predictions
    if table is None:
        return found
    columns = logit_columns(gathered.run.task.classes)
    if set(columns) <= set(table.columns) and len(table):
        largest = probabilities(table[columns].to_numpy(dtype=np.float64)).max(axis=1)
    else:
        largest = np.full(len(table), np.nan)
    for pair_id, name, value in zip(table["pair_id"], table["predicted"], largest, strict=True):
        found[str(pair_id)] = (str(name), None if math.isnan(value) else float(value))
    return found


def _scores(scored: Scored | None) -> dict[tuple[str, str], Mapping[str, Any]]:
    if scored is None:
        return {}
    rows = scored.primary.to_dict("records")
    return {
        (str(row["pair_id"]), str(row["label"])): {str(key): value for key, value in row.items()}
        for row in rows
    }


def _case_score(row: Mapping[str, Any] | None) -> CaseScore:
    """Lift of one map, and below it the share in the tumour beside that of chance."""
    if row is None or math.isnan(row["value"]):
        return CaseScore("–", "", math.nan)
    value, chance = float(row["value"]), float(row["chance"])
    lift = math.log2(value / chance) if value > 0 and chance > 0 else -math.inf
    note = f"{percent(value, 1)} / {percent(chance, 1)}"
    # JavaScript reads no ∞; below every real lift.
    return CaseScore(bits(lift), note, lift if math.isfinite(lift) else -1e9)


def _weeks(pair: Mapping[Any, Any]) -> float | None:
    try:
        weeks = float(pair["current_week"]) - float(pair["prior_week"])
    except (KeyError, TypeError, ValueError):
        return None
    return weeks if math.isfinite(weeks) else None


def _verdict(gathered: Gathered, response: str, predicted: str) -> str:
    if not response:
        return "unrated"
    if not predicted or gathered.judged.network is None:
        return "not judged"
    return "right" if gathered.run.task.class_of(response) == predicted else "wrong"


def _status(
    pair: Mapping[Any, Any],
    own: Sequence[Mapping[str, Any] | None],
    *,
    scored: bool,
    gathered: Gathered,
) -> str:
    """What is to know of a pair's scores."""
    if gathered.scored is None or not scored:
        return "not scored"
    if str(pair.get("spans_surgery")) == "True":
        return "spans an operation"
    if all(row is None for row in own):
        return "no primary score"
    undefined = [row for row in own if row is not None and math.isnan(row["value"])]
    if not undefined:
        return "defined"
    return _why(gathered.scored, str(pair["pair_id"]), len(undefined) == len(own))


def _why(scored: Scored, pair_id: str, whole: bool) -> str:
    """Why the primary scores of a pair are undefined, by the first status that is not ok."""
    table = scored.tables["scores"]
    own = table[
        (table["pair_id"] == pair_id)
        & (table["region"] == PRIMARY_REGION)
        & (table["metric"] == PRIMARY_METRIC)
        & (table["status"] != "ok")
    ]
    name = str(own["status"].iloc[0]) if len(own) else "undefined"
    words = STATUS_WORDS.get(name, name)
    return words if whole else f"partly: {words}"
