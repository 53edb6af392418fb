"""The words around a class atlas: classes, counts, legend, and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xrano.viz.atlas_layout import GAP, LINE, MARGIN, TITLE, WIDTH, AtlasPage
from xrano.viz.atlas_tumour import FEWER, OUTLINES, level_words
from xrano.viz.class_atlas import AtlasMap, ClassAtlas
from xrano.viz.panel import DISCLAIMER
from xrano.viz.slices import Convention
from xrano.viz.words import IN_PRINT, printable, wrapped

FEW_PATIENTS = 10
"""A class with fewer is descriptive; its counts are in italics."""

SIZE, SMALL = 7.5, 6.5
"""Points of the words around the pictures."""


def draw_counts(
    figure: Figure, page: AtlasPage, row: int, column: int, found: AtlasMap | None
) -> None:
    """Pairs and patients below the pictures of a cell; nothing below an empty one."""
    if found is None:
        return
    figure.text(
        *page.counts_at(row, column),
        counts_text(found.n_pairs, found.n_patients),
        color="0.85",
        fontsize=SMALL,
        fontstyle="italic" if found.n_patients < FEW_PATIENTS else "normal",
        horizontalalignment="center",
        verticalalignment="top",
    )


def counts_text(pairs: int, patients: int) -> str:
    """``3 pairs, 1 patient``.

    Example:
        >>> counts_text(3, 1)
        '3 pairs, 1 patient'
    """
    return f"{pairs} pair{'s' * (pairs != 1)}, {patients} patient{'s' * (patients != 1)}"


def draw_header(
    figure: Figure,
    page: AtlasPage,
    atlas: ClassAtlas,
    levels: Mapping[str, Sequence[float]],
    title: str,
) -> None:
    """The title, and above each column its class and which outlines it has."""
    figure.text(
        *page.at(MARGIN, MARGIN),
        printable(title),
        color="white",
        fontsize=SIZE + 2.5,
        fontweight="bold",
        verticalalignment="top",
    )
    for column, name in enumerate(atlas.classes):
        middle, top = page.left_of(column) + page.cell / 2, MARGIN + TITLE
        said = level_words(atlas.tumours.get(name), levels.get(name, ()))
        for text, depth, size, weight in (
            (printable(name), 0.0, SIZE + 2, "bold"),
            (said, 0.18, SMALL, "normal"),
        ):
            figure.text(
                *page.at(middle, top + depth),
                text,
                color="white" if weight == "bold" else "0.8",
                fontsize=size,
                fontweight=weight,
                horizontalalignment="center",
                verticalalignment="top",
            )


def foot_lines(atlas: ClassAtlas, seen: Convention, percentile: float) -> list[str]:
    """What was done and left out, in lines as wide as the page."""
    side = "right" if seen is Convention.RADIOLOGICAL else "left"
    words = [
        f"{seen.capitalize()} convention: the patient's left is on the {side}.",
        "Slices through the mean tumour of all classes.",
        f"Grey: {atlas.background_name}.",
        "Each map is divided by its mean in the brain, then averaged within each patient and over "
        "patients.",
        f"One scale a method, up to its {percentile:g}th percentile in the brain.",
    ]
    if any(found.n_patients < FEW_PATIENTS for found in atlas.maps.values()):
        words.append(f"Italic: fewer than {FEW_PATIENTS} patients, descriptive.")
    said = printable(" ".join([*words, *atlas.notes, f"{DISCLAIMER}."]))
    # Small letters come out wider on a coarse screen.
    return wrapped(said, 0.96 * 72 * (WIDTH - 2 * MARGIN), IN_PRINT.foot)


def draw_foot(figure: Figure, page: AtlasPage, lines: Sequence[str], region: str) -> None:
    """The legend of the outlines and the lines below it."""
    handles = [
        Line2D([], [], color=line.colour, linestyle=line.line, linewidth=1.3)
        for line in (OUTLINES[0.5], OUTLINES[0.25], FEWER)
    ]
    figure.legend(
        handles,
        [
            f"{printable(region)} of prior ∪ current in 50 % of patients",
            "25 %",
            "largest share, if less",
        ],
        loc="upper left",
        bbox_to_anchor=page.at(MARGIN - 0.05, page.height - page.foot + GAP),
        ncols=3,
        fontsize=SMALL + 0.5,
        frameon=False,
        labelcolor="white",
        handlelength=2.4,
        columnspacing=1.4,
        borderpad=0.2,
    )
    for number, line in enumerate(reversed(lines)):
        figure.text(
            *page.at(MARGIN, page.height - MARGIN / 2 - LINE * number),
            line,
            color="0.75",
            fontsize=IN_PRINT.foot,
            verticalalignment="bottom",
        )
