"""Scores beside their nulls, as tidy rows: ``nulls.csv``.

* ``placement``: the mask moved everywhere in the brain where it fits. Descriptive: lesions do not
  lie anywhere, so read the percentile (:mod:`xrano.metrics.placement`).
* ``random_weights``: the same score of random-weight copies of the network. A few copies give a z
  and a percentile and no p.
* ``surrogate``, on request: the same score of maps with the values and the smoothness of the map
  that know nothing of the tumour's place (:mod:`xrano.scoring.surrogate_null`).

* ``shuffle``, the confirmatory one: the cohort's lift in other patients' masks, a row a response
  and method, which therefore names no pair (:mod:`xrano.scoring.shuffle`).

``p_bh`` adjusts p after Benjamini and Hochberg over all rows of one null of the table, pairs,
methods and metrics alike: the rows at or below 0.05 hold at most 5 % false ones on average. Rows
whose null gives no p have none, nor have those of ``placement``, whose p is descriptive, and of
``shuffle``, whose p is corrected by the largest z (``shuffle.csv``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from xrano.metrics.catalogue import MASK_METRICS, OverlapStatus
from xrano.metrics.multiplicity import benjamini_hochberg
from xrano.metrics.nulls import NullResult, against_null
from xrano.metrics.placement import PlacedMap, placement_null
from xrano.scoring.cell_bootstrap import LOG2_LIFT
from xrano.scoring.pair_masks import ALL_LESIONS, Cell, PairMasks
from xrano.scoring.pair_values import COPIES, REFERENCE, TRAINED
from xrano.scoring.row_frames import Rows, frame_of
from xrano.scoring.rows import PRIMARY_REGION, SeenMap, primary_cell
from xrano.scoring.summary import primary_rows
from xrano.threads import usable_threads

SCORE_KEYS = (
    *("run", "weights", "fold", "pair_id", "patient_id", "response", "method", "layer"),
    *("baseline", "target", "target_choice", "reduction", "rectification"),
    *("segmentation_source", "region", "lesion", "metric"),
)
"""What names one score: the columns that ``nulls.csv`` shares with ``scores.csv``."""

NULL_COLUMNS = (
    *SCORE_KEYS,
    *("null", "observed", "B", "mean", "sd", "z", "percentile", "p", "p_bh", "status"),
)
"""Columns of the table of nulls, in order. ``B`` is the number of null values; numbers are NaN
where they do not exist, with the reason in ``status``."""

UNADJUSTED = ("placement", "shuffle")
"""Nulls without ``p_bh``."""

NULL_COPIED = ("null", "B", "mean", "sd", "z", "percentile", "p")
"""What a row takes from ``shuffle.csv`` as it is."""

NULL_NUMBERS = ("observed", "mean", "sd", "z", "percentile", "p", "p_bh")
"""Columns of floats."""


def placement_rows(
    seen: SeenMap, case: PairMasks, *, chosen: Callable[[Cell], bool] = primary_cell
) -> list[dict[str, Any]]:
    """Every linear score of a map against the mask moved through the brain.

    Args:
        seen: the map.
        case: the masks; their placements are found once for all maps.
        chosen: which masks; those of the primary region if not given.
    """
    cells = [cell for cell in case.cells if chosen(cell)]
    known = _placement_nulls(seen, case, list(dict.fromkeys(case.same_as[one] for one in cells)))
    return [
        null_row(score_keys(seen, cell, metric), null)
        for cell in cells
        for metric, null in known[case.same_as[cell]].items()
    ]


def _placement_nulls(
    seen: SeenMap, case: PairMasks, cells: Sequence[Cell]
) -> dict[Cell, dict[str, NullResult]]:
    """The nulls of cells whose masks differ, some at a time: transforms leave Python's lock."""
    placed = PlacedMap(seen.ranked, case.brain_box)

    def of_cell(cell: Cell) -> dict[str, NullResult]:
        return placement_null(placed, case.placements(cell), least_voxels=case.least_voxels)

    # What all masks share (transforms of brain and map) is made with the first.
    first = [of_cell(cell) for cell in cells[:1]]
    with ThreadPoolExecutor(usable_threads()) as threads:
        return dict(zip(cells, [*first, *threads.map(of_cell, cells[1:])], strict=True))


def random_weights_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Each score of a network against the same score of its random-weight copies.

    Args:
        table: a score table.

    Returns:
        A row for each defined score that has a copy.
    """
    of_copy = table["weights"].str.startswith("random")
    scored = table[table["value"].notna() & (table["weights"] != "none")]
    keys = [key for key in SCORE_KEYS if key != "weights"]
    copies = scored[of_copy[scored.index]].groupby(keys)["value"].agg(list)
    own = scored[~of_copy[scored.index]].join(copies.rename("copies"), on=keys)
    rows = []
    for row in own[own["copies"].notna()].to_dict("records"):
        better = row["metric"] not in MASK_METRICS or MASK_METRICS[row["metric"]].higher_is_better
        null = against_null(
            row["value"], row["copies"], null="random_weights", higher_is_better=better
        )
        rows.append(null_row({str(key): value for key, value in row.items()}, null))
    return rows


def shuffle_rows(shuffle: pd.DataFrame, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The test against other patients' masks as rows of this table; ``observed`` is a lift in bits.

    Args:
        shuffle: ``shuffle.csv``.
        scores: the score table of the same maps, which names them in full.
    """
    if shuffle.empty:
        return []
    primary = primary_rows(scores, str(shuffle["segmentation_source"].iloc[0]))
    named = primary.drop_duplicates("label").set_index("label")
    weights = {TRAINED: "", COPIES: "random", REFERENCE: "none"}
    rows = []
    for row in shuffle[shuffle["method"].isin(named.index)].to_dict("records"):
        words = named.loc[row["method"]]
        rows.append(
            {
                **dict.fromkeys(SCORE_KEYS, ""),
                **{key: words[key] for key in ("run", "method", "layer", "baseline")},
                **{key: words[key] for key in ("reduction", "rectification")},
                **{key: row[key] for key in ("response", "segmentation_source", *NULL_COPIED)},
                "weights": weights[row["kind"]] or words["weights"],
                "target_choice": "" if row["kind"] == REFERENCE else "predicted",
                "region": PRIMARY_REGION,
                "lesion": ALL_LESIONS,
                "metric": LOG2_LIFT,
                "observed": row["lift"],
                "status": str(OverlapStatus.OK),
            }
        )
    return rows


def null_row(keys: Mapping[str, Any], null: NullResult) -> dict[str, Any]:
    """One row of the table."""
    return {
        **{key: keys[key] for key in SCORE_KEYS},
        "null": null.null,
        "observed": null.observed,
        "B": null.n,
        "mean": null.mean,
        "sd": null.sd,
        "z": null.z,
        "percentile": null.percentile,
        "p": null.p,
        "status": str(null.status),
    }


def null_table(rows: Rows) -> pd.DataFrame:
    """Rows as a table with all columns in order, ``p_bh`` among them."""
    given = [column for column in NULL_COLUMNS if column != "p_bh"]
    table = frame_of(rows, given)
    table = table.astype({name: float for name in NULL_NUMBERS if name in given})
    adjusted = np.full(len(table), np.nan)
    p = table["p"].to_numpy(dtype=np.float64)
    for null in sorted(set(table["null"]) - {*UNADJUSTED}):
        of_null = (table["null"] == null).to_numpy()
        adjusted[of_null] = benjamini_hochberg(p[of_null])
    table.insert(given.index("p") + 1, "p_bh", adjusted)
    return table


def score_keys(seen: SeenMap, cell: Cell, metric: str) -> dict[str, Any]:
    """What names the score of a map, mask and metric, by column."""
    source, region, scope, lesion = cell
    return {
        **seen.facts,
        "segmentation_source": source,
        "region": f"{region}/{scope}",
        "lesion": lesion,
        "metric": metric,
    }
