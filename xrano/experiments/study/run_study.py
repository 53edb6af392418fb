"""A study from its file to its tables: cohort, folds, training, then what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd

from xrano.data.splits import Splits, make_folds, read_splits, write_splits
from xrano.data.store import Store, open_store
from xrano.errors import ConfigError, ManifestError, UnfinishedError, UnknownNameError
from xrano.experiments.phantom_store import make_store
from xrano.experiments.shards import of_shard, parse_shard
from xrano.experiments.study.arms import Arm, merged, with_preset
from xrano.experiments.study.run_units import Failure, run_units, write_failures
from xrano.experiments.study.study_file import (
    CohortSource,
    LeakPlan,
    Study,
    union_of_sequences,
)
from xrano.experiments.study.units import (
    Unit,
    plan_units,
    require_folders,
)
from xrano.progress import Progress, quiet
from xrano.training.run import rated, run_pairs
from xrano.training.train_run import check_names

SPLITS = "splits.json"
"""The folds that all arms share, in a study's folder."""

LEAK_CELLS = tuple(product(("patient", "timepoint"), ("inner", "test")))


@dataclass(frozen=True)
class OpenStudy:
    """A study with its cohorts made, its folds drawn and its work laid out.

    ``units``: of the arms; ``leak_units``: of the 2×2, by (grouping, selection).
    """

    study: Study
    root: Path
    store: Store
    splits: Splits
    units: tuple[Unit, ...]
    leak_units: dict[tuple[str, str], tuple[Unit, ...]]

    @property
    def every_unit(self) -> list[Unit]:
        """All of the work."""
        return [*self.units, *(unit for units in self.leak_units.values() for unit in units)]


def open_study(
    study: Study,
    root: Path,
    *,
    arms: Sequence[str] = (),
    sharded: bool = False,
    progress: Progress = quiet,
) -> OpenStudy:
    """Make the cohorts and folds that are not there yet, and lay out the work.

    Args:
        study: the study.
        root: its folder.
        arms: those to work on; all (and the 2×2) if none is named.
        sharded: whether other processes work on the same folder: then phantoms must be there.
        progress: how to show progress.

    Raises:
        UnknownNameError: for an arm, network, stem or sequence that does not exist.
        ManifestError: if an arm needs sequences that no rated pair has.
        ConfigError: if the folder holds another study's folds.
    """
    chosen = [study.arm(name) for name in arms] if arms else list(study.arms)
    require_folders(study.arms)
    store = _cohort(study.cohort, root / "cohort", sharded, progress)
    cases = union_of_sequences(study) if study.same_cases else ()
    for arm in chosen:
        _require_names(arm, store)
    for arm in chosen:
        _require_pairs(arm, store, cases)
    pairs = rated(store.pairs)
    if cases:
        pairs = rated(run_pairs(chosen[0].config(cases=list(cases)), store)[0])
    splits = _folds(root / SPLITS, pairs, study.n_folds, study.fold_seed, "patient")
    units = study_units(study, root, arms=arms, store=store.root)
    leak = {}
    if study.leak is not None and not arms:
        leak = _leak_units(study.leak, study, root / "leak", store, sharded, progress)
    return OpenStudy(study, root, store, splits, tuple(units), leak)


def study_units(study: Study, root: Path, *, arms: Sequence[str] = (), store: Path) -> list[Unit]:
    """The folds of a study's arms, whether trained or not.

    Args:
        study: the study.
        root: its folder.
        arms: only these; all if none is named.
        store: the prepared store.

    Raises:
        UnknownNameError: for an arm that does not exist.
    """
    return plan_units(
        [study.arm(name) for name in arms] if arms else study.arms,
        store=store,
        splits=root / SPLITS,
        seeds=study.seeds,
        n_folds=study.n_folds,
        cases=union_of_sequences(study) if study.same_cases else (),
        root=root / "runs",
    )


def train_study(
    opened: OpenStudy, *, shard: str = "", say: Callable[[str], object]
) -> list[Failure]:
    """Train what is missing, all of it or one shard; ``failures.csv`` says what failed."""
    part = parse_shard(shard) if shard else None
    failures = run_units(of_shard(opened.every_unit, part), say=say)
    name = f"failures-{part[0]}-of-{part[1]}.csv" if part else "failures.csv"
    write_failures(failures, opened.root / name)
    return failures


def require_whole(failures: Sequence[Failure], root: Path) -> None:
    """Complain of arms that failed.

    Raises:
        UnfinishedError: if any did.
    """
    if failures:
        arms = sorted({failure.unit.arm.name for failure in failures})
        raise UnfinishedError(
            f"{len(failures)} folds of {', '.join(arms)} failed, the first with: "
            f"{failures[0].error}; all are in {root}; the others are done, and running the same "
            "command again tries these once more"
        )


def _cohort(source: CohortSource, root: Path, sharded: bool, progress: Progress) -> Store:
    if source.store is not None:
        return open_store(source.store)
    if source.phantom is None:
        raise ConfigError("a study needs a store or a phantom")
    if sharded and not (root / "store" / "store.json").is_file():
        raise ConfigError(
            f"the phantom cohort in {root} is not made yet; run the study once with "
            "--cohort-only before its shards"
        )
    return open_store(make_store(root, source.phantom, progress, jobs=0))


def _require_names(arm: Arm, store: Store) -> None:
    try:
        check_names(arm.config(), store)
    except UnknownNameError as error:
        kind = f"{error.kind} of the arm {arm.name!r}:"
        raise UnknownNameError(kind, error.name, error.choices) from error


def _require_pairs(arm: Arm, store: Store, cases: tuple[str, ...]) -> None:
    config = arm.config(cases=list(cases))
    if rated(run_pairs(config, store)[0]).empty:
        wanted = ", ".join(dict.fromkeys((*config.model.sequences, *cases)))
        raise ManifestError(f"arm {arm.name!r}: no rated pair of {store.root} has {wanted}")


def _folds(path: Path, pairs: pd.DataFrame, n_folds: int, seed: int, grouping: str) -> Splits:
    wanted = make_folds(pairs, n_folds, seed, grouping=grouping)
    if not path.is_file():
        write_splits(path, wanted)
    elif read_splits(path, pairs) != wanted:
        raise ConfigError(
            f"{path} holds other folds than this study asks for; choose another --out"
        )
    return wanted


def leak_arms(plan: LeakPlan) -> dict[tuple[str, str], Arm]:
    """The four cells of the 2×2, by (grouping, selection)."""
    base = with_preset(plan.base)
    # All four train on the same pairs, so those that choose the epoch are set aside in each.
    base["validation_fraction"] = base.get("validation_fraction") or 0.2
    return {
        (grouping, selection): Arm(
            f"folds by {grouping}, selection {selection}",
            "other",
            "",
            merged(base, {"grouping": grouping, "selection": selection}),
        )
        for grouping, selection in LEAK_CELLS
    }


def _leak_units(
    plan: LeakPlan, study: Study, root: Path, store: Store, sharded: bool, progress: Progress
) -> dict[tuple[str, str], tuple[Unit, ...]]:
    if plan.cohort != study.cohort:
        store = _cohort(plan.cohort, root / "cohort", sharded, progress)
    arms = leak_arms(plan)
    first = next(iter(arms.values()))
    _require_names(first, store)
    _require_pairs(first, store, ())
    pairs = rated(run_pairs(first.config(), store)[0])
    units = {}
    for cell, arm in arms.items():
        path = root / f"splits-{cell[0]}.json"
        _folds(path, pairs, plan.n_folds, study.fold_seed, cell[0])
        units[cell] = tuple(
            plan_units(
                [arm],
                store=store.root,
                splits=path,
                seeds=plan.seeds,
                n_folds=plan.n_folds,
                cases=(),
                root=root / "runs",
            )
        )
    return units
