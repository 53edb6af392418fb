"""A run: a folder with everything needed to repeat it, and what came out for unseen patients.

::

    config.yaml  splits.json  exclusions.csv
    fold-0/model.safetensors  resume.pt  metrics.jsonl  fold.json
    predictions.csv        out-of-fold logits of every pair of the folds trained
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_json, write_text
from xrano.channels import ChannelLayout
from xrano.data.clinical import ClinicalEncoder, read_encoder
from xrano.data.pairing.pairs import filter_by_sequences
from xrano.data.splits import (
    PROTOCOLS,
    UNTRAINED,
    Splits,
    is_tested,
    make_folds,
    read_splits,
    restrict_splits,
    unit_column,
    write_splits,
)
from xrano.data.store import Store, open_store
from xrano.data.tables import write_table
from xrano.errors import CheckpointError, ConfigError, ManifestError, SplitError, UnknownNameError
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import MODELS
from xrano.models.stems import STEMS
from xrano.tasks import TASKS, Task
from xrano.training.config import RunConfig
from xrano.training.config_file import dump_config, load_config
from xrano.training.network import load_network, new_network, save_network
from xrano.training.one_fold import fold_folder, train_one_fold

FoldReport = Callable[[int, dict[str, Any], int], None]
"""Called after each epoch with the fold, its line of metrics and the number of epochs."""

Say = Callable[[str], object]
"""Takes a line for the user."""


def _silent(_text: str) -> None:
    pass


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
                        f"has seen this {kind}. Train it with --folds [{fold}], or choose "
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
    """A table of :func:`xrano.training.prediction.prediction_table` from its file."""
    words = dict.fromkeys(
        ("pair_id", "patient_id", "response", "rating_source", "predicted"), "str"
    )
    return pd.read_csv(path, keep_default_na=False, dtype=words)


def rated(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with a response."""
    return pairs[pairs["response"] != ""].reset_index(drop=True)


def open_run(root: Path, *, store: Path | None = None) -> Run:
    """Open a run's folder.

    Args:
        root: the folder that xrano train wrote.
        store: where the prepared store is now, if it has been moved.

    Raises:
        ConfigError: if the folder is no run.
        ManifestError: if its store is not where it was.
        SplitError: if its splits do not fit the store.
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
    return run


def train_run(config: RunConfig, out: Path, *, report: FoldReport, say: Say = _silent) -> Run:
    """Train every fold asked for and write the out-of-fold predictions.

    A run that was interrupted goes on where it stopped.

    Args:
        config: the run.
        out: its folder.
        report: called after each epoch.
        say: takes lines for the user, such as the fraction of pretrained weights loaded.

    Raises:
        ConfigError: if the folder holds a run with other settings.
        SplitError: if there are fewer patients than folds.
        UnknownNameError: for an unknown network or sequence.
    """
    out = Path(out)
    store = open_store(Path(config.store))
    check_names(config, store)
    config = replace(config, store=str(store.root.resolve()))
    pairs, exclusions = run_pairs(config, store)
    pairs = rated(pairs)
    if pairs.empty and config.training.epochs:
        wanted = ", ".join(dict.fromkeys((*config.model.sequences, *config.cases)))
        raise ManifestError(f"{store.root} has no rated pair with {wanted} in both scans")
    # Everything that can be refused is refused before the folder is claimed.
    splits = _splits(config, out, store, pairs) if config.training.epochs else None
    _claim(out, config, store)
    write_table(out / "exclusions.csv", exclusions)
    if splits is None:
        return _write_untrained(config, out, store)
    write_splits(out / "splits.json", splits)
    for fold in config.folds or range(len(splits["folds"])):
        train_one_fold(config, store, pairs, splits, fold, out, report=report, say=say)
    run = open_run(out)
    predictions = [_predictions(out, fold) for fold in run.trained_folds]
    write_table(out / "predictions.csv", pd.concat(predictions, ignore_index=True))
    return run


def run_pairs(config: RunConfig, store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs that have all sequences that a run's network (and its equal cases) need; the others."""
    wanted = tuple(dict.fromkeys((*config.model.sequences, *config.cases)))
    return filter_by_sequences(store.pairs, store.sessions, wanted)


def _splits(config: RunConfig, out: Path, store: Store, pairs: pd.DataFrame) -> Splits:
    """The folder's own splits, the ones named, or new ones."""
    if (out / "splits.json").is_file():
        splits = read_splits(out / "splits.json", pairs)
    elif config.splits:
        splits = _named_splits(Path(config.splits), store, pairs)
    else:
        splits = make_folds(pairs, config.n_folds, config.seed, grouping=config.grouping)
    if splits["protocol"] != PROTOCOLS[config.grouping]:
        raise ConfigError(
            f"grouping {config.grouping} needs splits of the protocol "
            f"{PROTOCOLS[config.grouping]}, these are {splits['protocol']}"
        )
    for fold in config.folds:
        if fold >= len(splits["folds"]):
            raise ConfigError(f"fold {fold} is not one of the {len(splits['folds'])} folds")
    return splits


def _named_splits(path: Path, store: Store, pairs: pd.DataFrame) -> Splits:
    """Splits of a file, without those who lack a sequence of this run; strangers are refused."""
    splits = read_splits(path, None)
    known = set(store.pairs[unit_column(splits["protocol"])])
    strangers = sorted({name for fold in splits["folds"] for name in fold["test"]} - known)
    if strangers:
        raise SplitError(
            f"{path} names patients or timepoints without any pair: {', '.join(strangers[:10])}; "
            "make the splits anew for this store"
        )
    return restrict_splits(splits, pairs)


def _predictions(out: Path, fold: int) -> pd.DataFrame:
    return read_predictions(fold_folder(out, fold) / "predictions.csv")


def _write_untrained(config: RunConfig, out: Path, store: Store) -> Run:
    """One fold of random weights that no patient has been shown to."""
    folder = fold_folder(out, 0)
    if config.model.clinical:
        raise ConfigError("clinical data are standardised on training patients: epochs must be > 0")
    save_network(folder / "model.safetensors", new_network(config, seed=config.seed), config)
    patients = sorted(set(store.pairs["patient_id"]))
    write_splits(
        out / "splits.json",
        {"protocol": UNTRAINED, "seed": config.seed, "folds": [{"test": patients}]},
    )
    write_json(folder / "fold.json", {"best_epoch": -1, "epochs": 0})
    return open_run(out)


def check_names(config: RunConfig, store: Store) -> None:
    """Refuse networks and stems that do not exist and sequences that the store does not have.

    Raises:
        UnknownNameError: listing the choices.
    """
    if config.model.name not in MODELS:
        raise UnknownNameError("model", config.model.name, MODELS)
    if config.model.stem not in STEMS:
        raise UnknownNameError("stem", config.model.stem, STEMS)
    for sequence in config.model.sequences:
        if sequence not in store.sequences:
            raise UnknownNameError("sequence", sequence, store.sequences)


def _claim(out: Path, config: RunConfig, store: Store) -> None:
    """Write the config, or refuse a folder that holds a run of other settings or another store.

    Which folds are trained is not a setting: folds may be added to a run.
    """
    path, mark = out / "config.yaml", out / "store.sha256"
    fingerprint = store.fingerprint()
    if path.is_file():
        known = load_config(path)
        if replace(known, folds=()) != replace(config, folds=()):
            raise ConfigError(
                f"{out} already holds a run with other settings (see its config.yaml); choose "
                "another --out, or delete it"
            )
        if mark.is_file() and mark.read_text(encoding="utf-8").strip() != fingerprint:
            raise ConfigError(
                f"{out} was trained on the store {config.store} before that was prepared anew; "
                "choose another --out, or delete it"
            )
        if known.folds and config.folds:
            config = replace(config, folds=tuple(sorted({*known.folds, *config.folds})))
    write_text(path, dump_config(config))
    write_text(mark, fingerprint + "\n")
