"""One fold of a run, from its pairs to the predictions of those it never saw."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.data import DataLoader

from xrano.atomic_files import write_json
from xrano.data.clinical import read_encoder
from xrano.data.dataset import PairDataset
from xrano.data.splits import Splits, is_tested
from xrano.data.store import Store
from xrano.data.tables import write_table
from xrano.errors import CheckpointError, XranoError
from xrano.models.classifier import ResponseClassifier
from xrano.training.config import RunConfig
from xrano.training.finished_fold import is_finished
from xrano.training.fold_data import FoldData, clinical_inputs, fold_data
from xrano.training.loop import train_fold
from xrano.training.network import load_network
from xrano.training.prediction import predict_all, prediction_table
from xrano.training.pretraining.pretrain import pretrain
from xrano.training.ranks import ALONE, Ranks
from xrano.training.run import fold_folder, read_predictions
from xrano.training.sampling import own_batches


def train_one_fold(
    config: RunConfig,
    store: Store,
    pairs: pd.DataFrame,
    splits: Splits,
    fold: int,
    out: Path,
    *,
    report: Callable[[int, dict[str, Any], int], None],
    say: Callable[[str], object],
    ranks: Ranks = ALONE,
) -> None:
    """Train a fold and write ``predictions.csv`` of its test pairs beside its weights.

    Nothing is done twice: neither a finished training nor predictions that are there. What was
    removed or cut off since is made again, as far as weights are there.
    """
    folder = fold_folder(out, fold)
    test = pairs[is_tested(pairs, splits, fold)]
    if ranks.by_first(lambda: _is_done(config, folder, test)):
        return
    data = fold_data(config, store, pairs, splits, fold)
    if data.encoder is not None and ranks.first:
        write_json(folder / "clinical.json", data.encoder.to_json())
    seed = config.seed + 1000 * fold

    def start(network: ResponseClassifier) -> None:
        _pretrain(config, network, data, store, test, folder, seed, say, ranks)

    train_fold(
        config,
        data,
        folder,
        seed=seed,
        report=lambda line, epochs: report(fold, line, epochs),
        pretrain=start,
        ranks=ranks,
    )
    table = predict_pairs(config, store, data, test, fold, folder, ranks)
    ranks.by_first(lambda: write_table(folder / "predictions.csv", table))


def _is_done(config: RunConfig, folder: Path, test: pd.DataFrame) -> bool:
    """Whether every file of a fold is there and whole, and every tested pair is predicted."""
    if not is_finished(folder) or (config.model.clinical and not _encodes(folder)):
        return False
    try:
        found = read_predictions(folder / "predictions.csv")
    except CheckpointError:
        return False
    return list(found["pair_id"]) == list(test["pair_id"])


def _encodes(folder: Path) -> bool:
    try:
        read_encoder(folder / "clinical.json")
    except XranoError:
        return False
    return True


def _pretrain(
    config: RunConfig,
    network: ResponseClassifier,
    data: FoldData,
    store: Store,
    test: pd.DataFrame,
    folder: Path,
    seed: int,
    say: Callable[[str], object],
    ranks: Ranks,
) -> None:
    """Start from other weights; whoever is tested or validated on is not read for them."""
    held_out = {*test["patient_id"], *data.validation.pairs["patient_id"]}
    training = set(data.training.pairs["patient_id"])
    if config.grouping == "timepoint":
        # Patients are on both sides anyway; pretraining still keeps off the tested ones.
        training -= held_out
    pretrain(
        config.pretraining,
        network,
        model=config.model,
        store=store,
        training_patients=sorted(training),
        held_out_patients=sorted(held_out),
        folder=folder,
        seed=seed,
        report=say,
        accelerator=config.training.accelerator,
        precision=config.training.precision,
        ranks=ranks,
    )


def predict_pairs(
    config: RunConfig,
    store: Store,
    data: FoldData,
    pairs: pd.DataFrame,
    fold: int,
    folder: Path,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """What the fold's network says of rated pairs; several processes take turns."""
    network = ranks.by_first(lambda: load_network(folder / "model.safetensors", config))
    dataset = PairDataset(store, pairs, network.layout, task=data.training.task)
    batches = own_batches(len(dataset), config.training.batch_size, ranks)
    # A generator of its own: a loader otherwise draws from the global one.
    loader = DataLoader(dataset, batch_sampler=batches, generator=torch.Generator())
    clinical = clinical_inputs(data.encoder, pairs, store)
    logits, _ = predict_all(network, loader, clinical)
    shape = (len(dataset), len(data.training.task.classes))
    logits = ranks.gathered(list(chain(*batches)), logits, shape)
    return prediction_table(pairs, logits, fold, data.training.task)
