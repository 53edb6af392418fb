"""Dice at a threshold that training pairs chose: ``dice_tuned``.

For each method, layer and segmentation the threshold (a share of a map's maximum in the brain) with
the highest mean Dice over maps of training pairs is found, in the primary region, and then applied
to held-out pairs as it is. No held-out pair takes part in the choice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xrano.metrics.catalogue import OverlapScore, OverlapStatus, first_reason
from xrano.metrics.thresholds import THRESHOLDS, mean_dice, ranked_threshold_dice
from xrano.scoring.pair_masks import ALL_LESIONS, Cell, PairMasks
from xrano.scoring.rows import SeenMap, primary_cell, score_row

DICE_TUNED = "dice_tuned"
"""Name of the metric in a score table."""

_Key: TypeAlias = tuple[str, str, str, str]
"""Method, baseline, layer, segmentation source."""


@dataclass(frozen=True)
class TunedThreshold:
    """The threshold of one method, or why there is none.

    Attributes:
        method: with ``baseline`` and ``layer`` the method.
        baseline: its baseline.
        layer: its layer.
        segmentation_source: whose masks.
        threshold: share of the maximum; ``None`` if no training map had a Dice.
        n_pairs: training pairs that had one.
        status: ``ok``, or the commonest reason why training maps had none.
    """

    method: str
    baseline: str
    layer: str
    segmentation_source: str
    threshold: float | None
    n_pairs: int
    status: str


@dataclass(frozen=True)
class TunedThresholds:
    """Those of one fold."""

    found: tuple[TunedThreshold, ...]

    @classmethod
    def of_json(cls, items: Iterable[Mapping[str, Any]]) -> TunedThresholds:
        """The inverse of :meth:`to_json`."""
        return cls(tuple(TunedThreshold(**item) for item in items))

    def to_json(self) -> list[dict[str, Any]]:
        """As JSON values."""
        return [asdict(item) for item in self.found]

    def of(self, facts: Mapping[str, Any], source: str) -> TunedThreshold:
        """That of a map's method; one without a training pair if there was no such map."""
        key = _key(facts, source)
        for item in self.found:
            if (item.method, item.baseline, item.layer, item.segmentation_source) == key:
                return item
        return TunedThreshold(*key, None, 0, str(OverlapStatus.NO_SEGMENTATION))


@dataclass
class ThresholdTuning:
    """Takes maps of training pairs, one at a time; keeps numbers, and no map."""

    _curves: dict[_Key, list[NDArray[np.float64]]] = field(default_factory=dict, init=False)
    _without: dict[_Key, Counter[str]] = field(default_factory=dict, init=False)

    def add(self, seen: SeenMap, case: PairMasks) -> None:
        """Add one map of a training pair, in all segmentations."""
        for cell in filter(primary_cell, case.cells):
            key = _key(seen.facts, cell[0])
            inside = seen.ranked.within(case.positions[cell])
            why = first_reason(inside, case.least_voxels)
            curves = self._curves.setdefault(key, [])
            if why == OverlapStatus.OK:
                curves.append(mean_dice([inside], THRESHOLDS))
            else:
                self._without.setdefault(key, Counter())[str(why)] += 1
        for (source, region, scope), status in case.absent.items():
            if primary_cell((source, region, scope, ALL_LESIONS)):
                key = _key(seen.facts, source)
                self._curves.setdefault(key, [])
                self._without.setdefault(key, Counter())[str(status)] += 1

    def found(self) -> TunedThresholds:
        """The threshold of every method: as :func:`xrano.metrics.thresholds.tune_threshold`."""
        return TunedThresholds(tuple(self._one(key) for key in self._curves))

    def _one(self, key: _Key) -> TunedThreshold:
        curves = self._curves[key]
        if not curves:
            why = self._without[key].most_common(1)[0][0]
            return TunedThreshold(*key, None, 0, why)
        best = THRESHOLDS[int(np.argmax(np.mean(curves, axis=0)))]
        return TunedThreshold(*key, best, len(curves), str(OverlapStatus.OK))


def tuned_dice_rows(
    seen: SeenMap, case: PairMasks, thresholds: TunedThresholds
) -> list[dict[str, Any]]:
    """A row ``dice_tuned`` for the primary mask of each segmentation, with its ``threshold``.

    Where there is no threshold the value is undefined, with the reason why training maps had no
    Dice.
    """
    rows = []
    for cell in filter(primary_cell, case.cells):
        tuned = thresholds.of(seen.facts, cell[0])
        inside = seen.ranked.within(case.positions[cell])
        score = (
            OverlapScore(math.nan, math.nan, OverlapStatus(tuned.status))
            if tuned.threshold is None
            else ranked_threshold_dice(inside, tuned.threshold, least_voxels=case.least_voxels)
        )
        rows.append(_row(seen, cell, score, tuned))
    for (source, region, scope), why in case.absent.items():
        cell = (source, region, scope, ALL_LESIONS)
        if primary_cell(cell):
            nothing = OverlapScore(math.nan, math.nan, why)
            rows.append(_row(seen, cell, nothing, thresholds.of(seen.facts, source)))
    return rows


def _row(seen: SeenMap, cell: Cell, score: OverlapScore, tuned: TunedThreshold) -> dict[str, Any]:
    row = score_row(seen.facts, cell, DICE_TUNED, score)
    return {**row, "threshold": math.nan if tuned.threshold is None else tuned.threshold}


def _key(facts: Mapping[str, Any], source: str) -> _Key:
    return str(facts["method"]), str(facts["baseline"]), str(facts["layer"]), source
