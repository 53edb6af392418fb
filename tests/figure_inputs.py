"""Fixed inputs of figures: the same numbers on every machine, which no trained network gives."""

from __future__ import annotations

import numpy as np

from xrano.geometry import Grid
from xrano.viz.class_atlas import AtlasMap, AtlasTumour, ClassAtlas
from xrano.viz.patient_timeline import (
    PatientTimeline,
    TimelinePrediction,
    TimelineShare,
    TimelineVisit,
)

# Not cubic, anisotropic, i towards the patient's left, and far from the origin.
ATLAS_GRID = Grid(
    (24, 30, 20), np.array([[-6.0, 0, 0, 66], [0, 5.5, 0, -90], [0, 0, 7, -60], [0, 0, 0, 1]])
)


def ball(grid: Grid, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """(i, j, k) boolean: voxels within ``radius`` mm of a world point."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return np.linalg.norm(grid.world(index) - np.array(centre), axis=-1) <= radius


def bump(grid: Grid, centre: tuple[float, float, float], width: float) -> np.ndarray:
    """(i, j, k) float32: a Gaussian hill of height 1."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    away = np.linalg.norm(grid.world(index) - np.array(centre), axis=-1)
    return np.exp(-0.5 * (away / width) ** 2).astype(np.float32)


LEFT, RIGHT = (-35.0, 10.0, 5.0), (35.0, -20.0, 5.0)
"""World points in the patient's left and right half."""


def fixed_atlas(**changes: object) -> ClassAtlas:
    """Two methods; PD lies in the left hemisphere, SD in the right, CR in both, PR is empty."""
    grid = ATLAS_GRID
    brain = ball(grid, (-3.0, -10.0, 5.0), 62)
    hills = {"CR": 0.5 * (bump(grid, LEFT, 14) + bump(grid, RIGHT, 14))}
    hills |= {"SD": bump(grid, RIGHT, 14), "PD": bump(grid, LEFT, 14)}
    maps = {}
    for method, power in (("saliency", 2.0), ("gradcam", 0.5)):
        for name, hill in hills.items():
            raw = np.where(brain, hill**power + 0.02, 0).astype(np.float32)
            patients = {"CR": 4, "SD": 21, "PD": 1}[name]
            mean = (raw / raw[brain].mean()).astype(np.float32)
            maps[method, name] = AtlasMap(mean, 2 * patients, patients)
    shares = {"CR": 0.2 * ball(grid, LEFT, 18), "SD": 0.6 * ball(grid, RIGHT, 12)}
    shares["SD"] = np.maximum(shares["SD"], 0.3 * ball(grid, RIGHT, 24))
    shares["PD"] = 1.0 * ball(grid, LEFT, 18)
    content: dict[str, object] = {
        "grid": grid,
        "brain": brain,
        "background": np.where(brain, 1 + 0.3 * bump(grid, (0, 0, 0), 30), 0).astype(np.float32),
        "background_name": "a ball",
        "classes": ("CR", "PR", "SD", "PD"),
        "methods": ("saliency", "gradcam"),
        "maps": maps,
        "tumours": {
            name: AtlasTumour(share.astype(np.float32), 10, 5) for name, share in shares.items()
        },
        "notes": ("Left out: 2 maps of unrated pairs.",),
    }
    return ClassAtlas(**{**content, **changes})  # type: ignore[arg-type]


def fixed_timeline(**changes: object) -> PatientTimeline:
    """Seven visits: two in one week around an operation, one not segmented, one left out."""
    tissues = ("enhancing", "necrosis", "oedema")
    rows = [
        ("week-000-1", 0, (20.0, 8.0, 60.0), "", "preop", "before operation"),
        ("week-000-2", 0, (2.0, 0.5, 40.0), "", "postop", "after operation"),
        ("week-014", 14, (1.0, 0.0, 20.0), "PR", "followup", ""),
        ("week-027", 27, (), "SD", "followup", ""),
        ("week-030", 30, (1.5, 0.5, 22.0), "CR", "followup", "< 3 months after RT"),
        ("week-041", 41, (4.0, 2.0, 30.0), "PD", "followup", ""),
        ("week-060", 60, (0.0, 0.0, 8.0), "CR", "followup", ""),
    ]
    visits = tuple(
        TimelineVisit(
            name,
            week,
            dict(zip(tissues, volumes, strict=False)),
            rating,
            "expert" if rating else "",
            role,
            excluded,
        )
        for name, week, volumes, rating, role, excluded in rows
    )
    classes = ("CR", "PR", "SD", "PD")
    said = {
        "week-014": ("PR", (0.1, 0.6, 0.2, 0.1)),
        "week-027": ("SD", (0.05, 0.15, 0.3, 0.5)),
        "week-041": ("PD", (0.0, 0.1, 0.2, 0.7)),
        "week-060": ("CR", (0.85, 0.05, 0.05, 0.05)),
    }
    predictions = tuple(
        TimelinePrediction(
            f"P_{name}",
            name,
            truth,
            classes[int(np.argmax(shares))],
            dict(zip(classes, shares, strict=True)),
        )
        for name, (truth, shares) in said.items()
    )
    both = {("prior", "CT1"): 0.3, ("prior", "FLAIR"): 0.1}
    both |= {("current", "CT1"): 0.4, ("current", "FLAIR"): 0.2}
    alone = {("current", "CT1"): 0.75, ("current", "FLAIR"): 0.25}
    shares = tuple(
        TimelineShare(method, name, values)
        for method, values in (("saliency", both), ("ig:prior", alone))
        for name in said
    )
    content: dict[str, object] = {
        "patient_id": "Patient-007",
        "visits": visits,
        "classes": classes,
        "predictions": predictions,
        "shares": shares,
        "source": "deepbratumia",
        "events": (("week-000-2", "operation"),),
    }
    return PatientTimeline(**{**content, **changes})  # type: ignore[arg-type]


def hostile_timeline() -> PatientTimeline:
    """An id and reasons that are formulas, tags and letters of other alphabets."""
    name = "Zoë $x^2$ <b>№7</b> 患_%s{0}"
    visit = TimelineVisit("s $1$", 0, {}, excluded="<script>$\\frac{1}$", treatment="TMZ & $")
    return fixed_timeline(
        patient_id=name, visits=(visit,), predictions=(), shares=(), events=(), notes=(name,)
    )
