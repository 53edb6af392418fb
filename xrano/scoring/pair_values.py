"""A score table as arrays (cell, pair), which everything exploratory is computed from.

A cell is a method, target choice, segmentation source, region with scope, and metric. As in the
primary analysis pairs do not span surgery, class activation maps are ``positive`` and other maps
``absolute``, and lesions are taken all together. Rows of ``all`` targets count as every choice that
they are: the class ``predicted``, the ``response``, and each class by name. Reference maps explain
no class: their choice is ``none``. Random-weight copies are averaged within the pair and are a
method of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.errors import ManifestError, UnknownNameError
from xrano.metrics.catalogue import MASK_METRICS, OverlapStatus
from xrano.rano import RESPONSES
from xrano.scoring.pair_masks import ALL_LESIONS
from xrano.scoring.score_table import check_scores
from xrano.scoring.summary import ALL, PRIMARY_METRIC, UNRATED, method_labels

EXPLORED_METRICS = (
    PRIMARY_METRIC,
    "relevance_rank_accuracy",
    "pointing_game",
    "average_precision",
)
"""Looked at unless others are asked for."""

STATUSES = tuple(map(str, OverlapStatus))
OK = STATUSES.index(OverlapStatus.OK)
NO_ROW = -1
"""Where a pair was not scored in a cell at all."""

CELL_WORDS = ("method", "target_choice", "segmentation_source", "region", "metric")
_BESIDE = ("kind", "base", "map", "baseline", "layer")
NO_CHOICE = "none"
TRAINED, REFERENCE, COPIES = "trained", "reference", "copies"
"""Kinds of maps: of the trained network, of no network, of its random-weight copies."""

_NEEDED = (
    *("run", "weights", "pair_id", "patient_id", "response", "predicted", "target"),
    *("target_choice", "method", "layer", "baseline", "reduction", "segmentation_source"),
    *("region", "metric", "value", "chance", "status"),
)
COPIES_SUFFIX = " (random weights)"
"""Ends the method of cells of random-weight copies."""


@dataclass(frozen=True, eq=False)
class PairValues:
    """The values of a score table.

    Attributes:
        cells: (cell,) :data:`CELL_WORDS`, ``kind``, ``base`` (the method without what says that
            its weights are random), ``map`` (without baseline and layer too), ``baseline`` and
            ``layer``.
        pairs: (pair,) ``pair_id, patient_id, response`` (``unrated`` if there is none) and
            ``predicted``.
        value: (cell, pair) NaN where undefined.
        chance: (cell, pair) likewise.
        status: (cell, pair) index in :data:`STATUSES`, or :data:`NO_ROW`.
    """

    cells: pd.DataFrame
    pairs: pd.DataFrame
    value: NDArray[np.float64]
    chance: NDArray[np.float64]
    status: NDArray[np.int8]

    @cached_property
    def responses(self) -> dict[str, NDArray[np.bool_]]:
        """Response to its pairs (pair,): CR, PR, SD, PD, others, unrated, and ``all`` rated."""
        of_pair = self.pairs["response"].to_numpy(dtype=object)
        found = set(of_pair)
        order = [*map(str, RESPONSES), *sorted(found - {*RESPONSES, UNRATED}), UNRATED]
        groups = {name: of_pair == name for name in order if name in found}
        if found - {UNRATED}:
            groups[ALL] = of_pair != UNRATED
        return groups

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(pair,) whether the network predicted the response."""
        return np.asarray(self.pairs["predicted"] == self.pairs["response"], dtype=np.bool_)


def pair_values(rows: pd.DataFrame, metrics: Sequence[str] = EXPLORED_METRICS) -> PairValues:
    """The values of a score table of one run.

    Args:
        rows: the table; other metrics may be in it.
        metrics: keys of :data:`xrano.metrics.catalogue.MASK_METRICS`.

    Raises:
        ManifestError: if a column is missing, or a map of a pair was scored twice.
        UnknownNameError: for an unknown metric.
    """
    check_scores(rows, "the table given to the exploratory analysis")
    for name in metrics:
        if name not in MASK_METRICS:
            raise UnknownNameError("metric", name, MASK_METRICS)
    chosen = _by_choice(_qualifying(rows, metrics))
    _check_once(chosen)
    chosen = _one_of_copies(chosen)
    pair_of, pair_ids = pd.factorize(chosen["pair_id"])
    cell_of = chosen.groupby(list(CELL_WORDS), sort=False, observed=True).ngroup().to_numpy()
    cells = chosen.drop_duplicates(list(CELL_WORDS))[[*CELL_WORDS, *_BESIDE]]
    pairs = chosen.drop_duplicates("pair_id")[["pair_id", "patient_id", "response", "predicted"]]
    shape = (len(cells), len(pair_ids))
    value, chance = np.full(shape, np.nan), np.full(shape, np.nan)
    status = np.full(shape, NO_ROW, dtype=np.int8)
    value[cell_of, pair_of] = chosen["value"]
    chance[cell_of, pair_of] = chosen["chance"]
    status[cell_of, pair_of] = chosen["code"]
    return PairValues(
        cells.astype(str).reset_index(drop=True),
        pairs.astype(str).reset_index(drop=True),
        value,
        chance,
        status,
    )


def _qualifying(rows: pd.DataFrame, metrics: Iterable[str]) -> pd.DataFrame:
    """The rows of all tables, labelled: ``method`` is the label, ``code`` the status."""
    named = np.where(rows["layer"] != "", "positive", "absolute")
    keep = (
        rows["metric"].isin(list(metrics))
        & (rows["lesion"] == ALL_LESIONS)
        & (rows["segmentation_source"] != "")
        & (rows["rectification"] == named)
        & (rows["spans_surgery"].astype(str).str.lower() != "true")
    )
    chosen = rows.loc[keep, list(_NEEDED)].copy()
    code = chosen["status"].map({name: index for index, name in enumerate(STATUSES)})
    if code.isna().any():
        unknown = chosen["status"][code.isna()].iloc[0]
        raise UnknownNameError("status", str(unknown), STATUSES)
    chosen["code"] = code.astype(np.int8)
    chosen["value"] = chosen["value"].where(chosen["code"] == OK).astype(np.float64)
    chosen["chance"] = chosen["chance"].astype(np.float64)
    chosen["response"] = chosen["response"].replace("", UNRATED)
    chosen["map"] = chosen["method"]
    chosen["method"] = chosen["base"] = method_labels(chosen)
    copy = chosen["weights"].str.startswith("random")
    kinds = np.where(copy, COPIES, np.where(chosen["weights"] == "none", REFERENCE, TRAINED))
    chosen["kind"] = kinds
    chosen["method"] = chosen["method"].where(~copy, chosen["method"] + COPIES_SUFFIX)
    return chosen


def _by_choice(chosen: pd.DataFrame) -> pd.DataFrame:
    """Each row under every target choice that it is."""
    choice = chosen["target_choice"].where(chosen["kind"] != REFERENCE, NO_CHOICE)
    everyone = choice == "all"
    by_name = chosen[everyone]
    return pd.concat(
        [
            chosen[~everyone].assign(target_choice=choice[~everyone]),
            *(
                by_name[by_name["target"] == by_name[name]].assign(target_choice=name)
                for name in ("predicted", "response")
            ),
            by_name.assign(target_choice=by_name["target"]),
        ],
        ignore_index=True,
    )


def _check_once(chosen: pd.DataFrame) -> None:
    """Refuse a table in which a map of a pair appears more than once."""
    twice = chosen[chosen.duplicated([*CELL_WORDS, "pair_id", "weights"])]
    if len(twice):
        first = twice.iloc[0]
        found = (f"{key} {sorted(set(chosen[key]))}" for key in ("run", "reduction"))
        raise ManifestError(
            f"the {first['method']} map of {first['pair_id']} (target {first['target_choice']}) "
            f"has more than one {first['metric']} in {first['region']}; give the rows of one run "
            f"and one reduction, the table has {', '.join(found)}"
        )


def _one_of_copies(chosen: pd.DataFrame) -> pd.DataFrame:
    """Copies averaged over those that have a value, within the pair; the status is the best."""
    keys = [*CELL_WORDS, "pair_id"]
    copies = chosen[chosen["kind"] == COPIES]
    if copies.empty:
        return chosen
    # OK is the lowest code.
    numbers = copies.groupby(keys, sort=False).agg(
        value=("value", "mean"), chance=("chance", "first"), code=("code", "min")
    )
    words = copies.drop_duplicates(keys).drop(columns=["value", "chance", "code"])
    return pd.concat(
        [chosen[chosen["kind"] != COPIES], words.join(numbers, on=keys)], ignore_index=True
    )
