"""The leak probe: can the response be read from tissue that the tumour does not touch?

A logistic regression sees nothing but mean, standard deviation and median of normal tissue, far
from any lesion of either scan, channel by channel. If it tells the response better than chance,
the normalisation (or the cohort) carries the response all over the brain, and attribution outside
the tumour can be truthful.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError, GridMismatchError, SplitError
from xrano.geometry import dilate_mm
from xrano.types import Mask

PROBE_DISTANCES_MM = (16.0, 32.0)
"""How far from any lesion the probe looks."""

LEAST_VOXELS = 100
"""With less normal tissue than this a pair has no features."""

_FOLDS = 5


def distant_tissue(
    brain: Mask,
    lesion: Mask,
    spacing: tuple[float, float, float],
    distance_mm: float,
) -> Mask:
    """The brain farther than ``distance_mm`` from every voxel of ``lesion``.

    Args:
        brain: (i, j, k) voxels that are brain on both scans of the pair.
        lesion: (i, j, k) every labelled voxel of either scan.
        spacing: voxel size in mm.
        distance_mm: distance between voxel centres.

    Raises:
        GridMismatchError: if the masks differ in shape.
    """
    if brain.shape != lesion.shape:
        raise GridMismatchError(f"a brain of shape {brain.shape} with a lesion of {lesion.shape}")
    return np.asarray(brain & ~dilate_mm(lesion, spacing, distance_mm))


def tissue_features(
    channels: NDArray[np.floating[Any]], tissue: Mask
) -> NDArray[np.float64] | None:
    """Mean, standard deviation and median of every channel over some tissue.

    Args:
        channels: (channel, i, j, k) normalised scans of a pair.
        tissue: (i, j, k) where to look.

    Returns:
        (3 · channel,) all means, then all standard deviations, then all medians; ``None`` if the
        tissue has fewer than :data:`LEAST_VOXELS` voxels.

    Raises:
        GridMismatchError: if channels and tissue differ in shape.
    """
    if channels.shape[1:] != tissue.shape:
        raise GridMismatchError(f"channels {channels.shape} with a tissue mask {tissue.shape}")
    if tissue.sum() < LEAST_VOXELS:
        return None
    values = channels[:, tissue].astype(np.float64)
    found = [values.mean(axis=1), values.std(axis=1), np.median(values, axis=1)]
    return np.asarray(np.concatenate(found), dtype=np.float64)


@dataclass(frozen=True)
class ProbeResult:
    """What the probe found.

    Attributes:
        balanced_accuracy: mean recall over the responses, out of fold.
        chance: one over the number of responses.
        band: 2.5th and 97.5th percentile of the balanced accuracy with permuted responses;
            NaN without permutations.
        p_value: share of permutations (the data counted in) that reach the balanced accuracy.
        pairs, patients: how many took part.
        dropped: pairs that had no features.
    """

    balanced_accuracy: float
    chance: float
    band: tuple[float, float]
    p_value: float
    pairs: int
    patients: int
    dropped: int


def leak_probe(
    features: Sequence[NDArray[np.float64] | None],
    responses: Sequence[str],
    patient_ids: Sequence[str],
    *,
    permutations: int = 0,
    seed: int = 0,
) -> ProbeResult:
    """Predict the response from features of normal tissue, patients kept apart.

    Features are standardised within each training fold; five folds grouped by patient, stratified
    by response; classes weigh the same. The band permutes whole patients' sequences of responses,
    so that the dependence within a patient stays.

    Args:
        features: one :func:`tissue_features` a pair; ``None`` leaves the pair out.
        responses: the pairs' responses.
        patient_ids: the pairs' patients.
        permutations: how many permuted probes make the band; 0 for none.
        seed: of folds and permutations.

    Raises:
        ConfigError: if the lists differ in length.
        SplitError: if there are fewer patients than folds or only one response.
    """
    if not len(features) == len(responses) == len(patient_ids):
        raise ConfigError(
            f"the probe needs one entry a pair, got {len(features)} features, "
            f"{len(responses)} responses and {len(patient_ids)} patients"
        )
    used = [index for index, feature in enumerate(features) if feature is not None]
    table = np.array([features[index] for index in used], dtype=np.float64)
    truth = np.array([str(responses[index]) for index in used])
    patients = np.array([patient_ids[index] for index in used])
    classes = np.unique(truth)
    if len(np.unique(patients)) < _FOLDS or len(classes) < 2:
        raise SplitError(
            f"the probe needs {_FOLDS} patients and two responses with enough distant tissue; "
            f"left are {len(np.unique(patients))} patients and {len(classes)} responses"
        )
    score = _out_of_fold_score(table, truth, patients, seed)
    rng = np.random.default_rng([seed, 1])
    permuted = [
        _out_of_fold_score(table, _permute_patients(rng, truth, patients), patients, seed)
        for _ in range(permutations)
    ]
    low, high = np.percentile(permuted, [2.5, 97.5]) if permuted else (np.nan, np.nan)
    reached = 1 + sum(other >= score for other in permuted)
    return ProbeResult(
        balanced_accuracy=score,
        chance=1.0 / len(classes),
        band=(float(low), float(high)),
        p_value=reached / (1 + permutations) if permutations else float("nan"),
        pairs=len(used),
        patients=len(np.unique(patients)),
        dropped=len(features) - len(used),
    )


def _out_of_fold_score(
    table: NDArray[np.float64], truth: NDArray[np.str_], patients: NDArray[np.str_], seed: int
) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Small cohorts have classes rarer than folds, every permutation again; the permuted band
        # shows how little is then told.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        predicted = cross_val_predict(probe, table, truth, groups=patients, cv=folds)
        return float(balanced_accuracy_score(truth, predicted))


def _permute_patients(
    rng: np.random.Generator, truth: NDArray[np.str_], patients: NDArray[np.str_]
) -> NDArray[np.str_]:
    """Deal the patients' sequences of responses out to the pairs in another order of patients."""
    names = np.unique(patients)
    rows = [np.flatnonzero(patients == name) for name in names]
    dealt = np.concatenate([truth[rows[index]] for index in rng.permutation(len(names))])
    permuted = truth.copy()
    permuted[np.concatenate(rows)] = dealt
    return permuted
