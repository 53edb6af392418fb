"""All that is scored of one pair, and the tables that all pairs make together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from xrano.atomic_files import write_text
from xrano.attribution.baselines import BASELINES, make_baseline
from xrano.attribution.requests import MethodRequest
from xrano.channels import Timepoint
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import UnknownNameError
from xrano.maps import AttributionMap
from xrano.metrics.catalogue import METRICS
from xrano.scoring.lesion_table import LESION_COLUMNS, lesion_rows
from xrano.scoring.null_table import null_table, placement_rows, random_weights_rows, write_nulls
from xrano.scoring.pair_masks import PairMasks
from xrano.scoring.reference_maps import (
    CHANGE,
    centre_map,
    change_map,
    edges_map,
    enhancement_map,
    input_difference_map,
    resolution_rows,
    training_mask_map,
    uniform_map,
)
from xrano.scoring.rows import (
    all_lesions,
    default_rectification,
    primary_cell,
    reference_cell,
    score_seen,
    see_map,
)
from xrano.scoring.score_table import score_table, write_scores
from xrano.scoring.shares import SHARE_COLUMNS, share_rows
from xrano.scoring.shuffle import CohortMasks, crossed_row, shuffle_primary

NullRegions = Literal["primary", "all", "none"]
"""Which masks are moved through the brain for the placement null."""


def null_regions(name: str) -> NullRegions:
    """The choice of a name.

    Raises:
        UnknownNameError: if there is none.
    """
    for choice in get_args(NullRegions):
        if choice == name:
            return choice  # type: ignore[no-any-return]
    raise UnknownNameError("null regions", name, get_args(NullRegions))


@dataclass
class PairScores:
    """Rows of every table, by name: JSON values, undefined numbers ``None``."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    nulls: list[dict[str, Any]] = field(default_factory=list)
    shares: list[dict[str, Any]] = field(default_factory=list)
    crossed: list[dict[str, Any]] = field(default_factory=list)
    lesions: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: PairScores) -> None:
        """Append another pair's, or another map's."""
        for name, rows in vars(other).items():
            getattr(self, name).extend(rows)


def score_maps(
    pair: PairVolumes,
    masks: PairMasks,
    maps: Iterable[AttributionMap],
    cohort: CohortMasks,
    *,
    reduction: str,
    stem: str,
    nulls: NullRegions = "primary",
) -> PairScores:
    """Score the maps of one pair by their default rectification.

    Maps of the network itself and ``change`` are scored against everything. Random-weight copies
    and the other reference maps only against what they are compared in: the union of both scans'
    core and whole tumour.
    """
    found = PairScores()
    for item in maps:
        seen = see_map(item, masks, rectification=default_rectification(item), reduction=reduction)
        weights, reference = seen.facts["weights"], seen.facts["weights"] == "none"
        copy = weights.startswith("random")
        if copy:
            found.rows += score_seen(seen, masks, metrics=METRICS, chosen=reference_cell)
            continue
        if reference and seen.facts["method"] != CHANGE:
            found.rows += score_seen(seen, masks, chosen=reference_cell)
        else:
            found.rows += score_seen(seen, masks)
            # A map that was saved on a scan of its own is carried back to the brain's grid.
            here = item if item.grid.matches(pair.grid) else item.resample_to(pair.grid)
            found.shares += share_rows(here, pair.brain, pair.layout, stem=stem)
        if nulls != "none":
            chosen = primary_cell if nulls == "primary" or reference else all_lesions
            found.nulls += placement_rows(seen, masks, chosen=chosen)
        crossed = crossed_row(seen, cohort)
        found.crossed += [crossed] if crossed is not None else []
    return _plain(found)


def reference_maps(
    pair: PairVolumes,
    methods: Sequence[str],
    meta: Mapping[str, Any],
    training_mask: NDArray[np.float32] | None,
) -> list[AttributionMap]:
    """The maps of a pair that need no network: see :mod:`xrano.scoring.reference_maps`."""
    half, grid = len(pair.layout.sequences), pair.grid
    prior, current = pair.inputs[:half], pair.inputs[half:]
    found = [
        change_map(prior, current, grid, meta),
        uniform_map(grid, meta),
        centre_map(pair.brain, grid, meta),
        edges_map(current, grid, meta),
    ]
    requested = dict.fromkeys(MethodRequest.parse(method).baseline for method in methods)
    brain = torch.from_numpy(pair.brain)
    for name in requested:
        # |x − x′| of the prior scan is the change; baselines of a data set are not at hand.
        if name in BASELINES and name != "prior":
            inputs = torch.from_numpy(pair.inputs)[None]
            baseline = make_baseline(name, inputs, pair.layout, brain)[0].numpy()
            found.append(input_difference_map(pair.inputs, baseline, name, grid, meta))
    if {"CT1", "T1"} <= set(pair.layout.sequences):
        ct1, t1 = (
            np.stack([pair.volume(str(time), sequence) for time in Timepoint])
            for sequence in ("CT1", "T1")
        )
        found.append(enhancement_map(ct1, t1, grid, meta))
    if training_mask is not None:
        found.append(training_mask_map(training_mask, grid, meta))
    return found


def mask_rows(
    maps: Iterable[AttributionMap], masks: PairMasks, *, reduction: str
) -> list[dict[str, Any]]:
    """What the masks themselves score at the resolution of each layer among the maps."""
    layers: dict[str, AttributionMap] = {}
    for item in maps:
        if item.coarse:
            layers.setdefault(str(item.meta["layer"]), item)
    return [
        row for cam in layers.values() for row in resolution_rows(cam, masks, reduction=reduction)
    ]


def lesions_of(pair: PairVolumes, masks: PairMasks) -> PairScores:
    """The lesions of a pair."""
    return _plain(PairScores(lesions=lesion_rows(masks, pair.patient_id)))


def write_tables(scores: PairScores, cohort: CohortMasks, out: Path) -> pd.DataFrame:
    """Write every table of a cohort; the score table is returned.

    ``scores.csv``, ``nulls.csv``, ``shuffle.csv``, ``lesions.csv`` and ``shares.csv``.
    """
    table = scores_of(scores)
    write_scores(table, out / "scores.csv")
    copies = random_weights_rows(table)
    write_nulls(_numbers(null_table([*scores.nulls, *copies])), out / "nulls.csv")
    shuffled = shuffle_primary(scores.crossed, cohort)
    for name, frame in {
        "shuffle": shuffled,
        "lesions": pd.DataFrame(scores.lesions, columns=list(LESION_COLUMNS)),
        "shares": pd.DataFrame(scores.shares, columns=list(SHARE_COLUMNS)),
    }.items():
        write_text(out / f"{name}.csv", frame.to_csv(index=False))
    return table


def scores_of(scores: PairScores) -> pd.DataFrame:
    """The score table, undefined numbers NaN."""
    table = score_table(scores.rows)
    return table.astype({"value": float, "chance": float})


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    numbers = ("observed", "mean", "sd", "z", "percentile", "p")
    return table.astype(dict.fromkeys(numbers, float))


def _plain(scores: PairScores) -> PairScores:
    return PairScores(**{name: [_json(row) for row in rows] for name, rows in vars(scores).items()})


def _json(value: Any) -> Any:
    """NaN and infinity as ``None``, in any depth."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, list) else value
