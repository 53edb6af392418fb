"""Train what is not trained yet; an arm that fails does not stop the others."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xrano.data.tables import write_table
from xrano.errors import XranoError, is_out_of_memory
from xrano.evaluation.classification import balanced_accuracy
from xrano.experiments.study.units import Unit
from xrano.progress import minutes
from xrano.tasks import TASKS
from xrano.training.run import fold_folder, read_predictions
from xrano.training.train_run import train_run

FAILURE_COLUMNS = ("arm", "seed", "fold", "error")

ADVICE = (
    "out of memory: use a smaller training.batch_size or network, model.checkpointing, or a "
    "coarser spacing"
)


@dataclass(frozen=True)
class Failure:
    """A unit that could not be trained, and why."""

    unit: Unit
    error: str


def run_units(
    units: Sequence[Unit], *, say: Callable[[str], object], clock: Callable[[], float] = time.time
) -> list[Failure]:
    """Train the units that are not finished, and tell of each with the time left.

    Args:
        units: what to do, in this order.
        say: takes lines for the user.
        clock: seconds.

    Returns:
        The units that failed; whatever could be mended by its user or by more memory is caught.
    """
    waiting = [unit for unit in units if not unit.finished]
    if len(waiting) < len(units):
        say(f"{len(units) - len(waiting)} of {len(units)} folds are trained already")
    spent: dict[str, list[float]] = defaultdict(list)
    failures: list[Failure] = []
    for number, unit in enumerate(waiting):
        start = clock()
        failure = _attempt(unit, say)
        spent[unit.arm.name].append(clock() - start)
        if failure is not None:
            failures.append(failure)
            said = f"failed: {failure.error}"
        else:
            said = f"balanced accuracy {_accuracy(unit):.2f}"
        left = _seconds_left(waiting[number + 1 :], spent)
        say(f"[{number + 1}/{len(waiting)}] {unit.label}: {said}; {minutes(left)} left")
    return failures


def write_failures(failures: Sequence[Failure], path: Path) -> None:
    """The table of what failed; without any the file is removed."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    rows = [(one.unit.arm.name, one.unit.seed, one.unit.fold, one.error) for one in failures]
    write_table(path, pd.DataFrame(rows, columns=list(FAILURE_COLUMNS)))


def _attempt(unit: Unit, say: Callable[[str], object]) -> Failure | None:
    try:
        train_run(unit.config, unit.root, report=lambda *_: None, say=say)
    except XranoError as error:
        return Failure(unit, " ".join(str(error).split()))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return Failure(unit, ADVICE)
    return None


def _accuracy(unit: Unit) -> float:
    table = read_predictions(fold_folder(unit.root, unit.fold) / "predictions.csv")
    return balanced_accuracy(
        table["response"].to_numpy(dtype=object),
        table["predicted"].to_numpy(dtype=object),
        TASKS[unit.config.task].classes,
    )


def _seconds_left(waiting: Sequence[Unit], spent: dict[str, list[float]]) -> float:
    """By each arm's own mean, or that of all where it has none yet."""
    every = [seconds for one in spent.values() for seconds in one]
    mean = sum(every) / len(every)
    return sum(
        sum(spent[unit.arm.name]) / len(spent[unit.arm.name]) if spent.get(unit.arm.name) else mean
        for unit in waiting
    )
