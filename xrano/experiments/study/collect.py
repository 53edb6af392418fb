"""What a study's runs say, judged by one measure: arms, references, differences, the leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from xrano.data.splits import is_tested
from xrano.evaluation.comparison import Comparison, compare_arms
from xrano.evaluation.evaluate import evaluate_predictions
from xrano.evaluation.leak import Leak, measure_leak
from xrano.experiments.study.arms import Arm
from xrano.experiments.study.run_study import OpenStudy
from xrano.experiments.study.units import Unit
from xrano.progress import Progress, quiet
from xrano.references.catalogue import reference_predictions
from xrano.tasks import RESPONSE, TASKS, Task
from xrano.training.run import fold_folder, rated, read_predictions, run_pairs


@dataclass(frozen=True)
class StudyResult:
    """Everything that the tables and figures of a study are made of.

    ``evaluations``: by name of arm or reference, see
    :func:`~xrano.evaluation.evaluate.evaluate_predictions`; ``tables``: their predictions;
    ``unfinished``: arm to how many of its folds are trained; ``remarks``: reference to why it is
    missing or lacks pairs.
    """

    arms: tuple[Arm, ...]
    references: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]
    evaluations: Mapping[str, dict[str, Any]]
    comparisons: tuple[Comparison, ...]
    leak: Leak | None = None
    unfinished: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)


def collect_study(opened: OpenStudy, *, progress: Progress = quiet) -> StudyResult:
    """Judge every arm whose folds are all trained, and the references on the same pairs.

    References are compared with the base arm, arms with what they name; Holm's correction is over
    all comparisons of a task.
    """
    study = opened.study
    tables: dict[str, pd.DataFrame] = {}
    unfinished: dict[str, str] = {}
    for arm in dict.fromkeys(unit.arm for unit in opened.units):
        units = [unit for unit in opened.units if unit.arm is arm]
        done = [unit for unit in units if unit.finished]
        if len(done) == len(units):
            tables[arm.name] = pooled(units)
        else:
            unfinished[arm.name] = f"{len(done)} of {len(units)} folds trained"
    arms = tuple(arm for arm in study.arms if arm.name in tables)
    references: dict[str, pd.DataFrame] = {}
    remarks: dict[str, str] = {}
    base = base_arm(arms)
    task = TASKS[base.config().task] if base is not None else RESPONSE
    if study.references and base is not None:
        references, remarks = _references(opened, task)
    evaluations = {
        name: evaluate_predictions(
            table, classes=_classes(arms, name, task), n_resamples=study.n_resamples
        )
        for name, table in progress(list({**tables, **references}.items()), "judging")
    }
    return StudyResult(
        arms,
        tuple(references),
        {**tables, **references},
        evaluations,
        tuple(_compare(opened, arms, tables, references)),
        _leak(opened),
        unfinished,
        remarks,
    )


def pooled(units: Sequence[Unit]) -> pd.DataFrame:
    """The out-of-fold predictions of all folds and seeds of an arm, with a column ``seed``."""
    parts = [
        read_predictions(fold_folder(unit.root, unit.fold) / "predictions.csv").assign(
            seed=unit.seed
        )
        for unit in units
    ]
    return pd.concat(parts, ignore_index=True)


def base_arm(arms: Sequence[Arm]) -> Arm | None:
    """The first arm that tells all four responses apart; the first of all if none does."""
    first = next(iter(arms), None)
    return next((arm for arm in arms if arm.config().task == RESPONSE.name), first)


def _classes(arms: Sequence[Arm], name: str, otherwise: Task) -> tuple[str, ...]:
    for arm in arms:
        if arm.name == name:
            return TASKS[arm.config().task].classes
    return otherwise.classes


def _references(opened: OpenStudy, task: Task) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """On every pair that the folds divide."""
    first = opened.units[0].config
    pairs = rated(opened.store.pairs)
    if first.cases:
        pairs = rated(run_pairs(first, opened.store)[0])
    parts, training = [], {}
    for fold in range(len(opened.splits["folds"])):
        inside = is_tested(pairs, opened.splits, fold)
        parts.append(pairs[inside].assign(fold=fold))
        training[fold] = pairs[~inside].reset_index(drop=True)
    return reference_predictions(
        opened.store,
        pd.concat(parts, ignore_index=True),
        training,
        task=task,
        seed=opened.study.fold_seed,
    )


def _compare(
    opened: OpenStudy,
    arms: Sequence[Arm],
    tables: Mapping[str, pd.DataFrame],
    references: Mapping[str, pd.DataFrame],
) -> list[Comparison]:
    """Arms against what they name, then references against the base arm; one family a task."""
    found: list[Comparison] = []
    base = base_arm(arms)
    for task in TASKS.values():
        own = {arm.name: tables[arm.name] for arm in arms if arm.config().task == task.name}
        family = [(arm.name, arm.against) for arm in arms if arm.name in own and arm.against in own]
        if base is not None and base.name in own:
            family += [(name, base.name) for name in references]
            own |= references
        if family:
            found += compare_arms(
                own,
                family,
                classes=task.classes,
                n_resamples=opened.study.n_resamples,
                n_permutations=opened.study.n_permutations,
            )
    return found


def _leak(opened: OpenStudy) -> Leak | None:
    cells = opened.leak_units
    if not cells or not all(unit.finished for units in cells.values() for unit in units):
        return None
    classes = TASKS[next(iter(cells.values()))[0].config.task].classes
    return measure_leak(
        {cell: pooled(units) for cell, units in cells.items()},
        classes=classes,
        n_resamples=opened.study.n_resamples,
    )
