"""The pairs of one fold: those that train, and those that choose the epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from xrano.channels import ChannelLayout
from xrano.data.augmentation import Augmentation, AugmentationConfig
from xrano.data.clinical import ClinicalEncoder
from xrano.data.dataset import PairDataset
from xrano.data.splits import Splits, inner_validation, is_tested, unit_column
from xrano.data.store import Store
from xrano.errors import ConfigError
from xrano.tasks import TASKS
from xrano.training.config import RunConfig, TrainingConfig

CACHE_GB = 1.2
"""Memory for training pairs that need not be read again; a cohort at 4 mm fits in."""

_FLIP_AXES = {"left-right": (0,), "all": (0, 1, 2)}


@dataclass(frozen=True)
class FoldData:
    """What one fold is trained on.

    ``confidence``: (training row,) weight of each pair, 0 to 1; ``clinical`` and
    ``validation_clinical``: (row, column) float32 or ``None``; ``encoder``: how they were made.
    """

    training: PairDataset
    validation: PairDataset
    confidence: Tensor
    clinical: Tensor | None = None
    validation_clinical: Tensor | None = None
    encoder: ClinicalEncoder | None = None


def fold_data(
    config: RunConfig, store: Store, pairs: pd.DataFrame, splits: Splits, fold: int
) -> FoldData:
    """Divide the rated pairs of a run for one fold.

    With selection ``inner`` the pairs that choose the epoch are set aside from the training ones,
    grouped as the folds are; with ``test`` they are the test pairs themselves.

    Raises:
        SplitError: if there are too few patients to divide.
        ConfigError: if a column of confidences is missing or wrong.
    """
    test = is_tested(pairs, splits, fold)
    training, validation = pairs[~test], pairs[test]
    if config.validation_fraction:
        unit = unit_column(splits["protocol"])
        units = training.assign(patient_id=training[unit])
        names, aside = inner_validation(
            units, sorted(set(training[unit])), config.validation_fraction, config.seed + fold
        )
        if config.selection == "inner":
            validation = training[training[unit].isin(aside)]
        training = training[training[unit].isin(names)]
    encoder = None
    if config.model.clinical:
        patients = sorted(set(training["patient_id"]))
        encoder = ClinicalEncoder.fit(training, store.sessions, patients)
    layout = ChannelLayout(config.model.sequences)
    task = TASKS[config.task]
    return FoldData(
        PairDataset(
            store,
            training,
            layout,
            task=task,
            augmentation=Augmentation(augmentation_config(config.training)),
            seed=config.seed,
            cache_gb=CACHE_GB,
        ),
        PairDataset(store, validation, layout, task=task, cache_gb=CACHE_GB / 4),
        confidences(training, store.sessions, config.training.confidence),
        clinical_inputs(encoder, training, store),
        clinical_inputs(encoder, validation, store),
        encoder,
    )


def clinical_inputs(
    encoder: ClinicalEncoder | None, pairs: pd.DataFrame, store: Store
) -> Tensor | None:
    """The clinical vectors of a table of pairs, (row, column) float32."""
    if encoder is None:
        return None
    return torch.from_numpy(encoder.encode(pairs, store.sessions))


def augmentation_config(settings: TrainingConfig) -> AugmentationConfig:
    """The random changes that a training asks for."""
    return AugmentationConfig(
        flip=settings.flip,
        scale=settings.scale,
        noise=settings.noise,
        affine=settings.affine,
        shift=settings.shift,
        flip_axes=_FLIP_AXES[settings.flip_axes],
        contrast=settings.contrast,
    )


def confidences(pairs: pd.DataFrame, sessions: pd.DataFrame, column: str) -> Tensor:
    """The confidence in the rating of each pair's current session; empty cells count fully.

    Raises:
        ConfigError: if the sessions table lacks the column, or a value is no number from 0 to 1.
    """
    if not column:
        return torch.ones(len(pairs))
    if column not in sessions:
        raise ConfigError(
            f"the sessions table has no column {column!r} of confidences (from 0 to 1) in the "
            "ratings; add it and prepare again, or leave training.confidence empty"
        )
    keys = pd.MultiIndex.from_frame(sessions[["patient_id", "session_id"]])
    cells = pd.Series(sessions[column].to_numpy(), index=keys).replace("", 1.0)
    wanted = pd.MultiIndex.from_frame(pairs[["patient_id", "current_session"]])
    chosen = cells.reindex(wanted)
    values = pd.to_numeric(chosen, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ConfigError(
            f"{column} of {' '.join(map(str, wanted[row]))} is {chosen.iloc[row]!r}; a confidence "
            "is a number from 0 to 1"
        )
    return torch.from_numpy(values.astype(np.float32))
