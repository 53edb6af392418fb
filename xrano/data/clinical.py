"""Clinical variables of a pair as numbers for a network, standardised on training patients.

======================  ==========================================================
``sex``                 male +1, female −1
``age``                 years, the first that the patient's sessions say
``idh``                 wild type +1, mutant −1
``mgmt``                methylated +1, not methylated −1
``weeks_since_first``   from the patient's first scan (by the column of this name in the
                        sessions table, or else the first session with images) to the current
``weeks_since_prior``   from the prior scan to the current
======================  ==========================================================

Numbers are standardised; each variable is followed by a column that is 1 where it is missing, its
value being 0 then. A zero vector thus stands for the training mean of the numbers, neither of both
categories, and nothing missing. The share of methylation (``mgmt_percent``) is left out, since
assays differ in scale and threshold, and the survival because nobody knows it at the scan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.data.clinical_values import PATIENT_VARIABLES, VARIABLES, pair_values
from xrano.data.clinical_words import CATEGORIES
from xrano.errors import CheckpointError, ConfigError
from xrano.text_files import read_json

__all__ = ["PATIENT_VARIABLES", "VARIABLES", "ClinicalEncoder", "VariableScale", "read_encoder"]


@dataclass(frozen=True)
class VariableScale:
    """How a variable becomes a number: (value − mean) / sd.

    Categories keep their ±1 (mean 0, sd 1). ``n_known`` counts the training patients (pairs, for
    weeks) that had it: with none it is missing for everyone, since nothing could be learnt about
    it. An ``sd`` of 0 says that all of them had the same value: it is 0 for everyone then.
    """

    mean: float
    sd: float
    n_known: int


@dataclass(frozen=True)
class ClinicalEncoder:
    """The encoding that a network was trained with; it belongs to the network's weights.

    ``scales``: one entry for each of :data:`VARIABLES`.
    """

    scales: Mapping[str, VariableScale]

    @property
    def names(self) -> tuple[str, ...]:
        """The variables in the order of the encoding, which has two columns for each."""
        return tuple(self.scales)

    @classmethod
    def fit(
        cls, pairs: pd.DataFrame, sessions: pd.DataFrame, patients: Iterable[str]
    ) -> ClinicalEncoder:
        """Learn means and SDs (divided by n) from training patients alone.

        Args:
            pairs: a pairs table; only rows of the patients count. Where folds are of timepoints,
                give the training pairs.
            sessions: the sessions table.
            patients: those that are trained on; each counts once for its own variables, whatever
                the number of pairs.

        Raises:
            ConfigError: if there is no training pair, or none of the variables but weeks is known
                of any training patient.
            ManifestError: for a spelling that is not known, or sessions of one patient that
                contradict each other.
        """
        training = set(patients)
        pairs = pairs[pairs["patient_id"].isin(training)]
        if pairs.empty:
            raise ConfigError("clinical data need training pairs to be standardised by, got none")
        values = pair_values(pairs, sessions)
        once = ~pairs["patient_id"].duplicated().to_numpy()
        scales = {
            name: _scale(name, values[once, column] if column < _OF_PATIENT else values[:, column])
            for column, name in enumerate(VARIABLES)
        }
        if not any(scales[name].n_known for name in PATIENT_VARIABLES):
            there = [name for name in PATIENT_VARIABLES if name in sessions]
            found = f"has {', '.join(there)}, but empty" if there else "has none of them"
            raise ConfigError(
                f"a network with clinical data needs at least one of {', '.join(PATIENT_VARIABLES)}"
                f" in the sessions table, known of some training patients; the table {found}: add "
                "them and prepare again, or train without clinical data"
            )
        return cls(scales)

    def encode(self, pairs: pd.DataFrame, sessions: pd.DataFrame) -> NDArray[np.float32]:
        """Numbers ``(pair, 2 · variables)``: value and missingness of each, side by side.

        Args:
            pairs: rows of a pairs table, of any patients.
            sessions: the sessions table.

        Raises:
            ManifestError: as :meth:`fit`.
        """
        values = pair_values(pairs, sessions)
        encoded = np.zeros((len(pairs), 2 * len(self.scales)), dtype=np.float32)
        for column, (name, scale) in enumerate(self.scales.items()):
            found = values[:, VARIABLES.index(name)]
            missing = np.isnan(found) | (scale.n_known == 0)
            if scale.sd > 0:
                encoded[:, 2 * column] = np.where(missing, 0, (found - scale.mean) / scale.sd)
            encoded[:, 2 * column + 1] = missing
        return encoded

    def to_json(self) -> dict[str, Any]:
        """Plain values that :meth:`from_json` reads back exactly."""
        return {
            "variables": [
                {"name": name, "mean": scale.mean, "sd": scale.sd, "n_known": scale.n_known}
                for name, scale in self.scales.items()
            ]
        }

    @classmethod
    def from_json(cls, content: Any) -> ClinicalEncoder:
        """Read :meth:`to_json`.

        Raises:
            CheckpointError: if that is not what the content is.
        """
        try:
            scales = {
                str(entry["name"]): VariableScale(
                    float(entry["mean"]), float(entry["sd"]), int(entry["n_known"])
                )
                for entry in content["variables"]
            }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"this is no encoding of clinical data ({type(error).__name__}: {error})"
            ) from error
        unknown = sorted(set(scales) - set(VARIABLES))
        if unknown or len(scales) != len(content["variables"]) or not scales:
            raise CheckpointError(
                f"an encoding of clinical data has each of {', '.join(VARIABLES)} at most once; "
                f"found {', '.join(str(entry['name']) for entry in content['variables']) or 'none'}"
            )
        return cls(scales)


def read_encoder(path: Path) -> ClinicalEncoder:
    """Read the JSON file of :meth:`ClinicalEncoder.to_json`.

    Raises:
        CheckpointError: if the file is missing or something else.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}: {error}); it says how the clinical "
            "data of a network with clinical data are standardised, and belongs beside its weights"
        ) from error
    try:
        return ClinicalEncoder.from_json(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


_OF_PATIENT = len(PATIENT_VARIABLES)


def _scale(name: str, values: NDArray[np.float64]) -> VariableScale:
    known = values[~np.isnan(values)]
    spread = bool(known.size) and bool(known.max() > known.min())
    if name in CATEGORIES:
        return VariableScale(0.0, 1.0 if spread else 0.0, int(known.size))
    mean = float(known.mean()) if known.size else 0.0
    return VariableScale(mean, float(known.std()) if spread else 0.0, int(known.size))
