"""The pieces of a study's work: one fold of one arm with one seed each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xrano.errors import ConfigError
from xrano.experiments.study.arms import Arm
from xrano.text_files import is_cut_off
from xrano.training.config import RunConfig
from xrano.training.finished_fold import RUN_FILES, is_finished, is_gathered
from xrano.training.run import fold_folder


@dataclass(frozen=True)
class Unit:
    """One fold of one arm with one seed.

    ``config``: the run's, for this fold alone; ``root``: the run's folder.
    """

    arm: Arm
    seed: int
    fold: int
    config: RunConfig
    root: Path

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.arm.name}, seed {self.seed}, fold {self.fold}"

    @property
    def finished(self) -> bool:
        """Whether the fold is trained, predicted and gathered, and the files of its run whole."""
        files = [self.root / name for name in RUN_FILES]
        return (
            is_finished(fold_folder(self.root, self.fold))
            and all(path.is_file() and not is_cut_off(path) for path in files)
            and is_gathered(self.root, self.fold)
        )


def plan_units(
    arms: Sequence[Arm],
    *,
    store: Path,
    splits: Path,
    seeds: Sequence[int],
    n_folds: int,
    cases: tuple[str, ...],
    root: Path,
) -> list[Unit]:
    """All units, seed by seed and fold by fold, so that arms fill up side by side.

    Args:
        arms: of one cohort.
        store: its prepared store.
        splits: the folds that all arms share.
        seeds: of weights and order.
        n_folds: how many folds.
        cases: sequences that every pair must have.
        root: folder of the runs.
    """
    units = []
    for seed in seeds:
        for fold in range(n_folds):
            for arm in arms:
                config = arm.config(
                    store=str(store.resolve()),
                    splits=str(splits.resolve()),
                    seed=seed,
                    n_folds=n_folds,
                    folds=[fold],
                    cases=list(cases),
                )
                folder = root / folder_name(arm.name) / f"seed-{seed}"
                units.append(Unit(arm, seed, fold, config, folder))
    return units


def folder_name(name: str) -> str:
    """An arm's name as a folder's.

    Example:
        >>> folder_name("T1+FLAIR, subtract")
        'T1+FLAIR_subtract'
    """
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("_.") or "arm"


def require_folders(arms: Sequence[Arm]) -> None:
    """Refuse two arms that would share a folder.

    Raises:
        ConfigError: naming them.
    """
    taken: dict[str, str] = {}
    for arm in arms:
        folder = folder_name(arm.name).lower()
        if folder in taken:
            raise ConfigError(
                f"the arms {taken[folder]!r} and {arm.name!r} would share the folder {folder}; "
                "rename one"
            )
        taken[folder] = arm.name
