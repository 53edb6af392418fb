"""A run: a folder with everything needed to repeat it, and what came out for unseen patients.

::

    config.yaml  splits.json  exclusions.csv
    fold-0/model.safetensors  resume.pt  metrics.jsonl  fold.json
    predictions.csv        out-of-fold logits of every pair of the folds trained
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from xrano.atomic_files import write_json, write_text
from xrano.channels import ChannelLayout
from xrano.data.augmentation import Augmentation, AugmentationConfig
from xrano.data.dataset import PairDataset
from xrano.data.pairing.pairs import filter_by_sequences
from xrano.data.splits import Splits, inner_validation, make_folds, read_splits, write_splits
from xrano.data.store import Store, open_store
from xrano.data.tables import write_table
from xrano.errors import CheckpointError, ConfigError, SplitError, UnknownNameError
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import MODELS, create_model
from xrano.models.stems import STEMS
from xrano.rano import RESPONSES
from xrano.training.checkpoint import load_model, save_weights
from xrano.training.config import RunConfig, dump_config, load_config
from xrano.training.loop import FoldData, predict_all, train_fold

CACHE_GB = 0.8
"""Memory for training pairs that need not be read again; a cohort at 4 mm fits in."""

FoldReport = Callable[[int, dict[str, Any], int], None]
"""Called after each epoch with the fold, its line of metrics and the number of epochs."""


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
        words = dict.fromkeys(
            ("pair_id", "patient_id", "response", "rating_source", "predicted"), "str"
        )
        return pd.read_csv(path, keep_default_na=False, dtype=words)

    @property
    def trained_folds(self) -> tuple[int, ...]:
        """Folds with finished weights."""
        found = range(len(self.splits["folds"]))
        return tuple(fold for fold in found if (self._fold(fold) / "fold.json").is_file())

    def pairs(self) -> pd.DataFrame:
        """Pairs that have all sequences of the run's network, unrated ones included."""
        pairs, _ = filter_by_sequences(
            self.store.pairs, self.store.sessions, self.config.model.sequences
        )
        return pairs

    def pair(self, pair_id: str) -> dict[str, Any]:
        """One row of the pairs table.

        Raises:
            UnknownNameError: if there is no such pair; near ones are named.
        """
        pairs = self.pairs()
        found = pairs[pairs["pair_id"] == pair_id]
        if found.empty:
            near = difflib.get_close_matches(pair_id, list(pairs["pair_id"]), n=5, cutoff=0.3)
            raise UnknownNameError(
                f"pair in {self.store.root / 'pairs.csv'}:", pair_id, near or pairs["pair_id"][:5]
            )
        return {str(name): value for name, value in found.iloc[0].items()}

    def fold_of(self, patient_id: str) -> int:
        """The fold whose network never saw a patient.

        A patient of no fold (unrated, or from elsewhere) was seen by none: the first trained
        fold explains them.

        Raises:
            SplitError: if the patient's own fold has not been trained.
        """
        trained = self.trained_folds
        if not trained:
            raise CheckpointError(f"{self.root} has no finished fold: train it first")
        for fold, entry in enumerate(self.splits["folds"]):
            if patient_id in entry["test"]:
                if fold not in trained:
                    raise SplitError(
                        f"{patient_id} is a test patient of fold {fold}, which this run has not "
                        f"trained (trained: {', '.join(map(str, trained))}); every other network "
                        f"has seen this patient. Train it with --folds [{fold}], or choose "
                        "another pair"
                    )
                return fold
        return trained[0]

    def model(self, fold: int) -> ResponseClassifier:
        """The trained network of one fold, in evaluation mode.

        Raises:
            CheckpointError: if its weights are missing or of another architecture.
        """
        path = self._fold(fold) / "model.safetensors"
        chosen = self.config.model
        return load_model(path, model=chosen.name, layout=self.layout, stem=chosen.stem)

    def training_pairs(self, fold: int) -> pd.DataFrame:
        """Rated pairs of the patients whom the fold's network may have seen."""
        pairs = rated(self.pairs())
        test = set(self.splits["folds"][fold]["test"])
        return pairs[~pairs["patient_id"].isin(test)].reset_index(drop=True)

    def _fold(self, fold: int) -> Path:
        return fold_folder(self.root, fold)


def fold_folder(root: Path, fold: int) -> Path:
    """Where a run keeps a fold."""
    return root / f"fold-{fold}"


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
        raise ConfigError(f"{root} is not a run (no config.yaml): give a folder of xrano train")
    config = load_config(root / "config.yaml")
    opened = open_store(store or Path(config.store))
    splits = read_splits(root / "splits.json", None)
    run = Run(root, config, opened, splits)
    if config.training.epochs:
        read_splits(root / "splits.json", rated(run.pairs()))
    return run


def train_run(config: RunConfig, out: Path, *, report: FoldReport) -> Run:
    """Train every fold asked for and write the out-of-fold predictions.

    A run that was interrupted goes on where it stopped.

    Raises:
        ConfigError: if the folder holds a run with other settings.
        SplitError: if there are fewer patients than folds.
        UnknownNameError: for an unknown network or sequence.
    """
    out = Path(out)
    store = open_store(Path(config.store))
    check_names(config, store)
    config = replace(config, store=str(store.root.resolve()))
    pairs, exclusions = filter_by_sequences(store.pairs, store.sessions, config.model.sequences)
    pairs = rated(pairs)
    # Everything that can be refused is refused before the folder is claimed.
    splits = _splits(config, out, pairs) if config.training.epochs else None
    _claim(out, config, store)
    write_table(out / "exclusions.csv", exclusions)
    if splits is None:
        return _write_untrained(config, out, store)
    write_splits(out / "splits.json", splits)
    for fold in config.folds or range(len(splits["folds"])):
        test = pairs["patient_id"].isin(splits["folds"][fold]["test"])
        _train_one(config, store, pairs[~test], out, fold, report)
    run = open_run(out)
    predictions = [_predict(config, store, pairs, out, splits, fold) for fold in run.trained_folds]
    write_table(out / "predictions.csv", pd.concat(predictions, ignore_index=True))
    return run


def _splits(config: RunConfig, out: Path, pairs: pd.DataFrame) -> Splits:
    """The folder's own splits, the ones named, or new ones."""
    if (out / "splits.json").is_file():
        splits = read_splits(out / "splits.json", pairs)
    elif config.splits:
        splits = read_splits(Path(config.splits), pairs)
    else:
        splits = make_folds(pairs, config.n_folds, config.seed)
    for fold in config.folds:
        if fold >= len(splits["folds"]):
            raise ConfigError(f"fold {fold} is not one of the {len(splits['folds'])} folds")
    return splits


def _train_one(
    config: RunConfig, store: Store, pairs: pd.DataFrame, out: Path, fold: int, report: FoldReport
) -> None:
    patients = sorted(set(pairs["patient_id"]))
    training, validation = inner_validation(
        pairs, patients, config.validation_fraction, config.seed + fold
    )
    layout = ChannelLayout(config.model.sequences)
    settings = config.training
    augmentation = Augmentation(
        AugmentationConfig(
            flip=settings.flip,
            scale=settings.scale,
            noise=settings.noise,
            affine=settings.affine,
            shift=settings.shift,
        )
    )
    data = FoldData(
        PairDataset(
            store,
            pairs[pairs["patient_id"].isin(training)],
            layout,
            augmentation=augmentation,
            seed=config.seed,
            cache_gb=CACHE_GB,
        ),
        PairDataset(
            store, pairs[pairs["patient_id"].isin(validation)], layout, cache_gb=CACHE_GB / 4
        ),
    )
    train_fold(
        config,
        data,
        fold_folder(out, fold),
        seed=config.seed + 1000 * fold,
        report=lambda line, epochs: report(fold, line, epochs),
    )


def _predict(
    config: RunConfig, store: Store, pairs: pd.DataFrame, out: Path, splits: Splits, fold: int
) -> pd.DataFrame:
    pairs = pairs[pairs["patient_id"].isin(splits["folds"][fold]["test"])]
    layout = ChannelLayout(config.model.sequences)
    model = load_model(
        fold_folder(out, fold) / "model.safetensors",
        model=config.model.name,
        layout=layout,
        stem=config.model.stem,
    )
    loader = DataLoader(PairDataset(store, pairs, layout), batch_size=config.training.batch_size)
    logits, _ = predict_all(model, loader)
    return prediction_table(pairs, logits, fold)


def prediction_table(pairs: pd.DataFrame, logits: torch.Tensor, fold: int) -> pd.DataFrame:
    """One row a pair: pair_id, patient_id, fold, response and its source, predicted, logit_CR …."""
    values = logits.double().numpy()
    table = pairs[["pair_id", "patient_id"]].reset_index(drop=True).copy()
    table["fold"] = fold
    table["response"] = list(pairs["response"])
    table["rating_source"] = list(pairs["rating_source"])
    table["predicted"] = [str(RESPONSES[index]) for index in np.argmax(values, axis=1)]
    for index, response in enumerate(RESPONSES):
        table[f"logit_{response}"] = values[:, index]
    return table


def _write_untrained(config: RunConfig, out: Path, store: Store) -> Run:
    """One fold of random weights that no patient has been shown to."""
    folder = fold_folder(out, 0)
    layout = ChannelLayout(config.model.sequences)
    network = create_model(
        config.model.name, layout, len(RESPONSES), stem=config.model.stem, seed=config.seed
    )
    save_weights(
        folder / "model.safetensors",
        network.state_dict(),
        model=config.model.name,
        layout=layout,
        num_classes=len(RESPONSES),
        stem=config.model.stem,
    )
    patients = sorted(set(store.pairs["patient_id"]))
    write_splits(
        out / "splits.json",
        {"protocol": "untrained", "seed": config.seed, "folds": [{"test": patients}]},
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
