"""What a trained network says of pairs it has not seen, as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from xrano.tasks import RESPONSE, Task


def forward(model: nn.Module, inputs: Tensor, clinical: Tensor | None, rows: Tensor) -> Tensor:
    """Float32 logits of a batch, with the clinical vectors of its rows if the network takes any."""
    if clinical is None:
        logits: Tensor = model(inputs)
    else:
        logits = model(inputs, clinical[rows.cpu()].to(inputs.device))
    return logits.float()


@torch.no_grad()
def predict_all(
    model: nn.Module, loader: Any, clinical: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Logits ``(n, class)`` float32 and class indices ``(n,)`` of a loader, on the CPU.

    ``clinical`` are the clinical vectors of the loader's rows, for a network that takes them. Of
    a loader without any batch both are empty.
    """
    model.eval()
    logits, truth = [], []
    for inputs, indices, rows in loader:
        logits.append(forward(model, inputs, clinical, rows).cpu())
        truth.append(indices.cpu())
    if not logits:
        return torch.zeros((0, 0)), torch.zeros(0, dtype=torch.long)
    return torch.cat(logits), torch.cat(truth)


def prediction_table(
    pairs: pd.DataFrame, logits: Tensor, fold: int, task: Task = RESPONSE
) -> pd.DataFrame:
    """One row a pair: pair_id, patient_id, fold, response and its source, predicted, logit_CR ….

    ``response`` and ``predicted`` are classes of the task.
    """
    values = logits.double().numpy()
    table = pairs[["pair_id", "patient_id"]].reset_index(drop=True).copy()
    table["fold"] = fold
    table["response"] = [task.class_of(response) for response in pairs["response"]]
    table["rating_source"] = list(pairs["rating_source"])
    table["predicted"] = [task.classes[index] for index in np.argmax(values, axis=1)]
    for index, name in enumerate(task.classes):
        table[f"logit_{name}"] = values[:, index]
    return table
