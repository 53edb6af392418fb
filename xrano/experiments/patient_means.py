"""Means of volumes within each patient, then over patients, as they come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ManifestError
from xrano.types import Volume


class PatientMeans:
    """A mean within each patient, then over patients; memory does not grow with either.

    Example:
        >>> means = PatientMeans()
        >>> for patient in ([1.0, 3.0], [8.0]):
        ...     for value in patient:
        ...         means.add(np.full((1, 1, 1), value))
        ...     means.close_patient()
        >>> float(means.mean[0, 0, 0]), means.n_pairs, means.n_patients
        (5.0, 3, 2)
    """

    def __init__(self) -> None:
        self.n_pairs = self.n_patients = 0
        self._total: NDArray[np.float32] | None = None
        self._own: NDArray[np.float32] | None = None
        self._count = 0

    def add(self, volume: NDArray[Any]) -> None:
        """One pair (i, j, k) of the patient at hand."""
        values = np.asarray(volume, dtype=np.float32)
        self._own = values.copy() if self._own is None else self._own + values
        self._count += 1

    def close_patient(self) -> None:
        """Every pair of the patient was added."""
        if self._own is None:
            return
        mean = self._own / np.float32(self._count)
        self._total = mean if self._total is None else self._total + mean
        self.n_pairs += self._count
        self.n_patients += 1
        self._own, self._count = None, 0

    @property
    def mean(self) -> Volume:
        """(i, j, k) float32.

        Raises:
            ManifestError: if nothing was added.
        """
        if self._total is None:
            raise ManifestError("nothing was averaged")
        return np.asarray(self._total / np.float32(self.n_patients))
