"""Explain pairs into files: maps on the patient's own scan, a panel, and what was predicted.

::

    maps/sub-…/ses-…/*_statmap.nii.gz + .json     on the grid of the current scan
    panels/PAIR.png
    explanations/PAIR.json                        written last: the pair is finished
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xrano.atomic_files import write_json
from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.experiments.dataset_references import dataset_references
from xrano.experiments.pair_regions import pair_regions
from xrano.experiments.panels import explanation_panel
from xrano.experiments.scan_panel import scan_panel
from xrano.experiments.scan_place import ScanPlace, scan_place
from xrano.explain import ClinicalOf, Explainer, Explanation, RegionsOf
from xrano.map_files import Storage, save_map
from xrano.maps import AttributionMap
from xrano.progress import Progress, quiet
from xrano.text_files import read_json
from xrano.training.run import Run
from xrano.viz.figure_files import save_figure


def explain_pairs(
    run: Run,
    pair_ids: Sequence[str],
    methods: Sequence[str],
    out: Path,
    *,
    target: str = "predicted",
    settings: AttributionSettings | None = None,
    save_maps: bool = True,
    panel: dict[str, Any] | None = None,
    scan: str = "",
    progress: Progress = quiet,
) -> list[Path]:
    """Explain pairs of a run's store, each by the network that never saw its patient.

    Pairs that are finished, by the same network and settings, are not made again.

    Args:
        run: the run.
        pair_ids: pairs of its store.
        methods: methods, with baselines (``ig:prior``).
        out: output folder.
        target: a name in :data:`xrano.target_words.TARGET_CHOICES`.
        settings: of the methods.
        save_maps: whether to write maps besides panels.
        panel: options of :func:`xrano.viz.panel.case_panel`.
        scan: sequence of the current scan whose own file maps are saved on and drawn over; the
            network's first, and a panel on the store's grid, if not given.
        progress: how to show progress.

    Returns:
        The panels, in the order of the pairs.

    Raises:
        UnknownNameError: for an unknown pair, method, layer or target.
        SplitError: if a pair's own fold was not trained.
    """
    rows = [run.pair(pair_id) for pair_id in pair_ids]
    explainers = explainers_by_fold(run, rows, methods, settings)
    panels = []
    for row in progress(rows, "explaining"):
        explainer = explainers[run.fold_of(row)]
        panels.append(
            write_explanation(
                load_pair(run.store, row, run.layout),
                explainer,
                out,
                place=scan_place(run, row, scan),
                target=target,
                settings=settings or AttributionSettings(),
                save_maps=save_maps,
                panel={**(panel or {}), **({"scan": scan} if scan else {})},
            )
        )
    return panels


def explainers_by_fold(
    run: Run,
    pairs: Iterable[Mapping[str, Any]],
    methods: Sequence[str],
    settings: AttributionSettings | None,
) -> dict[int, Explainer]:
    """One explainer for each fold whose test pairs are asked for."""
    folds = sorted({run.fold_of(pair) for pair in pairs})
    meta = {"run": run.root.resolve().name, "weights": "trained"}
    if run.config.training.epochs == 0:
        meta["weights"] = "untrained"
    if run.leak_note:
        meta["warning"] = run.leak_note
    return {
        fold: Explainer(
            run.model(fold),
            methods,
            settings=settings,
            meta={**meta, "fold": fold},
            **fold_data(run, fold, methods),
        )
        for fold in folds
    }


class FoldData(TypedDict):
    """What an :class:`~xrano.explain.Explainer` of a fold's network takes from the data."""

    clinical: ClinicalOf | None
    references: dict[str, NDArray[np.float32]]
    regions: RegionsOf


def fold_data(run: Run, fold: int, methods: Sequence[str]) -> FoldData:
    """Clinical vectors, references of training pairs, and regions, for any network of a fold."""
    return FoldData(
        clinical=clinical_of(run, fold),
        references=dataset_references(run, fold, methods),
        regions=pair_regions,
    )


def clinical_of(run: Run, fold: int) -> ClinicalOf | None:
    """What gives a fold's network the clinical vector of a pair; ``None`` if it takes none."""
    encoder = run.encoder(fold)
    if encoder is None:
        return None

    def vector(pair: PairVolumes) -> torch.Tensor:
        row = pd.DataFrame([run.pair(pair.pair_id)])
        return torch.from_numpy(encoder.encode(row, run.store.sessions))[0]

    return vector


def write_explanation(
    pair: PairVolumes,
    explainer: Explainer,
    out: Path,
    *,
    place: ScanPlace | None,
    target: str,
    settings: AttributionSettings,
    save_maps: bool,
    panel: dict[str, Any],
) -> Path:
    """Explain one pair and write what came out, unless it is already there; its panel."""
    asked = {
        "methods": list(explainer.methods),
        "target": target,
        "settings": {**asdict(settings), "device": explainer.settings["device"]},
        "weights_sha256": explainer.weights_sha256,
        "pair_sha256": pair.content_hash(),
        "clinical": explainer.clinical_vector(pair),
        "save_maps": save_maps,
        "panel": {name: str(value) for name, value in panel.items()},
    }
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    record, picture = (
        out / "explanations" / f"{pair.pair_id}.json",
        out / "panels" / f"{pair.pair_id}.png",
    )
    if record.is_file() and picture.is_file() and _key(record) == key:
        return picture
    explanation = explainer.explain(pair, target)
    if save_maps:
        for attribution in explanation.maps:
            save_on_scan(attribution, place, out / "maps")
    save_figure(_panel(explanation, place, panel), picture)
    write_json(record, {**_summary(explanation), **asked, "key": key})
    return picture


def _panel(explanation: Explanation, place: ScanPlace | None, options: dict[str, Any]) -> Figure:
    """The panel, on the store's grid or, if a scan is named in the options, on the scan's own."""
    options = dict(options)
    if not options.pop("scan", "") or place is None:
        return explanation_panel(explanation, **options)
    return scan_panel(explanation, place, **options)


def save_on_scan(
    attribution: AttributionMap,
    place: ScanPlace | None,
    folder: Path,
    storage: Storage = "float32",
) -> Path:
    """Save a map on the grid of a scan file, or on its own if there is none.

    A coarse map is saved on its own grid of cells as well: that file is the one to score.

    Raises:
        VolumeError: if the scan cannot be read.
    """
    if place is None or attribution.coarse:
        path = save_map(attribution, folder, storage=storage)
    if place is None:
        return path
    moved, image = place.onto_scan(attribution)
    return save_map(moved, folder, reference=image, storage=storage)


def _summary(explanation: Explanation) -> dict[str, Any]:
    return {
        "pair_id": explanation.pair.pair_id,
        "response": explanation.pair.response,
        "normalised_by": explanation.pair.normalised_by,
        "predicted": explanation.predicted,
        "probabilities": dict(explanation.probabilities),
        "logits": dict(explanation.logits),
    }


def _key(record: Path) -> str:
    try:
        return str(read_json(record).get("key", ""))
    except (ValueError, AttributeError):
        return ""
