"""Several arms on the pairs that they share.

The balanced accuracy of an arm, mean over its seeds, is linear in what share of the seeds rates
each pair rightly, since all seeds have the same pairs: Σ over classes of the mean share of the
class's pairs, divided by the number of classes. So one number a pair says all that a comparison
needs, however many seeds each arm has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.errors import ManifestError
from xrano.evaluation.classification import balanced_accuracy_from, confusion_counts
from xrano.evaluation.predictions import CLASSES, Predictions, read_predictions
from xrano.metrics.bootstrap import patient_weights

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedArms:
    """Arms on shared pairs, which are sorted by ``pair_id``.

    ``patients``: patients, sorted; ``patient_of`` (pair,) index into them; ``truth`` (pair,) class
    index; ``hits`` (arm, pair) share of the arm's seeds that rate the pair rightly;
    ``seed_values``: balanced accuracy of each seed of each arm.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    patients: tuple[str, ...]
    patient_of: NDArray[np.intp]
    truth: NDArray[np.intp]
    hits: Floats
    seed_values: tuple[tuple[float, ...], ...]

    @property
    def pairs_per_class(self) -> dict[str, int]:
        """Number of shared pairs of each class."""
        counts = np.bincount(self.truth, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def shares(self) -> Floats:
        """What each patient adds to each arm's balanced accuracy: (arm, patient)."""
        counts = np.bincount(self.truth, minlength=len(self.classes))
        each = self.hits / (counts[self.truth] * (counts > 0).sum())
        return np.stack(
            [np.bincount(self.patient_of, row, minlength=len(self.patients)) for row in each]
        )

    def values(self) -> Floats:
        """Balanced accuracy of each arm (arm,), mean over its seeds."""
        return np.asarray(self.shares().sum(axis=1))

    def resampled(self, *, n_resamples: int, seed: int) -> Floats:
        """Balanced accuracies (arm, resample) of the same resamples of patients for all arms.

        Every class that occurs is in every resample; a draw that lacks one is drawn again.
        """
        words = [self.classes[index] for index in self.truth]
        owners = [self.patients[index] for index in self.patient_of]
        _, weights = patient_weights(owners, words, n_resamples=n_resamples, seed=seed)
        drawn = weights.astype(np.float64)
        present = np.unique(self.truth)
        member = (self.truth[:, None] == present).astype(np.float64)
        counts = drawn @ self._by_patient(member)
        return np.stack(
            [
                (drawn @ self._by_patient(member * row[:, None]) / counts).mean(axis=1)
                for row in self.hits
            ]
        )

    def _by_patient(self, values: Floats) -> Floats:
        """Sum of (pair, class) values over each patient's pairs: (patient, class)."""
        total = np.zeros((len(self.patients), values.shape[1]))
        np.add.at(total, self.patient_of, values)
        return total


def pair_arms(
    tables: Mapping[str, pd.DataFrame], classes: Sequence[str] = CLASSES
) -> PairedArms | None:
    """Bring arms onto the pairs that all of them, under all their seeds, have rated.

    Args:
        tables: name of each arm to its predictions, with ``pair_id``; seeds may differ in number.
        classes: names of the classes.

    Returns:
        The arms, or None if they share no pair.

    Raises:
        ManifestError: if a table has no pair_id, or a pair's response or patient differs.
        UnknownNameError: if a response or prediction is none of the classes.
    """
    unnamed = [name for name, table in tables.items() if "pair_id" not in table]
    if unnamed:
        raise ManifestError(
            f"arms are compared pair by pair: predictions of {', '.join(unnamed)} need the column "
            f"pair_id"
        )
    arms = {name: read_predictions(table, classes) for name, table in tables.items()}
    shared = reduce(np.intersect1d, [arm.pair_ids for arm in arms.values()])
    if shared.size == 0:
        return None
    rows = {name: np.searchsorted(arm.pair_ids, shared) for name, arm in arms.items()}
    _refuse_contradiction(arms, rows, shared)
    first_name, first = next(iter(arms.items()))
    truth = first.truth[rows[first_name]]
    patients, patient_of = np.unique(first.patients[rows[first_name]], return_inverse=True)
    said = {name: arm.predicted[:, rows[name]] for name, arm in arms.items()}
    return PairedArms(
        names=tuple(arms),
        classes=first.classes,
        patients=tuple(str(patient) for patient in patients),
        patient_of=patient_of,
        truth=truth,
        hits=np.stack([(rated == truth).mean(axis=0) for rated in said.values()]),
        seed_values=tuple(
            tuple(_accuracy(truth, seed, len(first.classes)) for seed in rated)
            for rated in said.values()
        ),
    )


def _accuracy(truth: NDArray[np.intp], said: NDArray[np.intp], n_classes: int) -> float:
    return float(balanced_accuracy_from(confusion_counts(truth, said, n_classes)))


def _refuse_contradiction(
    arms: Mapping[str, Predictions],
    rows: Mapping[str, NDArray[np.intp]],
    shared: NDArray[Any],
) -> None:
    facts = {
        name: {"response": arm.names(arm.truth)[rows[name]], "patient_id": arm.patients[rows[name]]}
        for name, arm in arms.items()
    }
    first_name, *others = arms
    for what, wanted in facts[first_name].items():
        for name in others:
            found = facts[name][what]
            if (found != wanted).any():
                at = int(np.flatnonzero(found != wanted)[0])
                raise ManifestError(
                    f"arms can only be compared on the same truth: pair {shared[at]} has {what} "
                    f"{wanted[at]} in {first_name} and {found[at]} in {name}"
                )
