"""The explorer's picture in three dimensions, by niivue: slices to click through, and a rendering.

ipyniivue brings its script along; nothing is loaded from the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape

import ipywidgets as widgets  # type: ignore[import-untyped]
import matplotlib.style
from ipyniivue import NiiVue, ShowRender, SliceType, Volume
from matplotlib.figure import Figure

from xrano.geometry import Grid
from xrano.jupyter import html
from xrano.jupyter.niivue_volumes import colour_bytes, colours_of, scan_bytes, viewer_frame
from xrano.jupyter.picture import Look, slices_of
from xrano.maps import AttributionMap
from xrano.viz.colour_scale import ColourScale, draw_colour_bar
from xrano.viz.panel_case import PanelCase
from xrano.viz.slice_choice import SliceChoice
from xrano.viz.slices import Convention, Plane

HEIGHT = 460
"""Pixels."""


class NiivuePicture(widgets.VBox):  # type: ignore[misc]
    """The current scan, the map over it and the masks' outlines.

    Attributes:
        viewer: niivue's own widget.
        bar: the colour bar.
        note: why there is nothing to see.
    """

    one_map_in_3d = True

    def __init__(self) -> None:
        self.viewer = NiiVue(
            height=HEIGHT,
            back_color=(0.0, 0.0, 0.0, 1.0),
            font_color=(1.0, 1.0, 1.0, 1.0),
            crosshair_color=(1.0, 1.0, 1.0, 0.6),
            # Thin, and open in the middle, where the lesion is.
            crosshair_width_unit="mm",
            crosshair_width=0.7,
            crosshair_gap=14.0,
            show_all_orientation_markers=True,
            is_slice_mm=True,
            # Always all planes: of a plane alone niivue writes R on the patient's left.
            slice_type=SliceType.MULTIPLANAR,
            view_mode_hot_key="",
            multiplanar_show_render=ShowRender.ALWAYS,
            # Or the letters of two pictures would stand side by side like a word.
            multiplanar_pad_pixels=14,
            # A file dropped onto it would stand there without a word of where it came from.
            drag_and_drop_enabled=False,
            loading_text="",
            log_level="error",
        )
        # Not stretched over the whole width, as a box does with what it holds.
        shown = widgets.Layout(max_width=html.WHOLE_WIDTH, align_self="flex-start")
        self.bar = widgets.Image(format="png", layout=shown)
        self.note = widgets.HTML()
        self._scan: tuple[str, str] | None = None
        self._at: tuple[str, tuple[float, ...]] | None = None
        super().__init__([self.viewer, self.bar, self.note])

    def show(
        self,
        case: PanelCase,
        maps: Sequence[AttributionMap],
        look: Look,
        choices: Mapping[Plane, SliceChoice],
    ) -> None:
        """Show the first map; the crosshair goes to the slices chosen, or stays where they stay."""
        frame = viewer_frame(case)
        colours = colours_of(case, maps[0], look, frame)
        scan = (case.pair_id, case.background(look.background))
        kept = [] if scan != self._scan else list(self.viewer.volumes[:1])
        before = self.viewer.volumes[len(kept) :]
        under = kept or [_volume("scan", scan_bytes(case, look.background, frame), "gray")]
        self.viewer.volumes = [*under, _volume("map", colour_bytes(colours, frame))]
        for volume in before:
            volume.close()
        self._scan = scan
        self._set_options(look)
        self._point(case, maps, look, choices, frame)
        self.bar.value = html.png_of(_colour_bar(colours.scale))
        self.note.value = f"<i>{escape(colours.note)}</i>" if colours.note else ""

    def _set_options(self, look: Look) -> None:
        radiological = look.convention == Convention.RADIOLOGICAL
        for name in ("is_radiological_convention", "sagittal_nose_left"):
            if getattr(self.viewer.opts, name) != radiological:
                setattr(self.viewer.opts, name, radiological)

    def _point(
        self,
        case: PanelCase,
        maps: Sequence[AttributionMap],
        look: Look,
        choices: Mapping[Plane, SliceChoice],
        frame: Grid,
    ) -> None:
        everywhere = slices_of(case, maps, replace(look, planes=tuple(Plane))) | dict(choices)
        # The axis that a plane's slices follow is the one that its position lies on.
        by_axis = {plane.normal: choice.mm for plane, choice in everywhere.items()}
        world = tuple(by_axis[axis] for axis in range(3))
        if (case.pair_id, world) != self._at:
            self.viewer.scene.crosshair_pos = crosshair_of(world, frame)
            self._at = (case.pair_id, world)


def crosshair_of(world: Sequence[float], frame: Grid) -> list[float]:
    """Where a place in world mm lies, as shares of a grid's extent, edge to edge."""
    index = frame.voxel(list(world))
    return [float((at + 0.5) / size) for at, size in zip(index, frame.shape, strict=True)]


def _volume(name: str, content: bytes, colours: str = "") -> Volume:
    return Volume(name=f"{name}.nii.gz", data=content, colormap=colours, colorbar_visible=False)


def _colour_bar(scale: ColourScale) -> Figure:
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(4.8, 0.75), facecolor="black")
        draw_colour_bar(figure.add_axes((0.08, 0.42, 0.8, 0.2)), scale)
    return figure
