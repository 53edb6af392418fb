"""The explorer's picture as a figure, and what every picture of an explorer must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import ipywidgets as widgets  # type: ignore[import-untyped]

from xrano.jupyter import html
from xrano.jupyter.picture import Look, draw_picture
from xrano.maps import AttributionMap
from xrano.viz.panel_case import PanelCase
from xrano.viz.slice_choice import SliceChoice
from xrano.viz.slices import Plane


class ShownPicture(Protocol):
    """A widget that shows maps of a case.

    ``one_map_in_3d``: whether it shows the whole of one map, not slices of several.
    """

    one_map_in_3d: bool
    layout: Any

    def show(
        self,
        case: PanelCase,
        maps: Sequence[AttributionMap],
        look: Look,
        choices: Mapping[Plane, SliceChoice],
    ) -> None:
        """Show maps, cut where :func:`xrano.jupyter.picture.slices_of` says."""


class DrawnPicture(widgets.Image):  # type: ignore[misc]
    """The case panel as PNG."""

    one_map_in_3d = False

    def __init__(self) -> None:
        super().__init__(
            format="png", layout=widgets.Layout(max_width=html.WHOLE_WIDTH, align_self="flex-start")
        )

    def show(
        self,
        case: PanelCase,
        maps: Sequence[AttributionMap],
        look: Look,
        choices: Mapping[Plane, SliceChoice],
    ) -> None:
        """As :class:`ShownPicture`."""
        self.value = html.png_of(draw_picture(case, maps, look, choices))
