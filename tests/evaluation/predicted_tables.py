"""Predictions tables that the tests of the evaluation share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

NAMES = ("CR", "PR", "SD", "PD")
TASK_CLASSES = [NAMES, ("rest", "PD")]


def predictions(
    seed: int,
    *,
    count: int = 60,
    patients: int = 15,
    names: Sequence[str] = NAMES,
    present: Sequence[str] | None = None,
    skill: float = 1.0,
) -> pd.DataFrame:
    """Rows of some patients whose logits follow the truth, and are unequal in size."""
    rng = np.random.default_rng(seed)
    response = rng.choice(present or names, size=count)
    logits = rng.normal(size=(count, len(names))) * rng.uniform(0.2, 3.0, (count, 1))
    logits[np.arange(count), [names.index(name) for name in response]] += skill
    table = pd.DataFrame(logits, columns=[f"logit_{name}" for name in names])
    table["pair_id"] = [f"pair-{row:03d}" for row in range(count)]
    table["patient_id"] = [f"Patient-{row:03d}" for row in rng.integers(patients, size=count)]
    table["fold"] = np.arange(count) % 5
    table["response"] = response
    table["predicted"] = [names[index] for index in logits.argmax(axis=1)]
    return table


def rerated(table: pd.DataFrame, seed: int, *, right: float) -> pd.DataFrame:
    """The same pairs rated by another arm: right with a probability, else at random."""
    rng = np.random.default_rng(seed)
    names = sorted(set(table["response"]))
    truth = table["response"].to_numpy()
    said = np.where(rng.random(len(table)) < right, truth, rng.choice(names, size=len(table)))
    return table[["pair_id", "patient_id", "fold", "response"]].assign(predicted=said)
