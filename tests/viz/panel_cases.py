"""A synthetic case with a lesion on the patient's left, on several grids, and how to look at it."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.spatial.transform import Rotation

from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.viz.panel_case import PanelCase

LESION = np.array([-34.0, 12.0, 18.0])
"""World mm: in the patient's left hemisphere."""

BRAIN_CENTRE = np.array([0.0, -10.0, 10.0])
CHANNELS = ("prior_CT1", "prior_FLAIR", "current_CT1", "current_FLAIR")


def centred(shape, linear) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = BRAIN_CENTRE - linear @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


OBLIQUE = Rotation.from_euler("xyz", [17, 8, -12], degrees=True).as_matrix()
GRIDS = {
    "RAS": centred((40, 38, 22), np.diag([4.0, 5.0, 6.0])),
    "LAS": centred((40, 38, 22), np.diag([-4.0, 5.0, 6.0])),
    "oblique": centred((44, 42, 28), OBLIQUE @ np.diag([-4.0, 5.0, 6.0])),
}
CAM_GRID = centred((6, 7, 5), np.diag([-32.0, 32.0, 32.0]))
NAMES = {"pair_id": "P-1_week-000_week-012", "target_name": "PD", "target_choice": "predicted"}


def distance(grid: Grid, centre=LESION) -> np.ndarray:
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return np.linalg.norm(world - centre, axis=-1)


def make_case(grid: Grid, **changes) -> PanelCase:
    """A brain at 100 with a lesion of 300 on the left that was smaller before; background 0."""
    brain = distance(grid, BRAIN_CENTRE) < 62
    before, now = distance(grid) < 9, distance(grid) < 15
    noise = np.random.default_rng(1).normal(0, 3, grid.shape)
    scans = [
        {
            name: np.where(brain, 100 + noise + 200 * lesion, 0).astype(np.float32)
            for name in ("CT1", "FLAIR")
        }
        for lesion in (before, now)
    ]
    case = PanelCase(
        grid=grid,
        prior=scans[0],
        current=scans[1],
        brain=brain,
        prior_mask=before,
        current_mask=now,
        pair_id=NAMES["pair_id"],
        patient_id="P-1",
        prior_session="week-000",
        current_session="week-012",
        response="SD",
        predicted="PD",
        probabilities={"CR": 0.03, "PR": 0.07, "SD": 0.25, "PD": 0.65},
    )
    return replace(case, **changes)


def voxel_map(grid: Grid, method="saliency", scale=1.0, **meta) -> AttributionMap:
    """Strong on the lesion, signed noise elsewhere."""
    rng = np.random.default_rng(2)
    data = rng.normal(0, 0.05, (4, *grid.shape)) + np.exp(-((distance(grid) / 12) ** 2))
    return AttributionMap(
        (scale * data).astype(np.float32), grid, CHANNELS, {**NAMES, "method": method, **meta}
    )


def cam(scale=1.0, **meta) -> AttributionMap:
    data = scale * (np.exp(-((distance(CAM_GRID) / 30) ** 2)) - 0.1)
    meta = {**NAMES, "method": "gradcam", "layer": "features", **meta}
    return AttributionMap(data[None].astype(np.float32), CAM_GRID, ("all",), meta)


def axes(figure, name):
    (found,) = (ax for ax in figure.axes if ax.get_label() == name)
    return found


def image(figure, name, label="colour"):
    (found,) = (im for im in axes(figure, name).images if im.get_label() == label)
    return found


def texts(figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for ax in figure.axes:
        found += [ax.get_title(), *(text.get_text() for text in ax.texts)]
        if ax.get_legend():
            found += [text.get_text() for text in ax.get_legend().get_texts()]
    return "\n".join(found)


_PIXELS: WeakKeyDictionary = WeakKeyDictionary()


def rendered(figure, name) -> np.ndarray:
    """(row, column, rgb) pixels of one axes as they come out; the figure is drawn once."""
    if figure not in _PIXELS:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        _PIXELS[figure] = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    pixels = _PIXELS[figure]
    box = axes(figure, name).get_window_extent()
    height = pixels.shape[0]
    return pixels[height - round(box.y1) : height - round(box.y0), round(box.x0) : round(box.x1)]


def side_of(mask: np.ndarray) -> float:
    """Mean column of a boolean picture: 0 is the left edge, 1 the right edge."""
    assert mask.any()
    return float(np.nonzero(mask)[1].mean() / mask.shape[1])
