"""The class atlas as one figure: where a method looks, on average, for each response class.

Rows are methods, columns classes. All classes of a method share one scale, whose unit is what a
uniform map would have: 2 is twice the relevance that the place would get by spreading it evenly
over the brain. Every picture shows the same slices, through the mean tumour of all classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xrano.errors import ConfigError
from xrano.types import Volume
from xrano.viz.atlas_layout import MARGIN, NAMES, WIDTH, AtlasPage, page_of
from xrano.viz.atlas_tumour import contour_levels, draw_tumour
from xrano.viz.atlas_words import SIZE, draw_counts, draw_foot, draw_header, foot_lines
from xrano.viz.class_atlas import ClassAtlas
from xrano.viz.colour_scale import ColourScale, draw_colour_bar, scale_value
from xrano.viz.drawing import annotate, draw_anatomy, draw_colour, frame
from xrano.viz.names import method_name
from xrano.viz.slice_choice import slice_by_change
from xrano.viz.slice_places import place_slice
from xrano.viz.slices import Convention, Plane, SliceView, parse_convention, parse_plane
from xrano.viz.words import IN_PRINT, height_inches, panel_style, printable, wrapped


def atlas_figure(
    atlas: ClassAtlas,
    *,
    planes: Sequence[str] = (Plane.AXIAL,),
    convention: str = Convention.RADIOLOGICAL,
    percentile: float = 99.5,
    threshold: float = 0.2,
    title: str = "Mean attribution map by response",
) -> Figure:
    """Draw a class atlas.

    Args:
        atlas: of :func:`xrano.experiments.atlas.class_atlas`.
        planes: ``axial``, ``coronal``, ``sagittal``: one row of pictures each.
        convention: ``radiological`` or ``neurological``.
        percentile: of the values in the brain that ends a method's scale, the largest of its
            classes, in (0, 100].
        threshold: share of the scale, in [0, 1), below which nothing is drawn; nothing is drawn
            either where a map has less than a uniform one.
        title: above everything.

    Returns:
        A figure 180 mm wide that belongs to nobody; see
        :func:`xrano.viz.figure_files.save_figure`.

    Raises:
        ConfigError: if the percentile or threshold is out of range, or no plane is asked for.
        UnknownNameError: for an unknown plane or convention.
    """
    if not 0 < percentile <= 100 or not 0 <= threshold < 1 or not planes:
        raise ConfigError(
            f"the percentile lies in (0, 100] and the threshold in [0, 1), and at least one of "
            f"{', '.join(Plane)} is drawn; got {percentile:g}, {threshold:g}, {list(planes)}"
        )
    seen = parse_convention(convention)
    views = _views(atlas, planes, seen)
    levels = {
        name: contour_levels(tumour, atlas.grid, views) for name, tumour in atlas.tumours.items()
    }
    lines = foot_lines(atlas, seen, percentile)
    page = page_of(
        views, n_methods=len(atlas.methods), n_classes=len(atlas.classes), n_lines=len(lines)
    )
    anatomy, window = _anatomy(atlas)
    with panel_style():
        figure = Figure(figsize=(WIDTH, page.height), facecolor="black")
        for row, method in enumerate(atlas.methods):
            scale = _scale(atlas, method, percentile, threshold)
            _draw_method(figure, page, row, method, scale)
            for column, name in enumerate(atlas.classes):
                found = atlas.maps.get((method, name))
                draw_counts(figure, page, row, column, found)
                for plane, view in enumerate(views):
                    ax = page.picture(figure, row, column, plane)
                    ax.set_label(f"{method} {name} {view.plane}")
                    if found is None:
                        _draw_empty(ax, view, name)
                        continue
                    draw_anatomy(ax, view, anatomy, atlas.grid, window)
                    inside = np.where(atlas.brain, found.mean, np.float32(0))
                    draw_colour(ax, view, inside, atlas.grid, scale)
                    if name in levels:
                        draw_tumour(ax, view, atlas.tumours[name], atlas.grid, levels[name])
                    frame(ax, view)
                    annotate(ax, view, sizes=IN_PRINT)
        draw_header(figure, page, atlas, levels, title)
        draw_foot(figure, page, lines, atlas.region)
    return figure


def _views(atlas: ClassAtlas, planes: Sequence[str], seen: Convention) -> list[SliceView]:
    mass = atlas.tumour_mass
    views = []
    for name in planes:
        plane = parse_plane(name)
        # The slice that holds most of the mean tumour; the brain's centre without any.
        choice = slice_by_change(np.zeros_like(mass), mass, atlas.grid, plane, brain=atlas.brain)
        views.append(place_slice(atlas.grid, plane, choice.mm, convention=seen, around=atlas.brain))
    return views


def _anatomy(atlas: ClassAtlas) -> tuple[Volume, Normalize]:
    """The background with black at 0, and its window."""
    inside = atlas.background[atlas.brain]
    low, high = (
        (float(value) for value in np.percentile(inside, [0.5, 99.8])) if inside.size else (0, 1)
    )
    shifted = np.where(atlas.brain, atlas.background - np.float32(low), np.float32(0))
    return shifted, Normalize(0.0, high - low if high > low else 1.0)


def _scale(atlas: ClassAtlas, method: str, percentile: float, threshold: float) -> ColourScale:
    top = max(
        (
            scale_value(found.mean, atlas.brain, percentile)
            for (name, _), found in atlas.maps.items()
            if name == method
        ),
        default=0.0,
    )
    if top > 1:
        threshold = min(max(threshold, 1 / top), 0.99)
    return ColourScale(
        top=top, signed=False, threshold=threshold, label="times a uniform map", colours="inferno"
    )


def _draw_method(
    figure: Figure, page: AtlasPage, row: int, method: str, scale: ColourScale
) -> None:
    top = page.top_of(row)
    name = wrapped(printable(method_name(method)), 72 * (NAMES - 0.1), SIZE + 1, "bold")
    figure.text(
        *page.at(MARGIN, top + 0.05),
        "\n".join(name),
        color="white",
        fontsize=SIZE + 1,
        fontweight="bold",
        verticalalignment="top",
        linespacing=1.15,
    )
    below = top + 0.27 + height_inches(len(name), SIZE + 1)
    ax = page.axes(figure, MARGIN + 0.08, below, NAMES - 0.3, 0.1)
    ax.set_label(f"colour bar {method}")
    draw_colour_bar(ax, scale, IN_PRINT)


def _draw_empty(ax: Axes, view: SliceView, name: str) -> None:
    left, right, bottom, top = view.extent
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], facecolor="black")
    for spine in ax.spines.values():
        spine.set(edgecolor="0.45", linestyle=(0, (3, 3)))
    ax.text(
        0.5,
        0.5,
        f"no {name} map",
        transform=ax.transAxes,
        color="0.75",
        fontsize=SIZE,
        horizontalalignment="center",
        verticalalignment="center",
    )
