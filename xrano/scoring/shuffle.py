"""The confirmatory test of the primary analysis: would other patients' tumours do as well?

Every primary map is scored against its own mask and against those of other patients of the
cohort, in the common space, inside the brain that it was made in
(:mod:`xrano.scoring.crossed_masks`). The statistic is the lift of the primary analysis (log2 of the
mean over patients of the relevance mass in the mask over the same mean of chance); the null
permutes masks among patients of similar tumour size (:mod:`xrano.metrics.shuffle`).

One set of permutations serves all methods and responses, so that their p can be corrected together
by the largest z (``p_adjusted``). Three *kinds* of maps are each corrected for themselves: those of
the trained network are the confirmatory family, and what stands beside them costs them nothing.
Random-weight copies are averaged within the pair, as everywhere; maps of no network tell what the
test can and cannot say: one that they pass as well is no proof that a network has learnt anything.

Within a response the maps of its pairs see masks of any patient of similar size. A response with
fewer than ten patients is described: it has no p and is in no family.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.metrics.multiplicity import max_statistic
from xrano.metrics.nulls import against_null
from xrano.metrics.shuffle import (
    LEAST_PATIENTS,
    Assignments,
    shuffle_assignments,
    shuffle_statistics,
)
from xrano.rano import RESPONSES
from xrano.scoring.pair_values import COPIES, COPIES_SUFFIX, REFERENCE, TRAINED
from xrano.scoring.summary import ALL, DESCRIPTIVE_BELOW, method_labels

N_PERMUTATIONS = 1999
"""The least p is then 0.0005."""

SHUFFLE_COLUMNS = (
    *("response", "method", "kind", "segmentation_source", "null"),
    *("lift", "B", "mean", "sd", "z", "percentile", "p", "p_adjusted"),
    *("n_patients", "n_pairs", "size_ratio", "descriptive"),
)
"""Columns of ``shuffle.csv``: ``kind`` of maps: ``trained``, ``copies`` or ``reference``; lift and
null mean in bits (permutations without any relevance in a mask, −∞, count as the least finite one);
``p`` and ``p_adjusted`` (over the methods and responses of a kind) only where not ``descriptive``;
``size_ratio``: median of larger ÷ smaller of the volumes of a map's own mask and of those it saw
instead."""


def shuffle_primary(
    crossed: pd.DataFrame,
    masks: pd.DataFrame,
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Lift of every method and response against other patients' masks.

    Args:
        crossed: ``crossed.csv``.
        masks: ``cohort_masks.csv``: the masks that these maps saw.
        n_permutations: B.
        seed: of the permutations.

    Returns:
        A row a response (in the order of the primary analysis, ``all`` last) and method, with
        :data:`SHUFFLE_COLUMNS`; none if there are fewer than five patients.
    """
    if crossed.empty or masks["patient_id"].nunique() < LEAST_PATIENTS:
        return pd.DataFrame(columns=list(SHUFFLE_COLUMNS))
    patients = masks["patient_id"].tolist()
    drawn = shuffle_assignments(
        patients, masks["voxels"].to_numpy(), n_permutations=n_permutations, seed=seed
    )
    of_pair = masks["response"].to_numpy(dtype=object)
    responses = [name for name in map(str, RESPONSES) if name in of_pair]
    responses += sorted(set(of_pair) - set(responses))
    rows = crossed.assign(label=method_labels(crossed), kind=_kinds(crossed["weights"]))
    matrices = {
        key: _matrices(of, masks["pair_id"])
        for key, of in rows.groupby(["label", "kind"], sort=False)
    }
    cells, statistics = [], []
    for response, (key, both) in itertools.product((*responses, ALL), matrices.items()):
        keep = (of_pair == response) | (response == ALL)
        cell, values = _cell(both[0], both[1], keep, drawn)
        cells.append({"response": response, "method": key[0], "kind": key[1], **cell})
        statistics.append(values)
    table = pd.DataFrame(cells).assign(segmentation_source=masks["segmentation_source"].iloc[0])
    table = _corrected(table, np.array(statistics))
    return table.loc[table["n_pairs"] > 0, list(SHUFFLE_COLUMNS)].reset_index(drop=True)


def format_shuffle(frame: pd.DataFrame) -> str:
    """The test over all responses in words, a line each method; empty if there was none."""
    everyone = frame[frame["response"] == ALL]
    lines = [
        f"other patients' masks: {row['method']} lift {row['lift']:+.2f} bits against "
        f"{row['mean']:+.2f} ({_p_words(row)})"
        for row in everyone[everyone["kind"] == TRAINED].to_dict("records")
    ]
    beside = everyone[(everyone["kind"] != TRAINED) & (everyone["p_adjusted"] <= 0.05)]
    if lines and len(beside):
        suffix = beside["kind"].map({COPIES: COPIES_SUFFIX, REFERENCE: ""})
        lines.append(
            "other patients' masks: without training p ≤ 0.05 as well, corrected among themselves: "
            + ", ".join(beside["method"] + suffix)
        )
    return "\n".join(lines)


def _p_words(row: Mapping[Any, Any]) -> str:
    if row["descriptive"]:
        return f"no p: fewer than {DESCRIPTIVE_BELOW} patients"
    return (
        f"p = {row['p']:.4f}, of {row['B']} permutations; {row['p_adjusted']:.4f} corrected for "
        "all methods and responses"
    )


def _kinds(weights: pd.Series) -> NDArray[np.object_]:
    copies = weights.str.startswith("random")
    found = np.where(weights == "none", REFERENCE, np.where(copies, COPIES, TRAINED))
    return np.asarray(found, dtype=object)


def _matrices(
    rows: pd.DataFrame, pair_ids: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(map, mask) mass and chance, averaged over copies; NaN where a map did not see a mask."""
    found = []
    means = rows.groupby(["pair_id", "mask_pair_id"])[["mass", "chance"]].mean()
    for name in ("mass", "chance"):
        wide = means[name].unstack("mask_pair_id").reindex(index=pair_ids, columns=pair_ids)
        found.append(wide.to_numpy(dtype=np.float64))
    return found[0], found[1]


def _cell(
    mass: NDArray[np.float64],
    chance: NDArray[np.float64],
    keep: NDArray[np.bool_],
    drawn: Assignments,
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """One method and response; and the statistic observed and of every permutation."""
    kept = np.where(keep[:, None], mass, np.nan)
    has = ~np.isnan(np.diagonal(kept))
    statistics = np.full(1 + len(drawn.masks), np.nan)
    if has.any():
        observed, values = shuffle_statistics(kept, drawn, chance)
        # What is the same for everyone, a uniform map, differs by rounding alone.
        statistics = np.round([observed, *values], 12)
    null = against_null(float(statistics[0]), statistics[1:], null="shuffle", tolerance=1e-12)
    patients = len(set(itertools.compress(drawn.patient_ids, has)))
    cell = {
        **{"null": null.null, "lift": null.observed, "B": null.n, "mean": null.mean},
        **{"sd": null.sd, "z": null.z, "percentile": null.percentile, "p": null.p},
        **{"n_patients": patients, "n_pairs": int(has.sum()), "size_ratio": drawn.size_ratio},
        "descriptive": patients < DESCRIPTIVE_BELOW,
    }
    return cell, statistics


def _corrected(table: pd.DataFrame, statistics: NDArray[np.float64]) -> pd.DataFrame:
    """With ``p_adjusted``, and without any p where cells are descriptive."""
    tested = ~table["descriptive"].to_numpy(dtype=bool)
    adjusted = np.full(len(table), np.nan)
    for kind in table["kind"].unique():
        family = tested & (table["kind"] == kind).to_numpy()
        if family.any():
            adjusted[family] = max_statistic(statistics[family, 0], statistics[family, 1:])
    p = table["p"].where(tested)
    # Where nothing varies there is no z; its p, 1, needs no correction.
    return table.assign(p=p, p_adjusted=pd.Series(adjusted, table.index).fillna(p))
