"""What the viewer of a case page is given: volumes as files, scales, colours and words.

Every volume is the content of a gzipped NIfTI file with its own affine, so that the page holds the
patient's millimetres and nothing has to be trusted about the order of axes. The library that draws
the scans, niivue, lies in ``static/`` gzipped and is inflated by the browser.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

NIIVUE = "niivue-0.69.0.umd.js.gz"
"""The viewer library in ``static/``; its licence lies beside it."""

Millimetres = tuple[float, float, float]
"""A place in the world: x to the patient's right, y to the front, z up."""


@dataclass(frozen=True)
class ViewerMap:
    """The map of one method for one target.

    Args:
        target: name of the class explained.
        target_text: the same with what it is in this case: ``PD (predicted)``.
        parts: ``prior`` and ``current`` channels, which the page adds for both, or ``both``
            alone where the method does not tell the scans apart.
        cells: whether it speaks for cells of a feature grid: carried on to the edge of the brain
            and shown nowhere else.
        note: what to say where there is nothing to see.
    """

    target: str
    target_text: str
    parts: Mapping[str, bytes]
    cells: bool = False
    note: str = ""


@dataclass(frozen=True)
class ViewerMethod:
    """The maps of one method: one unit, so one scale for all classes and timepoints.

    Args:
        name: for people.
        maps: one a target.
        top: value of the last colour.
        signed: whether the scale runs from -top to top, else from 0.
        error: largest error of a value by its storage.
        detail: what else the name does not say, such as the size of cells.
    """

    name: str
    maps: tuple[ViewerMap, ...]
    top: float
    signed: bool
    error: float
    detail: str = ""


@dataclass(frozen=True)
class ViewerColours:
    """Colours ``#rrggbb`` of maps from the low to the high end, and of outlines with their line.

    ``opacity``: of the strongest relevance; ``faintest``: that just above a threshold.
    """

    maps: tuple[str, ...]
    outlines: Mapping[str, tuple[str, str]]
    opacity: float
    faintest: float


@dataclass(frozen=True)
class ViewerContent:
    """One pair in three planes.

    Args:
        sequence: what is shown in grey.
        sessions: ``prior`` and ``current`` to session.
        scans: ``prior`` and ``current`` to volume, both on one axis-aligned grid.
        window: values that are black and white.
        blank: RGBA volume of zeros on the grid of the scans, to be coloured.
        brain: brain mask.
        masks: ``prior`` and ``current`` to the region's mask; a scan that was not segmented has
            none.
        mask_words: what the legend says of each, such as ``core, prior scan: 12.3 ml``.
        region: name of the masks' region.
        methods: the maps; none if the pair was not explained.
        target: class that is chosen at first, if a method has it.
        colours: of maps and outlines.
        threshold: share of the scale below which nothing is drawn at first.
        start_mm: where the crosshair stands at first.
        start_words: what is there, such as ``tumour``.
        notes: spacing shown, errors, and what could not be shown.
    """

    sequence: str
    sessions: Mapping[str, str]
    scans: Mapping[str, bytes]
    window: tuple[float, float]
    blank: bytes
    brain: bytes
    masks: Mapping[str, bytes]
    mask_words: Mapping[str, str]
    region: str
    methods: tuple[ViewerMethod, ...]
    target: str
    colours: ViewerColours
    threshold: float
    start_mm: Millimetres
    start_words: str
    notes: tuple[str, ...]


def base64_size(size: int) -> int:
    """Characters of so many bytes in base64.

    Example:
        >>> base64_size(4)
        8
    """
    return 4 * ((size + 2) // 3)


@cache
def niivue_base64() -> str:
    """The gzipped library in base64."""
    return _text((files("xrano.report") / "static" / NIIVUE).read_bytes())


def viewer_json(content: ViewerContent) -> Markup:
    """Everything that the script needs, to stand in a ``<script type="application/json">``.

    No text in it can end the script: ``<``, ``>``, ``&`` and ``'`` are written as escapes.
    """
    return htmlsafe_json_dumps(_plain(content))


def _plain(content: ViewerContent) -> dict[str, Any]:
    return {
        "sequence": content.sequence,
        "sessions": dict(content.sessions),
        "scans": {name: _text(volume) for name, volume in content.scans.items()},
        "window": list(content.window),
        "blank": _text(content.blank),
        "brain": _text(content.brain),
        "masks": {name: _text(volume) for name, volume in content.masks.items()},
        "region": content.region,
        "methods": [_plain_method(method) for method in content.methods],
        "colours": {
            "maps": list(content.colours.maps),
            "outlines": {name: list(style) for name, style in content.colours.outlines.items()},
            "faintest": content.colours.faintest / content.colours.opacity,
        },
        "target": content.target,
        "start": list(content.start_mm),
    }


def _plain_method(method: ViewerMethod) -> dict[str, Any]:
    return {
        "name": method.name,
        "top": method.top,
        "signed": method.signed,
        "maps": [
            {
                "target": one.target,
                "text": one.target_text,
                "parts": {name: _text(volume) for name, volume in one.parts.items()},
                "cells": one.cells,
                "note": one.note,
            }
            for one in method.maps
        ],
    }


def _text(volume: bytes) -> str:
    return base64.b64encode(volume).decode("ascii")
