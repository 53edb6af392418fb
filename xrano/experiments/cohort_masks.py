"""Masks of many pairs at once: of the cohort for the shuffle test, of training pairs as a map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.data.common_world import in_one_world
from xrano.data.label_schemes import has_region, region_mask
from xrano.data.store import Store, read_prepared
from xrano.scoring.crossed_masks import CohortMasks
from xrano.scoring.pair_masks import PairMasks
from xrano.scoring.primary_source import most_measured
from xrano.scoring.rows import PRIMARY_REGION
from xrano.training.run import Run
from xrano.types import Mask

_REGION = PRIMARY_REGION.split("/")[0]


def cohort_masks(store: Store, records: Iterable[Mapping[Any, Any]]) -> CohortMasks:
    """The primary masks of the pairs of the confirmatory test.

    Those are rated, without surgery between the scans, and have a measurable mask in the
    segmentation of the primary analysis (:func:`~xrano.scoring.primary_source.most_measured`).

    Args:
        store: a store.
        records: rows of the pairs table.

    Returns:
        No mask at all where there is none, or the patients of the store share no world.
    """
    if not in_one_world(store):
        return CohortMasks("", (), (), (), ())
    kept = [row for row in records if row["response"] and not row["spans_surgery"]]
    found: dict[str, list[tuple[Mapping[Any, Any], NDArray[np.intp]]]] = {}
    least = PairMasks(store.grid, np.ones(store.grid.shape, bool), {}).least_voxels
    for row in kept:
        for source, mask in _primary_masks(store, row).items():
            voxels = np.flatnonzero(mask)
            if voxels.size >= least:
                found.setdefault(source, []).append((row, voxels))
    chosen = most_measured({name: len(of) for name, of in found.items()})
    if chosen is None:
        return CohortMasks("", (), (), (), ())
    rows = [row for row, _ in found[chosen]]
    return CohortMasks(
        chosen,
        pair_ids=tuple(str(row["pair_id"]) for row in rows),
        patient_ids=tuple(str(row["patient_id"]) for row in rows),
        responses=tuple(str(row["response"]) for row in rows),
        voxels=tuple(voxels for _, voxels in found[chosen]),
    )


class TrainingMasks:
    """Where the tumours of a fold's training pairs lie, the patient at hand never among them.

    Args:
        run: a run.
        fold: the fold.
        source: whose segmentation; with none, or patients that share no world, there is no mean.
    """

    def __init__(self, run: Run, fold: int, source: str) -> None:
        self._store, self._source = run.store, source
        self._pairs: list[dict[Any, Any]] = []
        if source and in_one_world(run.store):
            self._pairs = run.training_pairs(fold).to_dict("records")
        self._total, self._count = self._sum(self._pairs)

    def mean(self, patient_id: str) -> NDArray[np.float32] | None:
        """(i, j, k) share of training pairs with tumour there; ``None`` if there is no pair.

        Folds of the timepoint protocol train on the patients that they test: those pairs are
        taken out again.
        """
        own = [row for row in self._pairs if row["patient_id"] == patient_id]
        total, count = (self._total, self._count) if not own else self._without(own)
        return None if not count else np.asarray(total / count, dtype=np.float32)

    def _without(self, own: list[dict[Any, Any]]) -> tuple[NDArray[np.int32], int]:
        less, fewer = self._sum(own)
        return self._total - less, self._count - fewer

    def _sum(self, pairs: list[dict[Any, Any]]) -> tuple[NDArray[np.int32], int]:
        total, count = np.zeros(self._store.grid.shape, dtype=np.int32), 0
        for row in pairs:
            mask = _primary_masks(self._store, row).get(self._source)
            if mask is not None:
                total += mask
                count += 1
        return total, count


def _primary_masks(store: Store, row: Mapping[Any, Any]) -> dict[str, Mask]:
    """Source to the primary region's mask inside the pair's brain, where both scans have it."""
    prior, current = (
        read_prepared(store.session_path(row["patient_id"], row[name]), ())
        for name in ("prior_session", "current_session")
    )
    brain = prior.brain | current.brain
    found = {}
    for source, (labels, scheme) in current.segmentations.items():
        if source in prior.segmentations and has_region(scheme, _REGION):
            before = region_mask(prior.segmentations[source][0], scheme, _REGION)
            found[source] = (before | region_mask(labels, scheme, _REGION)) & brain
    return found
