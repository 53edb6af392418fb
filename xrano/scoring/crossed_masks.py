"""Maps against the masks of other patients: the numbers that the shuffle test permutes.

Masks are known before any map is made, so maps are scored against all of them at once and none
needs to be kept. Two tables hold what the test needs, so that it can be made again from files:

* ``crossed.csv``: a map and a mask that some permutation hands it, with the relevance mass of the
  map in the mask and its chance. Only masks of patients near enough in size are needed (about
  twenty a map, whatever the size of the cohort).
* ``cohort_masks.csv``: whose masks these are, and how large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.metrics.ranked import RankedMap
from xrano.metrics.shuffle import LEAST_PATIENTS, reachable_masks
from xrano.scoring.row_frames import Rows, frame_of
from xrano.scoring.rows import SeenMap
from xrano.types import Mask

CROSSED_COLUMNS = (
    *("pair_id", "weights", "method", "layer", "baseline"),
    *("mask_pair_id", "mass", "chance"),
)
"""Columns of ``crossed.csv``: the map's first, as in ``scores.csv``; ``mask_pair_id`` is the pair
whose mask it was scored against. NaN: no voxel of the mask in the map's brain, or a silent map."""

COHORT_COLUMNS = ("pair_id", "patient_id", "response", "segmentation_source", "voxels")
"""Columns of ``cohort_masks.csv``; ``voxels`` of the pair's own brain."""


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

    def table(self) -> pd.DataFrame:
        """A row a mask, with :data:`COHORT_COLUMNS`."""
        sizes = [voxels.size for voxels in self.voxels]
        source = [self.source] * len(self)
        columns = (self.pair_ids, self.patient_ids, self.responses, source, sizes)
        return pd.DataFrame(dict(zip(COHORT_COLUMNS, columns, strict=True)))

    def seen_from(self, pair_id: str, brain: Mask) -> MasksInBrain | None:
        """The masks that maps of a pair may be handed; ``None`` if the pair is not of the test.

        Args:
            pair_id: the pair.
            brain: (i, j, k) where its maps are scored, on the grid of the masks.
        """
        if not self.testable or pair_id not in self.pair_ids:
            return None
        which = np.flatnonzero(self._reachable[self.pair_ids.index(pair_id)])
        return MasksInBrain(
            tuple(self.pair_ids[one] for one in which), [self.voxels[one] for one in which], brain
        )

    @cached_property
    def _reachable(self) -> NDArray[np.bool_]:
        return reachable_masks(self.patient_ids, [voxels.size for voxels in self.voxels])


class MasksInBrain:
    """Masks inside one brain, found once for all maps that were made in it.

    Args:
        pair_ids: (mask,) whose they are; at least one.
        voxels: (mask,) flat indices of each mask's voxels, none of them empty.
        brain: (i, j, k) boolean; voxels outside it do not count.

    Attributes:
        pair_ids: as given.
        chance: (mask,) share of the brain that each fills; NaN without a voxel there.
    """

    def __init__(
        self, pair_ids: tuple[str, ...], voxels: Iterable[NDArray[np.intp]], brain: Mask
    ) -> None:
        self.pair_ids = pair_ids
        every = list(voxels)
        at = np.concatenate(every)
        self._starts = np.cumsum([0, *(one.size for one in every[:-1])])
        # What lies outside the brain points behind its last voxel, where a zero stands.
        self._n = int(brain.sum())
        places = np.cumsum(brain.ravel(), dtype=np.intp)[at] - 1
        self._places = np.where(brain.ravel()[at], places, self._n)
        counts = self._sums(np.ones(self._n))
        self.chance = np.where(counts > 0, counts, np.nan) / self._n

    def mass(self, ranked: RankedMap) -> NDArray[np.float64]:
        """(mask,) share of a map's relevance in each; NaN as chance, and for a silent map."""
        total = ranked.total if ranked.total > 0 else np.nan
        return np.where(np.isnan(self.chance), np.nan, self._sums(ranked.values) / total)

    def _sums(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        inside = np.append(values, 0.0).astype(np.float64)[self._places]
        return np.asarray(np.add.reduceat(inside, self._starts), dtype=np.float64)


def is_tested(facts: Mapping[str, Any]) -> bool:
    """Whether a map belongs to the test: of no network, or of the class that it predicted."""
    if facts["weights"] == "none":
        return True
    chosen = facts["target_choice"] in ("predicted", "all")
    return bool(chosen and facts["target"] == facts["predicted"])


def crossed_row(seen: SeenMap, masks: MasksInBrain | None) -> dict[str, Any] | None:
    """One map against the masks of others, as JSON; ``None`` if it is no map of the test."""
    if masks is None or not is_tested(seen.facts):
        return None
    return {
        **{key: seen.facts[key] for key in CROSSED_COLUMNS[:5]},
        "mask_pair_id": list(masks.pair_ids),
        "mass": masks.mass(seen.ranked).tolist(),
        "chance": masks.chance.tolist(),
    }


def crossed_table(rows: Rows) -> pd.DataFrame:
    """Rows of :func:`crossed_row` as a table, a row a map and mask."""
    frame = frame_of(rows, CROSSED_COLUMNS)
    frame = frame.explode(list(CROSSED_COLUMNS[5:]), ignore_index=True)
    return frame.astype({"mass": "float64", "chance": "float64"})
