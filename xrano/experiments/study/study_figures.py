"""The figures of a study: forest plots by task, and the reliability of its base arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xrano.experiments.study.collect import StudyResult, base_arm
from xrano.tasks import RESPONSE, TASKS
from xrano.viz.figure_files import save_figure
from xrano.viz.forest_figure import forest_figure
from xrano.viz.forest_rows import ForestRow
from xrano.viz.reliability_figure import calibration_figure

WITHOUT_NETWORK = "without a network"
"""What references stand under."""


def write_figures(result: StudyResult, out: Path) -> list[Path]:
    """Write ``forest.png`` (of another task ``forest-TASK.png``) and ``reliability.png``."""
    written = []
    for task in TASKS.values():
        rows = forest_rows(result, task.classes)
        if rows:
            name = "forest.png" if task is RESPONSE else f"forest-{task.name}.png"
            figure = forest_figure(rows, n_classes=len(task.classes), paper_line=task is RESPONSE)
            save_figure(figure, out / name, dpi=200)
            written.append(out / name)
    base = base_arm(result.arms)
    calibration = result.evaluations[base.name]["calibration"] if base is not None else None
    if base is not None and calibration:
        figure = calibration_figure(calibration, title=base.name)
        save_figure(figure, out / "reliability.png", dpi=200)
        written.append(out / "reliability.png")
    return written


def forest_rows(result: StudyResult, classes: tuple[str, ...]) -> list[ForestRow]:
    """Arms by approach, then references, of the task that has these classes."""
    verdicts = {item.arm: item.verdict for item in result.comparisons}
    approaches = {arm.name: arm.approach for arm in result.arms}
    names = [
        name for name, found in result.evaluations.items() if tuple(found["classes"]) == classes
    ]
    order = list(dict.fromkeys(approaches.values()))
    names.sort(key=lambda name: order.index(approaches[name]) if name in approaches else 99)
    return [
        forest_row(
            name,
            result.evaluations[name],
            approaches.get(name, WITHOUT_NETWORK),
            # What a reference is better or worse than is the base arm: told in the table.
            verdicts.get(name, ""),
            is_reference=name not in approaches,
        )
        for name in names
    ]


def forest_row(
    name: str, found: dict[str, Any], approach: str, verdict: str, *, is_reference: bool
) -> ForestRow:
    """A line of the plot from what an evaluation found."""
    value, low, high = (
        np.nan if number is None else float(number) for number in found["balanced_accuracy"]
    )
    folds = [one["balanced_accuracy"] for one in (found["folds"] or {"each": []})["each"]]
    return ForestRow(
        name,
        approach,
        value,
        low,
        high,
        found["n_pairs"],
        seeds=tuple(found["seeds"].values()) if not is_reference else (),
        folds=tuple(fold for fold in folds if fold is not None),
        verdict=verdict,
        is_reference=is_reference,
    )
