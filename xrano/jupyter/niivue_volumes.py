"""What the three-dimensional viewer shows: a scan, and the map and outlines as colours over it.

Both are NIfTI files in the patient's millimetres on one grid along the axes of the world. Colours
are made here, by the scale of the panels, so that one picture cannot differ from the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from scipy import ndimage

from xrano.channels import Timepoint
from xrano.experiments.report.case_volumes import brain_frame, nifti_bytes, window_bytes
from xrano.geometry import Grid
from xrano.jupyter.picture import Look
from xrano.maps import AttributionMap
from xrano.resampling import resample
from xrano.types import Mask
from xrano.viz.colour_scale import ColourScale
from xrano.viz.drawing import CONTOUR_STYLES
from xrano.viz.names import map_title
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_cells import prepare_scans
from xrano.viz.panel_maps import MapStyle, read_maps, relevance_scale

LARGEST_MM = 2.0
"""Voxels shown are no larger, since an outline is one voxel wide."""

_RGBA = np.dtype([(name, np.uint8) for name in "RGBA"])

_DASH = 2
"""Voxels of each colour in turn where the outlines of both scans lie on each other."""


@dataclass(frozen=True, eq=False)
class Colours:
    """A map and outlines in colours: red, green, blue, opacity (i, j, k, 4) of 0 to 255.

    ``scale`` says which value is which colour, ``note`` why there is nothing to see.
    """

    rgba: NDArray[np.uint8]
    scale: ColourScale
    note: str


def viewer_frame(case: PanelCase) -> Grid:
    """The grid that is shown: along the axes of the world, around the brain, fine enough.

    Example:
        A brain at 4 × 4 × 5 mm is shown in voxels of 2 × 2 × 1.67 mm.
    """
    frame = brain_frame(case.grid, case.brain)
    parts = np.array([math.ceil(size / LARGEST_MM - 1e-9) for size in frame.spacing])
    affine = frame.affine.copy()
    affine[:3, :3] = frame.affine[:3, :3] / parts
    # The outer edges of the outer voxels stay where they are.
    affine[:3, 3] = frame.world((1 / parts - 1) / 2)
    i, j, k = (int(size * part) for size, part in zip(frame.shape, parts, strict=True))
    return Grid((i, j, k), affine)


def scan_bytes(case: PanelCase, background: str, frame: Grid) -> bytes:
    """The current scan in the greys of a panel, as the content of a ``.nii.gz``."""
    scans = prepare_scans(case, background, MapStyle().percentile)
    current = np.asarray(scans.current.volume, dtype=np.float32)
    volume = resample(current, case.grid, frame, outside="edge")
    return window_bytes(volume, frame, (0.0, float(scans.window.vmax or 1.0)))


def colours_of(case: PanelCase, attribution: AttributionMap, look: Look, frame: Grid) -> Colours:
    """A map and the outlines of both scans' masks in the colours of a panel.

    Args:
        case: scans and masks.
        attribution: a map of that case.
        look: its rectification, threshold, opacity and outlines.
        frame: grid to show them on.
    """
    style = MapStyle(look.rectification or None, threshold=look.threshold)
    (read,) = read_maps(case, [attribution], style)
    name = ", ".join(map_title(attribution, case.grid))
    scale = relevance_scale(read.top, f"{name}, raw values", style)
    values = resample(read.values.volume(), case.grid, frame, outside="edge")
    rgba = np.zeros((*frame.shape, 4), dtype=np.uint8)
    if scale.top > 0:
        drawn = np.abs(values) >= scale.threshold * scale.top
        colours = scale.colormap(scale.norm(values[drawn]))
        colours[:, 3] *= look.opacity
        rgba[drawn] = np.rint(255 * colours)
    if look.outlines:
        _draw_outlines(rgba, case, frame)
    return Colours(rgba, scale, read.note.replace("\n", " "))


def colour_bytes(colours: Colours, frame: Grid) -> bytes:
    """Colours as the content of a ``.nii.gz``."""
    return nifti_bytes(np.ascontiguousarray(colours.rgba).view(_RGBA)[..., 0], frame)


def surface(mask: Mask) -> Mask:
    """Voxels of a mask that touch what is outside by a face.

    Example:
        >>> int(surface(np.ones((3, 3, 3), dtype=bool)).sum())
        26
    """
    inside: Mask = ndimage.binary_erosion(mask)
    return mask & ~inside


def _draw_outlines(rgba: NDArray[np.uint8], case: PanelCase, frame: Grid) -> None:
    lines = {}
    for timepoint, mask in (("prior", case.prior_mask), ("current", case.current_mask)):
        if mask is not None:
            lines[timepoint] = surface(resample(mask, case.grid, frame, order=0))
    if len(lines) == len(Timepoint):
        i, j, k = np.ogrid[tuple(slice(size) for size in frame.shape)]
        turn = ((i + j + k) // _DASH) % 2 == 0
        both = lines["prior"] & lines["current"]
        lines["prior"] &= ~both | turn
        lines["current"] &= ~both | ~turn
    for timepoint, line in lines.items():
        colour, _ = CONTOUR_STYLES[timepoint]
        rgba[line] = [*(round(255 * part) for part in to_rgb(colour)), 255]
