"""Class activation maps of every layer: what each can say at its cells, and what it says.

A deep layer's cells are too coarse for small tumours, a shallow layer's features too plain: which
layer to take is a choice, and a choice made on tested patients would be tuned on what is reported.
So the layer is chosen on training pairs, and what it scores is told on held-out ones. Beside each
stands what the tumour's own mask scores at that layer's cells
(:mod:`xrano.metrics.resolution`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import load_pair
from xrano.data.tables import records
from xrano.errors import ManifestError
from xrano.experiments.cohort import masks_of
from xrano.experiments.explained_pairs import fold_data
from xrano.explain import Explainer
from xrano.metrics.bootstrap import patient_weights, percentile_interval
from xrano.metrics.catalogue import OverlapStatus
from xrano.progress import Progress, quiet
from xrano.scoring.pair_masks import PairMasks
from xrano.scoring.rows import default_rectification, primary_cell, score_seen, see_map
from xrano.scoring.summary import PRIMARY_METRIC
from xrano.training.run import Run

PARTS = ("training", "held out")

ROW_COLUMNS = (
    *("part", "fold", "pair_id", "patient_id", "response", "method", "layer", "cells"),
    *("cell_mm", "value", "chance", "reference"),
)
SUMMARY_COLUMNS = (
    *("part", "method", "layer", "cells", "cell_mm", "lift", "low", "high", "reference_lift"),
    *("n_patients", "n_pairs", "chosen"),
)


def sweep_layers(
    run: Run,
    *,
    methods: Sequence[str] = ("gradcam", "hirescam", "layercam"),
    settings: AttributionSettings | None = None,
    most_pairs: int = 60,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Score every layer's map of the predicted class on training and on held-out pairs.

    Args:
        run: a trained run.
        methods: those that use a layer.
        settings: of the methods; the layers are all that the network offers.
        most_pairs: of each part of each fold; a draw where there are more.
        progress: how to show progress.

    Returns:
        :data:`ROW_COLUMNS`, one row a pair, method and layer: mass accuracy in the core of prior ∪
        current, its chance, and what the mask scores at the layer's cells. Pairs that span an
        operation or have no such mask are left out.

    Raises:
        ModelError: if the network offers no layer.
        ManifestError: if no pair can be scored.
    """
    settings = replace(settings or AttributionSettings(), layer="all")
    rows: list[dict[str, Any]] = []
    for fold in run.trained_folds:
        data = fold_data(run, fold, methods)
        explainer = Explainer(run.model(fold), methods, settings=settings, **data)
        every = run.pairs()
        held = every[run.is_tested(every, fold)]
        for part, pairs in zip(PARTS, (run.training_pairs(fold), held), strict=True):
            chosen = pairs[~pairs["spans_surgery"]].sort_values("pair_id")
            chosen = chosen.sample(n=min(most_pairs, len(chosen)), random_state=fold)
            for record in progress(records(chosen), f"layers, fold {fold}, {part}"):
                pair = load_pair(run.store, record, run.layout)
                masks = masks_of(pair)
                for found in explainer.explain(pair).maps:
                    rows += _rows(found, masks, {"part": part, "fold": fold})
    if not rows:
        raise ManifestError(f"{run.root} has no pair with a tumour core to score layers by")
    return pd.DataFrame(rows, columns=list(ROW_COLUMNS))


def _rows(found: Any, masks: PairMasks, facts: dict[str, Any]) -> list[dict[str, Any]]:
    named = default_rectification(found)
    seen = see_map(found, masks, rectification=named, reduction="sum")
    rows = []
    for row in score_seen(seen, masks, metrics=[PRIMARY_METRIC], chosen=primary_cell):
        if row["status"] != str(OverlapStatus.OK):
            continue
        rows.append(
            {
                **facts,
                **{name: row[name] for name in ("pair_id", "patient_id", "response", "method")},
                "layer": row["layer"],
                "cells": "×".join(str(size) for size in found.grid.shape),
                "cell_mm": max(found.grid.spacing),
                **{name: row[name] for name in ("value", "chance", "reference")},
            }
        )
    return rows


def summarise_layers(rows: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Lift of each layer, coarse to fine, and which one the training pairs choose.

    Args:
        rows: of :func:`sweep_layers`.
        n_resamples: resamples of patients behind each interval.
        seed: of the resamples.

    Returns:
        :data:`SUMMARY_COLUMNS`: log2 of mean value over mean chance, both averaged within a patient
        and then over patients; ``chosen`` for the layer of a method with the highest lift on
        training pairs, on both parts.
    """
    summary = []
    for part, inside in rows.groupby("part", sort=False):
        one = inside.drop_duplicates("pair_id")
        patients, weights = patient_weights(
            list(one["patient_id"]), list(one["response"]), n_resamples=n_resamples, seed=seed
        )
        for (method, layer), own in inside.groupby(["method", "layer"], sort=False):
            means = own.groupby("patient_id")[["value", "chance", "reference"]].mean()
            table = means.reindex(patients).to_numpy(dtype=np.float64)
            drawn = [_lift(table, weight) for weight in weights]
            interval = percentile_interval(drawn)
            summary.append(
                {
                    "part": part,
                    "method": method,
                    "layer": layer,
                    "cells": own["cells"].iloc[0],
                    "cell_mm": float(own["cell_mm"].iloc[0]),
                    "lift": _lift(table, np.ones(len(patients))),
                    "low": interval.low if len(patients) > 1 else np.nan,
                    "high": interval.high if len(patients) > 1 else np.nan,
                    "reference_lift": _lift(table[:, [2, 1]], np.ones(len(patients))),
                    "n_patients": len(means),
                    "n_pairs": len(own),
                    "chosen": False,
                }
            )
    return _choose(pd.DataFrame(summary, columns=list(SUMMARY_COLUMNS)))


def _lift(table: NDArray[np.float64], weight: NDArray[Any]) -> float:
    """log2 of the weighted mean of the first column over that of the second."""
    there = ~np.isnan(table[:, 0])
    value, chance = (weight[there] @ table[there, column] for column in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log2(value / chance))


def _choose(summary: pd.DataFrame) -> pd.DataFrame:
    training = summary[summary["part"] == PARTS[0]]
    for method, own in training.groupby("method"):
        best = str(own["layer"].iloc[int(own["lift"].to_numpy().argmax())])
        summary.loc[(summary["method"] == method) & (summary["layer"] == best), "chosen"] = True
    return summary
