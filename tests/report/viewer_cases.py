"""Cases that are known to the millimetre, for the viewer to show."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd

from xrano.experiments.report.case_viewer import viewer_content
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.report.case_page import CaseContent
from xrano.report.viewer import niivue_base64
from xrano.viz.panel_case import PanelCase

BUDGET = 4_500_000
ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture in place of a panel."""

CLASSES = ("CR", "PR", "SD", "PD")
CHANNELS = ("prior_CT1", "prior_FLAIR", "current_CT1", "current_FLAIR")
LESION_MM = (-30.0, 12.0, 22.0)
"""The centre of the lesion: left, front, up."""

RADIUS_MM = 14.0


def oblique_grid(spacing: tuple[float, float, float] = (3.0, 4.0, 5.0)) -> Grid:
    """Axes flipped to the left, in another order, and turned by 17°."""
    angle = np.deg2rad(17)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    axes = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ np.diag(spacing)
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes
    shape = (56, 48, 30)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def plain_grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    """Axes to the right, front and top, the middle at zero."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing
    return Grid(shape, affine)


def distance(grid: Grid, centre: Any, stretch: Any = (1.0, 1.0, 1.0)) -> Any:
    """Millimetres from a point, of every voxel; along stretched axes."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    offset = (grid.world(index) - np.array(centre)) / np.array(stretch)
    return np.linalg.norm(offset, axis=-1)


def left_lesion(grid: Grid, *, patient_id: str = "Patient-007") -> PanelCase:
    """An even brain with one bright lesion in the patient's left half, on the current scan."""
    brain = distance(grid, (0, 0, 0), (60, 75, 55)) <= 1
    lesion = (distance(grid, LESION_MM) <= RADIUS_MM) & brain
    rng = np.random.default_rng(0)
    tissue = np.where(brain, 0.2 + 0.02 * rng.standard_normal(grid.shape), -1).astype(np.float32)
    bright = np.where(lesion, np.float32(0.35), tissue)
    return PanelCase(
        grid=grid,
        prior={"CT1": tissue},
        current={"CT1": bright},
        brain=brain,
        prior_mask=np.zeros(grid.shape, dtype=bool),
        current_mask=lesion,
        pair_id=f"{patient_id}_week-000_week-012",
        patient_id=patient_id,
        prior_session="week-000",
        current_session="week-012",
        response="PD",
        predicted="PD",
        probabilities={"CR": 0.05, "PR": 0.1, "SD": 0.15, "PD": 0.7},
    )


def facts(case: PanelCase, method: str, target: str, **more: Any) -> dict[str, Any]:
    """What the sidecar of a map says."""
    return {
        "pair_id": case.pair_id,
        "patient_id": case.patient_id,
        "prior": case.prior_session,
        "current": case.current_session,
        "method": method,
        "target_name": target,
        "weights": "trained",
        **more,
    }


def voxel_map(case: PanelCase, method: str, target: str, centre: Any) -> AttributionMap:
    """A blob, three times as strong in the current channels as in the prior ones."""
    strength = np.exp(-((distance(case.grid, centre) / 12) ** 2))
    data = np.stack([share * strength for share in (0.1, 0.1, 0.3, -0.3)]).astype(np.float32)
    return AttributionMap(data, case.grid, CHANNELS, facts(case, method, target))


def cell_map(case: PanelCase, target: str, centre: Any) -> AttributionMap:
    """A class activation map on cells of 32 mm, along the axes of the world."""
    grid = plain_grid((6, 6, 5), (32.0, 32.0, 32.0))
    strength = np.exp(-((distance(grid, centre) / 40) ** 2)).astype(np.float32)
    meta = facts(case, "gradcam", target, layer="features.denseblock2")
    return AttributionMap(strength[None], grid, ("all",), meta)


def case_maps(case: PanelCase) -> list[AttributionMap]:
    """Saliency of four classes, each elsewhere, and Grad-CAM of two; PD looks at the lesion."""
    centres = {"CR": (35, 20, 0), "PR": (0, -40, 10), "SD": (30, -30, -10), "PD": LESION_MM}
    return [
        *(voxel_map(case, "saliency", target, centre) for target, centre in centres.items()),
        cell_map(case, "SD", (40, 0, 0)),
        cell_map(case, "PD", LESION_MM),
    ]


def case_of(
    case: PanelCase, maps: list[AttributionMap], *, rectification: str | None = None, **more: Any
) -> CaseContent:
    """The content of a case's page, without a run."""
    given: dict[str, Any] = {
        "panel": ONE_PIXEL,
        "timeline": None,
        "scores": pd.DataFrame(columns=["Method", "Relevance mass"]),
    }
    if "viewer" not in more:
        budget = BUDGET - len(niivue_base64())
        more["viewer"] = viewer_content(
            case, maps, rectification=rectification, budget_bytes=budget
        )
    return CaseContent(
        pair_id=case.pair_id,
        patient_id=case.patient_id,
        prior_session=case.prior_session,
        current_session=case.current_session,
        response=case.response,
        predicted=case.predicted,
        probabilities=case.probabilities,
        **{**given, **more},
    )
