"""A run: a folder with everything needed to repeat it, and what came out for unseen patients.

::

    config.yaml  splits.json  exclusions.csv
    fold-0/model.safetensors  resume.pt  metrics.jsonl  fold.json
    predictions.csv        out-of-fold logits of every pair of the folds trained
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.channels import ChannelLayout
from xrano.data.clinical import ClinicalEncoder, read_encoder
from xrano.data.pairing.pairs import filter_by_sequences
from xrano.data.splits import (
    Splits,
    is_tested,
    read_splits,
    unit_column,
)
from xrano.data.store import Store, open_store
from xrano.errors import CheckpointError, ConfigError, SplitError, UnknownNameError
from xrano.models.classifier import ResponseClassifier
from xrano.tasks import TASKS, Task
from xrano.text_files import is_cut_off
from xrano.training.config import RunConfig
from xrano.training.config_file import load_config
from xrano.training.network import load_network


@dataclass(frozen=True)
class Run:
    """An opened run."""

    root: Path
    config: RunConfig
    store: Store
    splits: Splits

    @property
    def layout(self) -> ChannelLayout:
        """The channels of the run's network."""
        return ChannelLayout(self.config.model.sequences)

    @property
    def predictions(self) -> pd.DataFrame:
        """Out-of-fold predictions of the pairs of the folds trained."""
        path = self.root / "predictions.csv"
        if self.config.training.epochs == 0:
            raise CheckpointError(f"an untrained run has nothing to judge: there is no {path}")
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: the training of this run is not finished")
        return read_predictions(path)

    @property
    def task(self) -> Task:
        """What the run's network is asked."""
        return TASKS[self.config.task]

    @property
    def leak_note(self) -> str:
        """What to say beside every result of a protocol that leaks; empty for one that does not."""
        leaks = []
        if self.config.grouping == "timepoint":
            leaks.append("folds divide timepoints, so that patients are on both sides")
        if self.config.selection == "test":
            leaks.append("the epoch was chosen on the test fold")
        return f"these results leak: {' and '.join(leaks)}" if leaks else ""

    @property
    def trained_folds(self) -> tuple[int, ...]:
        """Folds with finished weights."""
        found = range(len(self.splits["folds"]))
        return tuple(fold for fold in found if (self._fold(fold) / "fold.json").is_file())

    def pairs(self) -> pd.DataFrame:
        """Pairs that have all sequences of the run's network, unrated ones included."""
        return run_pairs(self.config, self.store)[0]

    def pair(self, pair_id: str) -> dict[str, Any]:
        """One row of the pairs table.

        Raises:
            UnknownNameError: if there is no such pair; near ones are named.
        """
        pairs = self.pairs()
        found = pairs[pairs["pair_id"] == pair_id]
        if found.empty:
            known = list(pairs["pair_id"])
            near = [one for one in known if one.startswith(pair_id)] or difflib.get_close_matches(
                pair_id, known, n=5, cutoff=0.3
            )
            raise UnknownNameError(
                f"pair in {self.store.root / 'pairs.csv'}:", pair_id, near or known[:5]
            )
        return {str(name): value for name, value in found.iloc[0].items()}

    def fold_of(self, pair: Mapping[str, Any]) -> int:
        """The fold whose network never saw a pair, by its ``patient_id`` (and ``pair_id``).

        A patient of no fold (unrated, or from elsewhere) was seen by none: the first trained
        fold explains them.

        Raises:
            SplitError: if the patient's own fold has not been trained.
        """
        trained = self.trained_folds
        if not trained:
            raise CheckpointError(f"{self.root} has no finished fold: train it first")
        column = unit_column(self.splits["protocol"])
        name, kind = pair.get(column), "patient" if column == "patient_id" else "pair"
        for fold, entry in enumerate(self.splits["folds"]):
            if name in entry["test"]:
                if fold not in trained:
                    raise SplitError(
                        f"{name} is a test {kind} of fold {fold}, which this run has not "
                        f"trained (trained: {', '.join(map(str, trained))}); every other network "
                        f"has seen this {kind}. Train it with --folds {fold}, or choose "
                        "another pair"
                    )
                return fold
        return trained[0]

    def model(self, fold: int) -> ResponseClassifier:
        """The trained network of one fold, in evaluation mode.

        Raises:
            CheckpointError: if its weights are missing or of another architecture.
        """
        return load_network(self._fold(fold) / "model.safetensors", self.config)

    def encoder(self, fold: int) -> ClinicalEncoder | None:
        """How the clinical vectors of a fold's network are made, if it takes any."""
        path = self._fold(fold) / "clinical.json"
        return read_encoder(path) if self.config.model.clinical else None

    def is_tested(self, pairs: pd.DataFrame, fold: int) -> pd.Series:
        """Which rows of a pairs table a fold tests."""
        return is_tested(pairs, self.splits, fold)

    def tested_pairs(self) -> pd.DataFrame:
        """Pairs that some trained fold tests, unrated ones of the same patients included."""
        pairs = self.pairs()
        keep = pd.Series(False, index=pairs.index)
        for fold in self.trained_folds:
            keep |= self.is_tested(pairs, fold)
        return pairs[keep].reset_index(drop=True)

    def training_pairs(self, fold: int) -> pd.DataFrame:
        """Rated pairs that the fold's network may have seen."""
        pairs = rated(self.pairs())
        return pairs[~is_tested(pairs, self.splits, fold)].reset_index(drop=True)

    def _fold(self, fold: int) -> Path:
        return fold_folder(self.root, fold)


def read_predictions(path: Path) -> pd.DataFrame:
    """A table of :func:`xrano.training.prediction.prediction_table` from its file.

    Raises:
        CheckpointError: if the file is missing, cut off or broken.
    """
    words = dict.fromkeys(
        ("pair_id", "patient_id", "response", "rating_source", "predicted"), "str"
    )
    try:
        if is_cut_off(path):
            raise ValueError("its last line has no end")
        table = pd.read_csv(path, keep_default_na=False, dtype=words)
        lacking = {"pair_id", "patient_id", "response", "predicted", "fold"} - {*table.columns}
        if lacking:
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        _require_numbers(table)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); run the command that trained this run again, which "
            "makes what is missing"
        ) from error
    return table


def _require_numbers(table: pd.DataFrame) -> None:
    """Of a table without rows nothing is known."""
    kinds = pd.api.types
    for name in table.columns if len(table) else ():
        logit = str(name).startswith("logit_")
        if logit and not kinds.is_numeric_dtype(table[name]):
            raise ValueError(f"{name} is no number in some row")
        if name == "fold" and not kinds.is_integer_dtype(table[name]):
            raise ValueError("fold is no whole number in some row")


def rated(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with a response."""
    return pairs[pairs["response"] != ""].reset_index(drop=True)


def open_run(root: Path, *, store: Path | None = None, growing: bool = False) -> Run:
    """Open a run's folder.

    Args:
        root: the folder that xrano train wrote.
        store: where the prepared store is now, if it has been moved.
        growing: whether its predictions are about to be written anew.

    Raises:
        ConfigError: if the folder is no run.
        ManifestError: if its store is not where it was.
        SplitError: if its splits do not fit the store.
        CheckpointError: if a fold that was predicted has lost its mark, ``fold.json``.
    """
    root = Path(root)
    if not (root / "config.yaml").is_file():
        below = root / "run"
        hint = f"; did you mean {below}?" if (below / "config.yaml").is_file() else ""
        missing = "" if root.is_dir() else f", it does not exist below {Path.cwd()}"
        raise ConfigError(
            f"{root} is not a run (no config.yaml{missing}): give a folder of xrano train{hint}"
        )
    config = load_config(root / "config.yaml")
    opened = open_store(store or Path(config.store))
    splits = read_splits(root / "splits.json", None)
    run = Run(root, config, opened, splits)
    if config.training.epochs:
        read_splits(root / "splits.json", rated(run.pairs()))
        if not growing:
            _require_marks(run)
    return run


def _require_marks(run: Run) -> None:
    """Refuse a run that would pass for one of fewer folds."""
    try:
        predicted = set(run.predictions["fold"])
    except CheckpointError:
        # It is not finished, or whoever needs the predictions says what is wrong with them.
        return
    for fold in sorted(predicted - set(run.trained_folds)):
        path = fold_folder(run.root, fold) / "fold.json"
        raise CheckpointError(
            f"{path} is missing, and predictions.csv holds predictions of that fold; run the "
            "command that trained this run again, which makes what is missing"
        )


def run_pairs(config: RunConfig, store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs that have all sequences that a run's network (and its equal cases) need; the others."""
    wanted = tuple(dict.fromkeys((*config.model.sequences, *config.cases)))
    return filter_by_sequences(store.pairs, store.sessions, wanted)


def fold_folder(root: Path, fold: int) -> Path:
    """Where a run keeps a fold."""
    return root / f"fold-{fold}"
