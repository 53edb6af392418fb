"""A panel over the current scan as it came from the scanner, in its own millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xrano.channels import Timepoint
from xrano.data.volumes import read_scan
from xrano.experiments.panels import outlines
from xrano.experiments.scan_place import ScanPlace
from xrano.explain import Explanation
from xrano.geometry import Grid, inverse, moved_by, resample
from xrano.types import Mask
from xrano.viz.panel import case_panel
from xrano.viz.panel_case import PanelCase


def scan_panel(
    explanation: Explanation, place: ScanPlace, *, region: str = "core", **options: Any
) -> Figure:
    """Draw the maps of an explanation over the scan's own voxels.

    The scan itself is not interpolated; the prior scan, masks and maps are brought to it.

    Args:
        explanation: what :class:`xrano.explain.Explainer` gave.
        place: the current scan to draw over.
        region: as for :func:`xrano.experiments.panels.explanation_panel`.
        options: those of :func:`xrano.viz.panel.case_panel`; the background is the scan.

    Raises:
        VolumeError: if the scan cannot be read.
    """
    pair = explanation.pair
    scan = read_scan(place.path, affine_from=place.affine_from)
    # The store's grid, seen from the scanner: everything else is brought from there.
    store = moved_by(pair.grid, inverse(place.to_common))

    def brought(array: NDArray[Any], order: Any = 1) -> NDArray[Any]:
        return resample(array, store, scan.grid, order=order)

    def mask(array: Mask | None) -> Mask | None:
        return None if array is None else brought(array, 0)

    region, prior_mask, current_mask = outlines(pair, region)
    brain = brought(pair.brain, 0)
    case = PanelCase(
        grid=Grid(scan.grid.shape, scan.grid.affine),
        prior={place.sequence: brought(pair.volume(Timepoint.PRIOR, place.sequence))},
        current={place.sequence: (scan.data - place.mean) / np.float32(place.sd)},
        brain=brain,
        prior_mask=mask(prior_mask),
        current_mask=mask(current_mask),
        pair_id=f"{pair.pair_id}, on the {place.sequence} of the current scan",
        patient_id=pair.patient_id,
        prior_session=pair.prior_session,
        current_session=pair.current_session,
        response=pair.response,
        predicted=explanation.predicted,
        probabilities=explanation.probabilities,
        region=region,
    )
    maps = [place.to_scan_world(attribution) for attribution in explanation.maps]
    return case_panel(case, maps, **{**options, "background": place.sequence})
