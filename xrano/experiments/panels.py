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
from xrano.types import Mask
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
    """The scans, masks and answers of an explanation, on the store's grid; nothing is copied."""
    return pair_case(explanation.pair, explanation.predicted, explanation.probabilities, region)


def pair_case(
    pair: PairVolumes, predicted: str, probabilities: Mapping[str, float], region: str = "core"
) -> PanelCase:
    """The scans and masks of a pair beside what was answered, on the store's grid."""
    region, prior_mask, current_mask = outlines(pair, region)
    prior, current = (
        {name: pair.volume(timepoint, name) for name in pair.layout.sequences}
        for timepoint in Timepoint
    )
    return PanelCase(
        grid=pair.grid,
        prior=prior,
        current=current,
        brain=pair.brain,
        prior_mask=prior_mask,
        current_mask=current_mask,
        pair_id=pair.pair_id,
        patient_id=pair.patient_id,
        prior_session=pair.prior_session,
        current_session=pair.current_session,
        response=pair.response,
        predicted=predicted,
        probabilities=probabilities,
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
