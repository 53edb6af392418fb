"""The confirmatory test of the primary analysis: would other patients' tumours do as well?

Every primary map is scored against its own mask and against those of all other patients of the
cohort, in the common space, inside the brain that it was made in. The statistic is the lift of the
primary analysis (log2 of the mean over patients of the relevance mass in the mask over the same
mean of chance); the null permutes masks among patients of similar tumour size
(:mod:`xrano.metrics.shuffle`). One set of permutations serves all methods and responses, so that
their p can be corrected together by the largest z (``p_adjusted``).

Within a response the maps of its pairs see masks of any patient of similar size. Masks are known
before any map is made, so maps are scored against all of them at once and none needs to be kept.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.metrics.multiplicity import max_statistic
from xrano.metrics.nulls import against_null
from xrano.metrics.ranked import RankedMap
from xrano.metrics.shuffle import (
    LEAST_PATIENTS,
    Assignments,
    shuffle_assignments,
    shuffle_statistics,
)
from xrano.rano import RESPONSES
from xrano.scoring.rows import SeenMap
from xrano.scoring.summary import ALL, DESCRIPTIVE_BELOW, method_labels

N_PERMUTATIONS = 1999
"""The least p is then 0.0005."""

SHUFFLE_COLUMNS = (
    *("response", "method", "null", "lift", "B", "mean", "sd", "z", "percentile", "p"),
    *("p_adjusted", "n_patients", "n_pairs", "size_ratio", "descriptive"),
)
"""Columns of ``shuffle.csv``: lift and null mean in bits; ``size_ratio``: median of larger ÷
smaller of the volumes of a map's own mask and of those it saw instead."""


@dataclass(frozen=True, eq=False)
class CohortMasks:
    """The primary masks of a cohort, in the common space.

    Attributes:
        source: whose segmentation.
        pair_ids: (pair,) rated pairs without surgery between the scans whose mask is measurable.
        patient_ids: (pair,) whose they are.
        responses: (pair,) their responses.
        voxels: (pair,) flat indices of each mask's voxels in the brain, on the one grid of all.
    """

    source: str
    pair_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    responses: tuple[str, ...]
    voxels: tuple[NDArray[np.intp], ...]

    def __len__(self) -> int:
        return len(self.pair_ids)

    @property
    def testable(self) -> bool:
        """Whether there are patients enough to exchange masks."""
        return len(set(self.patient_ids)) >= LEAST_PATIENTS

    def digest(self) -> str:
        """SHA-256 of all masks."""
        found = hashlib.sha256(" ".join((self.source, *self.pair_ids)).encode())
        for voxels in self.voxels:
            found.update(voxels.tobytes())
        return found.hexdigest()

    def seen_by(self, ranked: RankedMap) -> tuple[list[float], list[float]]:
        """Relevance mass of one map in every mask, and its chance.

        Only what lies in the map's own brain counts; chance is NaN for a mask without a voxel
        there, mass also for a map without any relevance.
        """
        if ranked.domain is None or not len(self):
            return [], []
        everything = np.concatenate(self.voxels)
        starts = np.cumsum([0, *(voxels.size for voxels in self.voxels[:-1])])
        inside = ranked.domain.ravel()
        relevance = np.zeros(inside.size)
        relevance[inside] = ranked.values
        mass = np.add.reduceat(relevance[everything], starts)
        counts = np.add.reduceat(inside[everything].astype(np.float64), starts)
        counts[counts == 0] = np.nan
        total = ranked.total if ranked.total > 0 else np.nan
        mass = np.where(np.isnan(counts), np.nan, mass / total)
        return mass.tolist(), (counts / ranked.n).tolist()


def is_tested(facts: Mapping[str, Any]) -> bool:
    """Whether a map belongs to the test: the predicted class, of the network itself."""
    weights = str(facts["weights"])
    chosen = facts["target_choice"] in ("predicted", "all")
    network = weights != "none" and not weights.startswith("random")
    return bool(network and chosen and facts["target"] == facts["predicted"])


def crossed_row(seen: SeenMap, masks: CohortMasks) -> dict[str, Any] | None:
    """One map against all masks, as JSON; ``None`` if it is no map or pair of the test."""
    if not is_tested(seen.facts) or seen.facts["pair_id"] not in masks.pair_ids:
        return None
    mass, chance = masks.seen_by(seen.ranked)
    named = {key: seen.facts[key] for key in ("pair_id", "method", "baseline", "layer")}
    return {**named, "mass": mass, "chance": chance}


def shuffle_primary(
    crossed: Iterable[Mapping[str, Any]],
    masks: CohortMasks,
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Lift of every method and response against other patients' masks.

    Args:
        crossed: rows of :func:`crossed_row`.
        masks: the masks that they saw.
        n_permutations: B.
        seed: of the permutations.

    Returns:
        A row a response (in the order of the primary analysis, ``all`` last) and method, with
        :data:`SHUFFLE_COLUMNS`; none if there are fewer than five patients.
    """
    rows = pd.DataFrame(list(crossed))
    if rows.empty or not masks.testable:
        return pd.DataFrame(columns=list(SHUFFLE_COLUMNS))
    rows["label"] = method_labels(rows)
    sizes = [voxels.size for voxels in masks.voxels]
    drawn = shuffle_assignments(masks.patient_ids, sizes, n_permutations=n_permutations, seed=seed)
    responses = [name for name in map(str, RESPONSES) if name in masks.responses]
    responses += sorted(set(masks.responses) - set(responses))
    matrices = {label: _matrices(of, masks) for label, of in rows.groupby("label", sort=False)}
    cells, statistics = [], []
    for response, (label, both) in itertools.product((*responses, ALL), matrices.items()):
        keep = np.array([response in (ALL, name) for name in masks.responses])
        cell, values = _cell(both[0], both[1], keep, drawn, masks.patient_ids)
        cells.append({"response": response, "method": str(label), **cell})
        statistics.append(values)
    stacked = np.array(statistics)
    adjusted = max_statistic(stacked[:, 0], stacked[:, 1:])
    table = pd.DataFrame(cells).assign(p_adjusted=adjusted)
    return table.loc[table["n_pairs"] > 0, list(SHUFFLE_COLUMNS)].reset_index(drop=True)


def format_shuffle(frame: pd.DataFrame) -> str:
    """The test over all responses in words, a line each method; empty if there was none."""
    lines = [
        f"other patients' masks: {row['method']} lift {row['lift']:+.2f} bits against "
        f"{row['mean']:+.2f} (p = {row['p']:.4f}, of {row['B']} permutations; "
        f"{row['p_adjusted']:.4f} corrected for all methods and responses)"
        for row in frame[frame["response"] == ALL].to_dict("records")
    ]
    return "\n".join(lines)


def _matrices(
    rows: pd.DataFrame, masks: CohortMasks
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(map, mask) mass and chance; NaN rows for pairs without a map."""
    place = {pair_id: index for index, pair_id in enumerate(masks.pair_ids)}
    found = np.full((2, len(masks), len(masks)), np.nan)
    for pair_id, mass, chance in zip(rows["pair_id"], rows["mass"], rows["chance"], strict=True):
        found[:, place[pair_id]] = np.array([mass, chance], dtype=np.float64)
    return found[0], found[1]


def _cell(
    mass: NDArray[np.float64],
    chance: NDArray[np.float64],
    keep: NDArray[np.bool_],
    drawn: Assignments,
    patient_ids: Sequence[str],
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """One method and response; and the statistic observed and of every permutation."""
    kept = np.where(keep[:, None], mass, np.nan)
    has = ~np.isnan(np.diagonal(kept))
    observed, values = (
        shuffle_statistics(kept, drawn, chance)
        if has.any()
        else (
            np.nan,
            np.full(len(drawn.masks), np.nan),
        )
    )
    with np.errstate(invalid="ignore"):
        # One permutation without any relevance in a mask has a lift of −∞.
        null = against_null(observed, values, null="shuffle", tolerance=1e-12)
    patients = len({patient for patient, there in zip(patient_ids, has, strict=True) if there})
    cell = {
        **{"null": null.null, "lift": observed, "B": null.n, "mean": null.mean, "sd": null.sd},
        **{"z": null.z, "percentile": null.percentile, "p": null.p},
        **{"n_patients": patients, "n_pairs": int(has.sum()), "size_ratio": drawn.size_ratio},
        "descriptive": patients < DESCRIPTIVE_BELOW,
    }
    return cell, np.concatenate([[observed], values])
