"""Whether what a fold of a run has left is whole: files may have been removed or cut off since."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from safetensors import SafetensorError, safe_open

from xrano.errors import CheckpointError
from xrano.text_files import is_cut_off, read_json

RUN_FILES = ("config.yaml", "splits.json", "exclusions.csv", "store.sha256", "predictions.csv")
"""What a run holds beside its folds once one is finished."""


def is_trained(folder: Path) -> bool:
    """Whether ``fold.json`` is there, and with it the weights and a line for each epoch.

    Raises:
        CheckpointError: if the training is finished and its weights are lost.
    """
    try:
        epochs = int(read_json(folder / "fold.json")["epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    require_weights(folder)
    metrics = folder / "metrics.jsonl"
    if epochs == 0:
        return True
    try:
        lines = metrics.read_text(encoding="utf-8").count("\n")
        return lines == epochs and not is_cut_off(metrics)
    except (OSError, ValueError):
        return False


def is_finished(folder: Path) -> bool:
    """Whether a fold is trained and the table of its predictions is whole."""
    try:
        return is_trained(folder) and not is_cut_off(folder / "predictions.csv")
    except (OSError, CheckpointError):
        return False


def is_gathered(root: Path, fold: int) -> bool:
    """Whether the run's own table holds the predictions of a fold.

    It is written after the fold's, so that a process which is stopped between the two, or another
    one that writes at the same moment, leaves it without them.
    """
    try:
        folds = pd.read_csv(root / "predictions.csv", usecols=["fold"])["fold"]
        return bool((folds == fold).any())
    except (OSError, ValueError):
        return False


def require_weights(folder: Path) -> None:
    """Refuse a fold whose best weights are lost: training alone makes them, and that takes long.

    Raises:
        CheckpointError: naming the file, and what to delete to train the fold again.
    """
    path = folder / "model.safetensors"
    why = "it is missing"
    if path.is_file():
        try:
            # The header says how long the file is.
            with safe_open(path, framework="np"):
                return
        except (OSError, SafetensorError) as error:
            why = str(error)
    raise CheckpointError(
        f"{path} holds the weights of a training that was under way or finished, and cannot be "
        f"read ({why}); put it back, or delete {folder} to train this fold from the start"
    )
