"""A panel over the current scan as it came from the scanner, in its own millimetres."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xrano.data.volumes import read_scan
from xrano.experiments.panels import PanelFiles, explained_case
from xrano.experiments.scan_place import ScanPlace
from xrano.explain import Explanation
from xrano.geometry import inverse, moved_by
from xrano.maps import AttributionMap
from xrano.resampling import resample
from xrano.types import Mask
from xrano.viz.panel import case_panel
from xrano.viz.panel_case import PanelCase


def scan_panel(
    explanation: Explanation,
    place: ScanPlace,
    *,
    region: str = "core",
    files: PanelFiles | None = None,
    **options: Any,
) -> Figure:
    """Draw the maps of an explanation over the scan's own voxels.

    The scan itself is not interpolated; the prior scan, masks and maps are brought to it.

    Args:
        explanation: what :class:`xrano.explain.Explainer` gave.
        place: the current scan to draw over.
        region: as for :func:`xrano.experiments.panels.explanation_panel`.
        files: the same.
        options: those of :func:`xrano.viz.panel.case_panel`; the background is the scan.

    Raises:
        VolumeError: if the scan cannot be read.
    """
    case, maps = scan_case(explanation, place, region)
    figure = case_panel(case, maps, **{**options, "background": place.sequence})
    if files is not None:
        files.write(figure, explanation.pair.pair_id)
    return figure


def scan_case(
    explanation: Explanation, place: ScanPlace, region: str = "core"
) -> tuple[PanelCase, list[AttributionMap]]:
    """The case of an explanation on a scan's own grid, and its maps in the scan's world.

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

    name, on_store = place.sequence, explained_case(explanation, region)
    case = replace(
        on_store,
        grid=scan.grid,
        prior={name: brought(on_store.prior[name])},
        current={name: (scan.data - np.float32(place.mean)) / np.float32(place.sd)},
        brain=brought(pair.brain, 0),
        prior_mask=mask(on_store.prior_mask),
        current_mask=mask(on_store.current_mask),
        pair_id=f"{pair.pair_id}, on the {name} of the current scan",
        prior_session=f"{pair.prior_session} (brain, brought to this scan)",
    )
    return case, [place.to_scan_world(attribution) for attribution in explanation.maps]
