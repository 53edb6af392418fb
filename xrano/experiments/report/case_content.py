"""From a pair of a run, its saved maps and its scores to the content of its page."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xrano.channels import Timepoint
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.errors import CheckpointError
from xrano.evaluation.calibration import probabilities
from xrano.evaluation.predictions import logit_columns
from xrano.experiments.panels import pair_case
from xrano.experiments.report.case_maps import saved_maps
from xrano.experiments.report.case_scores import case_scores
from xrano.experiments.report.case_viewer import viewer_content
from xrano.maps import AttributionMap
from xrano.report.case_page import CaseContent
from xrano.report.viewer import base64_size, niivue_base64
from xrano.training.run import Run
from xrano.viz.figure_files import png_bytes
from xrano.viz.panel import case_panel
from xrano.viz.panel_case import PanelCase

PANEL_DPI = (110, 90, 72, 60)
"""Resolutions of the panel, tried until it takes no more than its part of the page."""

PANEL_BYTES = 900_000


def case_content(
    run: Run,
    pair_id: str,
    map_paths: Iterable[Path],
    rows: pd.DataFrame,
    *,
    timeline: bytes | None = None,
    cohort_href: str = "",
    earlier_href: str = "",
    later_href: str = "",
    background: str = "CT1",
    region: str = "core",
    rectification: str | None = None,
    budget_bytes: int = 4_500_000,
) -> CaseContent:
    """Everything that the page of a pair shows.

    Args:
        run: the run whose store holds the pair.
        pair_id: the pair.
        map_paths: its saved maps; none for a page with scans and masks only.
        rows: its rows of a score table; may be empty.
        timeline: PNG of the patient's time line.
        cohort_href: link to the page of the cohort.
        earlier_href: link to the page of the patient's earlier pair.
        later_href: link to the page of the patient's later pair.
        background: sequence to draw; the first that both scans have if this one is missing.
        region: region whose outlines are drawn.
        rectification: of every map; that of the primary analysis if not given. ``none`` shows
            signed values.
        budget_bytes: what pictures, volumes and the viewer's library may take in the page; texts
            come on top. Volumes are shown coarser until they fit.

    Raises:
        UnknownNameError: if the store does not have the pair, or there is no such rectification.
        CheckpointError: if a session file of the pair is missing or broken.
    """
    row = run.pair(pair_id)
    pair = load_pair(run.store, row, run.layout)
    maps, map_notes = saved_maps(map_paths, pair_id, run.task.classes)
    predicted, shares = _answers(run, pair_id, maps)
    case = pair_case(pair, predicted or "–", shares, region)
    panel = _panel(case, maps, background=background, rectification=rectification)
    pictures = [panel, *([timeline] if timeline else [])]
    taken = len(niivue_base64()) + sum(base64_size(len(picture)) for picture in pictures)
    viewer = viewer_content(
        case,
        maps,
        background=background,
        rectification=rectification,
        budget_bytes=budget_bytes - taken,
    )
    return CaseContent(
        pair_id=pair_id,
        patient_id=pair.patient_id,
        prior_session=pair.prior_session,
        current_session=pair.current_session,
        response=pair.response,
        predicted=predicted,
        probabilities=shares,
        panel=panel,
        timeline=timeline,
        scores=case_scores(rows),
        viewer=viewer,
        notes=(*_notes(run, pair, maps, case), *map_notes),
        cohort_href=cohort_href,
        earlier_href=earlier_href,
        later_href=later_href,
        panel_alt=_alt(case, [method.name for method in viewer.methods]),
    )


def _answers(
    run: Run, pair_id: str, maps: Sequence[AttributionMap]
) -> tuple[str, dict[str, float]]:
    """Predicted class and probabilities, of the network that never saw the patient.

    From the table of predictions, or, for a pair that is not in it, from the maps' sidecars.
    """
    classes = run.task.classes
    logits: Mapping[str, Any] = {}
    try:
        table = run.predictions
        found = table[table["pair_id"] == pair_id]
        columns = logit_columns(classes)
        if not found.empty and set(columns) <= set(found.columns):
            logits = dict(zip(classes, found.iloc[0][columns], strict=True))
    except CheckpointError:
        pass
    if not logits:
        sidecars = [one.meta.get("logits") for one in maps]
        logits = next((one for one in sidecars if one and set(classes) <= set(one)), {})
    if not logits:
        return "", {}
    shares = probabilities(np.array([float(logits[name]) for name in classes]))
    named = {name: float(share) for name, share in zip(classes, shares, strict=True)}
    return classes[int(shares.argmax())], named


def _panel(case: PanelCase, maps: Sequence[AttributionMap], **options: Any) -> bytes:
    return png_bytes(case_panel(case, maps, **options), *PANEL_DPI, limit=PANEL_BYTES)


def _notes(
    run: Run, pair: PairVolumes, maps: Sequence[AttributionMap], case: PanelCase
) -> list[str]:
    notes = []
    session = run.store.sessions["patient_id"] == pair.patient_id
    if (run.store.sessions.loc[session, "dataset"] == "phantom").any():
        notes.append("A phantom: no patient was scanned; the rating follows from true volumes.")
    if not maps:
        notes.append(
            "There are no saved maps of this pair, so only scans and outlines are shown. "
            f"xrano explain {shlex.quote(run.root.name)} --pair {shlex.quote(pair.pair_id)} "
            "--methods saliency gradcam ig:prior --target all --out explained, in the folder that "
            "holds the run, makes them; then write the report again."
        )
    if not pair.response:
        notes.append("The pair is unrated: no rating says which class is true.")
    if pair.rating_source == "rule":
        notes.append("The true response follows from segmented volumes, not from an expert.")
    if pair.spans_surgery:
        notes.append(
            "The tumour was operated on between the scans, so what vanished may have been "
            "removed; such pairs are not in the primary analysis."
        )
    notes += [
        f"{case.mask_text(timepoint)[0].upper()}{case.mask_text(timepoint)[1:]}."
        for timepoint in Timepoint
    ]
    if pair.normalised_by:
        notes.append(f"Intensities are in standard deviations of {pair.normalised_by}.")
    if run.leak_note:
        notes.append(f"Warning: {run.leak_note}.")
    return notes


def _alt(case: PanelCase, methods: Sequence[str]) -> str:
    shown = f" Below them maps by {', '.join(methods)}." if methods else ""
    masks = "; ".join(case.mask_text(timepoint) for timepoint in Timepoint)
    return (
        f"Axial slices of {case.pair_id} through the tumour: prior scan, current scan and their "
        f"change, with outlines of the {case.region}.{shown} {masks}."
    )
