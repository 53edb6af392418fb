"""From an explanation to its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from xrano.channels import Timepoint
from xrano.data.label_schemes import WHOLE, has_region, region_mask
from xrano.data.pair_volumes import PairVolumes
from xrano.explain import Explanation
from xrano.geometry import Grid
from xrano.types import Mask, Volume
from xrano.viz.figure_files import save_figure
from xrano.viz.panel import case_panel
from xrano.viz.panel_case import PanelCase


@dataclass(frozen=True)
class PanelFiles:
    """Further forms in which panels are written: ``svg`` and ``pdf`` beside the ``png``."""

    folder: Path
    formats: tuple[str, ...]

    def write(self, figure: Figure, name: str) -> list[Path]:
        """Write a figure in every form.

        Raises:
            UnknownNameError: for an unknown form.
        """
        paths = [self.folder / f"{name}.{form}" for form in dict.fromkeys(self.formats)]
        for path in paths:
            save_figure(figure, path)
        return paths


def explanation_panel(
    explanation: Explanation,
    *,
    region: str = "core",
    files: PanelFiles | None = None,
    **options: Any,
) -> Figure:
    """Draw the maps of an explanation over the patient's own anatomy.

    Args:
        explanation: what :class:`xrano.explain.Explainer` gave.
        region: region whose outlines are drawn; the whole tumour where the segmentation cannot
            tell the region, none where there is no segmentation.
        files: where the panel is written besides, under the pair's id.
        options: those of :func:`xrano.viz.panel.case_panel`.
    """
    figure = case_panel(explained_case(explanation, region), explanation.maps, **options)
    if files is not None:
        files.write(figure, explanation.pair.pair_id)
    return figure


def explained_case(explanation: Explanation, region: str = "core") -> PanelCase:
    """The scans, masks and answers of an explanation, on the store's grid."""
    pair = explanation.pair
    region, prior_mask, current_mask = outlines(pair, region)
    return panel_case(
        explanation,
        pair.grid,
        {name: pair.volume(Timepoint.PRIOR, name) for name in pair.layout.sequences},
        {name: pair.volume(Timepoint.CURRENT, name) for name in pair.layout.sequences},
        pair.brain,
        (prior_mask, current_mask),
        region,
    )


def panel_case(
    explanation: Explanation,
    grid: Grid,
    prior: Mapping[str, Volume],
    current: Mapping[str, Volume],
    brain: Mask,
    masks: tuple[Mask | None, Mask | None],
    region: str,
    *,
    where: str = "",
    brought: str = "",
) -> PanelCase:
    """The case of an explanation, its arrays on any one grid.

    ``where`` ends the title; ``brought`` is what became of the prior scan, after its session.
    """
    pair = explanation.pair
    return PanelCase(
        grid=grid,
        prior=prior,
        current=current,
        brain=brain,
        prior_mask=masks[0],
        current_mask=masks[1],
        pair_id=pair.pair_id + where,
        patient_id=pair.patient_id,
        prior_session=pair.prior_session + brought,
        current_session=pair.current_session,
        response=pair.response,
        predicted=explanation.predicted,
        probabilities=explanation.probabilities,
        region=region,
    )


def outlines(pair: PairVolumes, region: str) -> tuple[str, Mask | None, Mask | None]:
    """The region drawn, and its masks on both scans, ``None`` where there is no segmentation."""
    for prior, current, scheme in pair.segmentations.values():
        drawn = region if has_region(scheme, region) else WHOLE
        before, after = (
            None if labels is None else region_mask(labels, scheme, drawn)
            for labels in (prior, current)
        )
        return drawn, before, after
    return region, None, None
