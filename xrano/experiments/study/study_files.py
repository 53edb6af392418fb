"""A study's result as files: one table, one figure, all numbers, and a command for each arm."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_json, write_text
from xrano.data.tables import write_table
from xrano.evaluation.comparison import Comparison
from xrano.evaluation.text import format_comparison, format_verdicts, rule_note
from xrano.experiments.study.collect import StudyResult, base_arm
from xrano.experiments.study.study_figures import write_figures
from xrano.experiments.study.units import folder_name

DISCLAIMER = "Research software, not a medical device."

COLUMNS = (
    *("name", "kind", "approach", "n_pairs", "n_patients"),
    *("balanced_accuracy", "low", "high", "seed_min", "seed_max"),
    *("fold_median", "fold_min", "fold_max", "macro_f1", "matthews", "quadratic_kappa", "ece"),
    *("against", "difference", "difference_low", "difference_high", "p", "p_holm"),
    *("smallest_difference", "verdict", "command"),
)
"""Of ``study.csv``: one row an arm or reference."""


def write_study(result: StudyResult, out: Path, *, command: str) -> list[Path]:
    """Write ``study.csv``, ``study.md``, ``study.json``, the predictions and the figures.

    Args:
        result: of the study.
        out: its folder.
        command: that made it; ``--arms NAME`` after it repeats one arm.

    Returns:
        The files for people, in the order to look at them.
    """
    commands = {arm.name: f"{command} --arms {shlex.quote(arm.name)}" for arm in result.arms}
    write_table(out / "study.csv", study_table(result, commands))
    for name, table in result.tables.items():
        write_table(out / "predictions" / f"{folder_name(name)}.csv", table)
    write_json(
        out / "study.json",
        {
            "evaluations": dict(result.evaluations),
            "comparisons": [item.to_json() for item in result.comparisons],
            "leak": None if result.leak is None else result.leak.to_json(),
            "unfinished": dict(result.unfinished),
            "reference_remarks": dict(result.remarks),
            "commands": commands,
        },
    )
    write_text(out / "study.md", _markdown(result, commands))
    return [out / "study.md", out / "study.csv", *write_figures(result, out)]


def study_table(result: StudyResult, commands: Mapping[str, str]) -> pd.DataFrame:
    """One row an arm or reference: :data:`COLUMNS`."""
    compared = {item.arm: item for item in result.comparisons}
    approaches = {arm.name: arm.approach for arm in result.arms}
    rows = []
    for name, found in result.evaluations.items():
        seeds = list(found["seeds"].values())
        folds = found["folds"] or {"median": None, "min": None, "max": None}
        value, low, high = found["balanced_accuracy"]
        rows.append(
            {
                "name": name,
                "kind": "arm" if name in approaches else "reference",
                "approach": approaches.get(name, ""),
                "n_pairs": found["n_pairs"],
                "n_patients": found["n_patients"],
                "balanced_accuracy": value,
                "low": low,
                "high": high,
                "seed_min": min(seeds, default=None),
                "seed_max": max(seeds, default=None),
                "fold_median": folds["median"],
                "fold_min": folds["min"],
                "fold_max": folds["max"],
                **{key: found[key][0] for key in ("macro_f1", "matthews", "quadratic_kappa")},
                "ece": (found["calibration"] or {}).get("ece"),
                **_comparison_cells(compared.get(name)),
                "command": commands.get(name, ""),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def study_text(result: StudyResult, *, markdown: bool = False) -> str:
    """The result in words and tables: judged alone, compared, each approach, the leak."""
    blocks = []
    for task_classes in dict.fromkeys(tuple(e["classes"]) for e in result.evaluations.values()):
        own = {
            name: found
            for name, found in result.evaluations.items()
            if tuple(found["classes"]) == task_classes
        }
        blocks.append(format_comparison(own, markdown=markdown))
    if result.comparisons:
        blocks.append(format_verdicts(result.comparisons, markdown=markdown))
    lines = approach_verdicts(result)
    lines += [result.leak.sentence()] if result.leak is not None else []
    lines += [f"not finished: {name} ({why})" for name, why in result.unfinished.items()]
    lines += [f"{name}: {why}" for name, why in result.remarks.items()]
    base = base_arm(result.arms)
    if base is not None and (note := rule_note(result.tables[base.name])):
        lines.append(note)
    lines += [
        "Intervals and tests are over patients and conditional on the trained networks; the seeds "
        "show how much training anew changes.",
        DISCLAIMER,
    ]
    join = "\n\n" if markdown else "\n"
    return "\n\n".join([*blocks, join.join(lines)])


def approach_verdicts(result: StudyResult) -> list[str]:
    """One sentence an approach: what was better or worse, and what was not resolved."""
    sentences = []
    for approach in dict.fromkeys(arm.approach for arm in result.arms):
        names = [arm.name for arm in result.arms if arm.approach == approach]
        found = [item for item in result.comparisons if item.arm in names]
        if found:
            sentences.append(f"{approach}: {_words(found)}")
    return sentences


def _words(found: Sequence[Comparison]) -> str:
    parts = []
    for verdict in ("better", "worse", "not resolved", "not comparable"):
        own = [item for item in found if item.verdict == verdict]
        if own:
            parts.append(f"{verdict}: " + ", ".join(f"{item.arm} ({_size(item)})" for item in own))
    return "; ".join(parts)


def _size(item: Comparison) -> str:
    said = f"{item.difference.value:+.2f} against {item.reference}".replace("-", "−", 1)
    if item.verdict == "not resolved" and item.smallest_difference == item.smallest_difference:
        said += f", {item.smallest_difference:.2f} could have been seen"
    return said


def _comparison_cells(item: Comparison | None) -> dict[str, Any]:
    if item is None:
        return {}
    difference = item.difference
    return {
        "against": item.reference,
        "difference": difference.value,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p": item.p,
        "p_holm": item.p_holm,
        "smallest_difference": item.smallest_difference,
        "verdict": item.verdict,
    }


def _markdown(result: StudyResult, commands: Mapping[str, str]) -> str:
    lines = [study_text(result, markdown=True), "", "To repeat one arm:", ""]
    lines += [f"* {name}: `{command}`" for name, command in commands.items()]
    return "\n".join(lines) + "\n"
