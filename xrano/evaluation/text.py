"""Evaluations and comparisons as tables, for a terminal or in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from xrano.evaluation.comparison import Comparison
from xrano.evaluation.estimates import DASH, show_estimate, show_number

LABELS: Mapping[str, str] = {"majority class": "majority class of each fold"}
"""Row name to what people read."""


def format_comparison(found: Mapping[str, Mapping[str, Any]], *, markdown: bool = False) -> str:
    """One row an arm: pairs, balanced accuracy, macro-F1, folds and recalls.

    Args:
        found: name of each arm to its :func:`~xrano.evaluation.evaluate.evaluate_predictions`,
            all of the same classes.
        markdown: a Markdown table instead of aligned columns.
    """
    classes = next(iter(found.values()))["classes"]
    head = ["", "pairs", "balanced accuracy", "folds: median (range)", "macro-F1"]
    head += [f"recall {name}" if markdown else name for name in classes]
    rows = []
    for name, result in found.items():
        recall = [result["recall"].get(item, [None])[0] for item in classes]
        rows.append(
            [
                LABELS.get(name, name),
                str(result["n_pairs"]),
                show_estimate(result["balanced_accuracy"]),
                _show_folds(result["folds"]),
                show_estimate(result["macro_f1"]),
                *(show_number(value) for value in recall),
            ]
        )
    lines = _markdown(head, rows) if markdown else _aligned(head, rows, over=("recall", 5))
    return "\n".join([*lines, *_notes(found, markdown=markdown)])


def format_verdicts(comparisons: Sequence[Comparison], *, markdown: bool = False) -> str:
    """One row a comparison: difference, corrected p, smallest difference, seeds and verdict."""
    head = [
        "",
        "against",
        "pairs",
        "balanced accuracy",
        "seeds",
        "difference",
        "p (Holm)",
        "could have seen",
        "verdict",
    ]
    rows = [
        [
            LABELS.get(item.arm, item.arm),
            LABELS.get(item.reference, item.reference),
            str(item.n_pairs),
            show_number(item.arm_value.value),
            _show_range(item.arm_seeds),
            show_estimate(item.difference.to_json(), signed=True),
            _show_p(item.p_holm),
            show_number(item.smallest_difference),
            item.verdict,
        ]
        for item in comparisons
    ]
    lines = _markdown(head, rows) if markdown else _aligned(head, rows)
    note = next((note for note in map(one_case_note, comparisons) if note), "")
    return "\n".join([*lines, *([""] if markdown and note else []), *([note] if note else [])])


def one_case_note(comparison: Comparison) -> str:
    """What a single case of the rarest class weighs; empty if no pair is shared.

    ``One case of class PR is 0.05 of that class's recall and 0.012 of balanced accuracy.``
    """
    cases = comparison.one_case
    if not cases:
        return ""
    name = max(cases, key=lambda item: cases[item])
    return (
        f"One case of class {name} is {cases[name]:.2g} of that class's recall and "
        f"{cases[name] / len(cases):.2g} of balanced accuracy."
    )


def rule_note(table: pd.DataFrame) -> str:
    """What to say where responses are the volumetric rule's; empty if none is.

    Args:
        table: predictions or scores, with pair_id and rating_source.

    Example:
        >>> found = rule_note(pd.DataFrame({"pair_id": ["a", "b"], "rating_source": ["rule", ""]}))
        >>> found.split(",")[0]
        '1 of 2 pairs are rated by the volumetric rule'
    """
    sources = table.drop_duplicates("pair_id")["rating_source"]
    ruled = int((sources == "rule").sum())
    if not ruled:
        return ""
    return (
        f"{ruled} of {len(sources)} pairs are rated by the volumetric rule, not by a reader: "
        "agreement with that rule says nothing"
    )


def _notes(found: Mapping[str, Mapping[str, Any]], *, markdown: bool) -> list[str]:
    first = next(iter(found.values()))
    notes = []
    if first["absent"]:
        notes.append(
            f"no pair of class {', '.join(first['absent'])}: the averages are over the others"
        )
    alone = [name for name, count in first["patients_per_class"].items() if count == 1]
    if alone and first["n_patients"] > 1:
        notes.append(
            f"a single patient has class {', '.join(alone)}: no interval knows how patients of "
            f"that class differ"
        )
    return ["", *notes] if notes and markdown else notes


def _show_folds(folds: Mapping[str, Any] | None) -> str:
    if folds is None:
        return DASH
    low, high = show_number(folds["min"]), show_number(folds["max"])
    return f"{show_number(folds['median'])} ({low}–{high})"


def _show_range(values: Sequence[float]) -> str:
    """``0.48–0.53 (3)``: the lowest and highest seed, and how many; a dash for a single one."""
    if len(values) < 2:
        return DASH
    return f"{show_number(min(values))}–{show_number(max(values))} ({len(values)})"


def _show_p(p: float) -> str:
    if np.isnan(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _aligned(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, over: tuple[str, int] | None = None
) -> list[str]:
    """Columns padded to their widest cell; ``over``: a word above the columns from an index on."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    numeric = [
        all(cell == DASH or cell[-1:].isdigit() for cell in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(head)
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]
    if over is None:
        return lines
    word, start = over
    return [" " * (sum(widths[:start]) + 2 * start) + word, *lines]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    ruled = ["---"] * len(head)
    return [f"| {' | '.join(row)} |" for row in (head, ruled, *rows)]
