"""What leaks: folds by timepoint instead of by patient, and a checkpoint chosen on the test fold.

A 2×2 of grouping (``patient``, ``timepoint``) × selection (``inner``, ``test``), all four on the
same pairs, in balanced accuracy (mean over seeds):

* grouping = mean over the selections of (timepoint − patient),
* selection = mean over the groupings of (test − inner),
* interaction = (test − inner) by timepoint − (test − inner) by patient,
* both = (timepoint, test) − (patient, inner): what the paper's protocol adds to an honest one.

Intervals resample whole patients, the same ones for all four cells, with every class in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xrano.errors import ConfigError, ManifestError
from xrano.evaluation.estimates import Estimate, estimate, show_estimate
from xrano.evaluation.paired import pair_arms
from xrano.evaluation.predictions import CLASSES

GROUPINGS = ("patient", "timepoint")
SELECTIONS = ("inner", "test")
CELLS = tuple((grouping, selection) for grouping in GROUPINGS for selection in SELECTIONS)
"""(grouping, selection) of the four protocols."""

# Weight of each cell, in the order of CELLS.
_EFFECTS: Mapping[str, tuple[float, float, float, float]] = {
    "grouping": (-0.5, -0.5, 0.5, 0.5),
    "selection": (-0.5, 0.5, -0.5, 0.5),
    "interaction": (1.0, -1.0, -1.0, 1.0),
    "both": (-1.0, 0.0, 0.0, 1.0),
}


@dataclass(frozen=True)
class Leak:
    """The four protocols and the effects, in balanced accuracy.

    ``cells``: (grouping, selection) to its value; the effects are differences; ``n_seeds``: of the
    cell with the fewest.
    """

    n_pairs: int
    n_patients: int
    n_seeds: int
    cells: Mapping[tuple[str, str], Estimate]
    grouping: Estimate
    selection: Estimate
    interaction: Estimate
    both: Estimate

    def to_json(self) -> dict[str, Any]:
        """JSON values, estimates as [value, low, high], cells as ``grouping/selection``."""
        return {
            "n_pairs": self.n_pairs,
            "n_patients": self.n_patients,
            "n_seeds": self.n_seeds,
            "cells": {"/".join(cell): value.to_json() for cell, value in self.cells.items()},
            **{name: getattr(self, name).to_json() for name in _EFFECTS},
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """The effects in words."""
        parts = (
            f"Folds by timepoint instead of by patient {_adds(self.grouping)}",
            f"choosing the checkpoint on the test fold {_adds(self.selection)}",
            f"both together {_adds(self.both)}",
            f"interaction {show_estimate(self.interaction.to_json(), signed=True)}",
        )
        seeds = "" if self.n_seeds < 2 else f", {self.n_seeds} seeds"
        return (
            f"{'; '.join(parts)} (balanced accuracy, 95 % interval by patients; {self.n_pairs} "
            f"pairs of {self.n_patients} patients{seeds})."
        )


def measure_leak(
    tables: Mapping[tuple[str, str], pd.DataFrame],
    *,
    classes: Sequence[str] = CLASSES,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Leak:
    """Compare the four protocols on the pairs that all of them tested.

    Args:
        tables: (grouping, selection) to predictions (:mod:`xrano.evaluation.predictions`, with
            ``pair_id``; several seeds in a column ``seed``); all of :data:`CELLS`.
        classes: names of the classes.
        n_resamples: resamples of patients.
        seed: of the resampling.

    Raises:
        ConfigError: if a cell is missing or there is another one.
        ManifestError: if the four share no pair, or contradict each other.
    """
    if set(tables) != set(CELLS):
        raise ConfigError(
            f"the leak is measured between {', '.join('/'.join(cell) for cell in CELLS)}; got "
            f"{', '.join('/'.join(cell) for cell in tables) or 'none'}"
        )
    paired = pair_arms({"/".join(cell): tables[cell] for cell in CELLS}, classes)
    if paired is None:
        raise ManifestError(
            "the four protocols share no pair; run them on the same store, sequences and folds' "
            "pairs"
        )
    values = paired.values()
    sample = paired.resampled(n_resamples=n_resamples, seed=seed)
    n_patients = len(paired.patients)
    effects = {
        name: estimate(
            sum(weight * value for weight, value in zip(weights, values, strict=True)),
            sum(weight * drawn for weight, drawn in zip(weights, sample, strict=True)),
            n_patients=n_patients,
        )
        for name, weights in _EFFECTS.items()
    }
    return Leak(
        n_pairs=paired.truth.size,
        n_patients=n_patients,
        n_seeds=min(len(seeds) for seeds in paired.seed_values),
        cells={
            cell: estimate(value, drawn, n_patients=n_patients)
            for cell, value, drawn in zip(CELLS, values, sample, strict=True)
        },
        **effects,
    )


def _adds(effect: Estimate) -> str:
    shown = show_estimate(effect.to_json(), signed=True)
    return f"adds {shown}" if effect.excludes_zero else f"adds {shown}, not told from nothing"
