"""What a study will take: folds, steps and hours, before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xrano.data.store import Store, open_store
from xrano.errors import ConfigError
from xrano.experiments.shards import of_shard
from xrano.experiments.study.run_study import leak_arms, study_units
from xrano.experiments.study.study_file import CohortSource, Study
from xrano.experiments.study.units import Unit, plan_units
from xrano.training.config import RunConfig
from xrano.training.plan import expected_training_pairs
from xrano.training.run import rated, run_pairs
from xrano.training.sampling import batch_count

PROCESSES = (1, 8, 64)
"""Numbers of processes, or shards, that hours are told for."""


@dataclass(frozen=True)
class UnitSteps:
    """One fold to train: pairs and steps of an epoch, and the most epochs."""

    label: str
    pairs: int
    steps: int
    epochs: int

    @property
    def most(self) -> int:
        """Steps if it is never stopped early."""
        return self.steps * self.epochs


@dataclass(frozen=True)
class ShardsPlan:
    """The work divided: of the shard that has most, its folds, steps and hours.

    ``hours``: of that shard, so of the study; ``process_hours``: of all processes until it ends.
    Both are ``None`` without the seconds of a step.
    """

    processes: int
    folds: int
    steps: int
    hours: float | None
    process_hours: float | None


def study_steps(
    study: Study, root: Path, *, arms: Sequence[str] = (), pairs: int = 0
) -> list[UnitSteps]:
    """Every fold that a study trains, in the order in which shards take them.

    Args:
        study: the study.
        root: its folder; nothing is written there.
        arms: only these; all, and the 2×2 of the leak, if none is named.
        pairs: rated pairs of the cohort; counted in its store if 0.

    Raises:
        ConfigError: if the pairs are to be counted and the phantom has not been made yet.
        ManifestError: if the store is none.
        UnknownNameError: for an arm that does not exist.
    """
    if pairs < 0:
        raise ConfigError(f"pairs must be ≥ 1, got {pairs}")
    store = None if pairs else _counted(study.cohort, root / "cohort")
    units = study_units(study, root, arms=arms, store=store.root if store else Path("store"))
    found = [_steps(unit, store, pairs) for unit in units]
    if study.leak is not None and not arms:
        own = study.leak.cohort != study.cohort
        if own and not pairs:
            store = _counted(study.leak.cohort, root / "leak" / "cohort")
        for arm in leak_arms(study.leak).values():
            found += [
                _steps(unit, store, pairs)
                for unit in plan_units(
                    [arm],
                    store=store.root if store else Path("store"),
                    splits=root / "leak" / "splits.json",
                    seeds=study.leak.seeds,
                    n_folds=study.leak.n_folds,
                    cases=(),
                    root=root / "leak" / "runs",
                )
            ]
    return found


def plan_shards(
    steps: Sequence[UnitSteps], processes: int, step_seconds: float | None = None
) -> ShardsPlan:
    """The same work by some processes, each a shard.

    Args:
        steps: every fold.
        processes: how many.
        step_seconds: of one step on one of them.

    Example:
        >>> folds = [UnitSteps("arm, fold 0", 40, 10, 60), UnitSteps("arm, fold 1", 40, 10, 60)]
        >>> plan_shards(folds, 1, 3.0)
        ShardsPlan(processes=1, folds=2, steps=1200, hours=1.0, process_hours=1.0)
        >>> plan_shards(folds, 8, 3.0)
        ShardsPlan(processes=8, folds=1, steps=600, hours=0.5, process_hours=1.0)
    """
    shards = [of_shard(steps, (index, processes)) for index in range(1, processes + 1)]
    sums = [sum(unit.most for unit in shard) for shard in shards]
    hours = None if step_seconds is None else max(sums) * step_seconds / 3600
    spent = None if step_seconds is None else sum(sums) * step_seconds / 3600
    return ShardsPlan(processes, max(map(len, shards)), max(sums), hours, spent)


def plan_rows(plans: Sequence[ShardsPlan]) -> list[list[str]]:
    """The plans as a table's rows of cells, the heading first."""
    rows = [["processes", "folds each", "steps each", "hours", "process hours"]]
    for plan in plans:
        times = (plan.hours, plan.process_hours)
        told = ["" if hours is None else f"{hours:.1f}" for hours in times]
        rows.append([str(plan.processes), str(plan.folds), str(plan.steps), *told])
    return rows


def _steps(unit: Unit, store: Store | None, pairs: int) -> UnitSteps:
    settings = unit.config.training
    training = expected_training_pairs(unit.config, _found(unit.config, store, pairs))
    return UnitSteps(
        unit.label, training, batch_count(training, settings.batch_size), settings.epochs
    )


def _found(config: RunConfig, store: Store | None, pairs: int) -> int:
    return pairs if store is None else len(rated(run_pairs(config, store)[0]))


def _counted(source: CohortSource, made: Path) -> Store:
    if source.store is not None:
        return open_store(source.store)
    if not (made / "store" / "store.json").is_file():
        raise ConfigError(
            f"the phantom cohort in {made} is not made yet: run the study with --cohort-only, or "
            "say by --pairs how many rated pairs to count with"
        )
    return open_store(made / "store")
