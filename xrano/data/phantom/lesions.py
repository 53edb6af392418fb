"""Lesions as level sets: an irregular distance field around a centre, cut at a radius.

A lesion *site* is fixed in its patient: a centre and a way in which the distance from it is bent.
At each visit a *radius* says how far the tumour reaches; everything nearer is tumour, everything
nearer than the radius less the rim is necrosis, and a band beyond it is oedema. The radius is
solved so that the enhancing voxels *counted* in that visit's own pose meet a wanted volume.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xrano.data.phantom.anatomy import BrainVoxels, rotation
from xrano.data.phantom.settings import Hemisphere
from xrano.errors import ConfigError

ENHANCING, NECROSIS, OEDEMA = 1, 2, 3
"""DeepBraTumIA's labels."""

REACH_MM = 60.0
"""Beyond this distance from a centre nothing belongs to its lesion."""

SCAR_MM = 7.0
"""Radius of the oedema that stays where a lesion has vanished."""

_WAVES = 8
_WAVE_SD = 0.2
_EDGE_TO_BRAIN_MM = 12.0
_BETWEEN_SITES_MM = 50.0

Distances = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LesionSite:
    """Where a lesion sits and how it is shaped.

    Attributes:
        centre: (3,) patient millimetres.
        stretch: (3, 3) linear map of determinant 1 that bends the sphere to an ellipsoid.
        waves: (w, 3) wave vectors per mm, ``phases`` (w,), ``heights`` (w,): the irregularity.
        rim_mm: thickness of enhancement around a necrotic core.
        oedema_mm: width of the oedema of a middle-sized lesion.
    """

    centre: NDArray[np.float64]
    stretch: NDArray[np.float64]
    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    heights: NDArray[np.float64]
    rim_mm: float
    oedema_mm: float

    def distance(self, brain: BrainVoxels) -> Distances:
        """Bent distance in mm of every brain voxel, infinite beyond reach; fluid is far away."""
        away = brain.points - self.centre
        near = (np.abs(away) < REACH_MM).all(axis=1)
        distances = np.full(len(away), np.inf, dtype=np.float32)
        away = away[near]
        phase = (away @ self.waves.T + self.phases).astype(np.float32)
        bend = np.cos(phase) @ self.heights.astype(np.float32)
        fluid, grey = brain.tissues[2, near], brain.tissues[1, near]
        radius = np.linalg.norm(away @ self.stretch.T, axis=1)
        # The falx holds a lesion back from the other hemisphere.
        across = np.clip(-np.sign(self.centre[0]) * brain.points[near, 0], 0.0, None)
        resistance = 1.0 + 1.5 * fluid + 0.2 * grey + 0.15 * across
        distances[near] = radius * np.exp(bend) * resistance
        return distances


def draw_site(
    rng: np.random.Generator, centre: NDArray[np.float64], spacing_mm: float
) -> LesionSite:
    """A site of random shape; its rim is never thinner than one and a half voxels."""
    axes = np.exp(rng.normal(0.0, 0.15, 3))
    turn = rotation(rng.uniform(0.0, 180.0, 3))
    direction = rng.normal(size=(_WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wavelength = rng.uniform(16.0, 60.0, (_WAVES, 1))
    return LesionSite(
        centre=centre,
        stretch=np.diag(axes / np.prod(axes) ** (1 / 3)) @ turn,
        waves=2.0 * np.pi * direction / wavelength,
        phases=rng.uniform(0.0, 2.0 * np.pi, _WAVES),
        heights=rng.normal(0.0, _WAVE_SD * np.sqrt(2.0 / _WAVES), _WAVES),
        rim_mm=max(1.5 * spacing_mm, rng.uniform(4.5, 7.0)),
        oedema_mm=rng.uniform(7.0, 14.0),
    )


@dataclass(frozen=True, eq=False)
class PlacementMap:
    """The points of a patient's brain where lesions may arise, with what decides it.

    Attributes:
        brain: the brain in the patient's own pose on a coarse grid.
        depth_mm: (n,) distance of every voxel from the outside of the brain.
    """

    brain: BrainVoxels
    depth_mm: Distances

    def centre(
        self, rng: np.random.Generator, hemisphere: Hemisphere, others: list[LesionSite]
    ) -> NDArray[np.float64]:
        """A random point in deep white matter, away from the midline and from other sites.

        Raises:
            ConfigError: if the brain holds no such point.
        """
        points = self.brain.points
        fits = (self.brain.tissues[0] > 0.7) & (self.depth_mm > _EDGE_TO_BRAIN_MM)
        fits &= (np.abs(points[:, 0]) > 14.0) & (points[:, 2] > -30.0)
        if hemisphere != "both":
            fits &= (points[:, 0] < 0.0) == (hemisphere == "left")
        for other in others:
            fits &= np.linalg.norm(points - other.centre, axis=1) > _BETWEEN_SITES_MM
        return self._pick(rng, fits)

    def cavity_edge(
        self, rng: np.random.Generator, cavity: LesionSite, radius_mm: float
    ) -> NDArray[np.float64]:
        """A random point in tissue just outside a resection cavity.

        Raises:
            ConfigError: if the brain holds no such point.
        """
        gap = cavity.distance(self.brain) - radius_mm
        fits = (gap > 3.0) & (gap < 9.0) & (self.brain.tissues[2] < 0.3) & (self.depth_mm > 9.0)
        fits &= np.abs(self.brain.points[:, 0]) > 8.0
        fits &= np.sign(self.brain.points[:, 0]) == np.sign(cavity.centre[0])
        return self._pick(rng, fits)

    def _pick(self, rng: np.random.Generator, fits: NDArray[np.bool_]) -> NDArray[np.float64]:
        candidates = np.flatnonzero(fits)
        if not len(candidates):
            raise ConfigError("this phantom brain has no place left for a lesion")
        return np.asarray(self.brain.points[rng.choice(candidates)], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Cavity:
    """What a resection leaves: fluid within a radius of a former lesion's centre."""

    site: LesionSite
    radius_mm: float


@dataclass(frozen=True, eq=False)
class VisitField:
    """The distance fields of one visit, and the voxels that each site may fill.

    Attributes:
        distances: one (n,) field a site; infinite where the voxel is a cavity or nearer to
            another site.
        cavity: (n,) how far every voxel lies outside the nearest cavity, in mm; negative inside.
        voxel_ml: volume of a voxel.
    """

    distances: list[Distances]
    cavity: Distances
    voxel_ml: float
    _sorted: dict[int, Distances] = field(default_factory=dict, repr=False)

    def solve(self, site: LesionSite, index: int, wanted_ml: float) -> tuple[float, float]:
        """The radius whose enhancing voxels come nearest to a volume.

        Returns:
            Radius in mm and the enhancing volume in ml that is counted with it.
        """
        if index not in self._sorted:
            finite = self.distances[index][np.isfinite(self.distances[index])]
            self._sorted[index] = np.sort(finite).astype(np.float64)
        ordered = self._sorted[index]
        radii = (ordered[:-1] + ordered[1:]) / 2.0
        core = np.searchsorted(ordered, radii - site.rim_mm, side="left")
        counts = np.arange(1, len(ordered)) - core
        best = int(np.argmin(np.abs(counts - wanted_ml / self.voxel_ml)))
        return float(radii[best]), float(counts[best] * self.voxel_ml)


def visit_field(brain: BrainVoxels, sites: list[LesionSite], cavities: list[Cavity]) -> VisitField:
    """Evaluate every site in a visit's own pose."""
    outside = np.full(len(brain.points), np.inf, dtype=np.float32)
    for cavity in cavities:
        outside = np.minimum(outside, cavity.site.distance(brain) - cavity.radius_mm)
    fields = [site.distance(brain) for site in sites]
    nearest = np.argmin(np.stack(fields), axis=0) if len(fields) > 1 else np.zeros(len(outside))
    distances = [
        np.where((nearest == index) & (outside > 0.0), own, np.float32(np.inf))
        for index, own in enumerate(fields)
    ]
    return VisitField(distances, outside, brain.grid.voxel_ml)


@dataclass(frozen=True, eq=False)
class TissueState:
    """Pathology of one visit, one entry a brain voxel.

    Attributes:
        labels: DeepBraTumIA's labels, uint8; nothing else is counted anywhere.
        enhancing, necrosis, oedema, cavity: shares 0 to 1 for the images, with soft edges.
    """

    labels: NDArray[np.uint8]
    enhancing: NDArray[np.float32]
    necrosis: NDArray[np.float32]
    oedema: NDArray[np.float32]
    cavity: NDArray[np.float32]


def paint(
    brain: BrainVoxels, field: VisitField, sites: list[LesionSite], radii: list[float | None]
) -> TissueState:
    """Labels and soft shares of a visit.

    Args:
        brain: the visit's brain voxels.
        field: its distance fields.
        sites: the sites, in the field's order.
        radii: one radius a site: ``None`` for a site where nothing ever was, 0 for one that
            has vanished and leaves a scar.
    """
    edge = max(0.5 * float(brain.grid.spacing[0]), 1.0)

    def inside(depth: Distances) -> NDArray[np.float32]:
        share = np.clip(0.5 + depth / (2.0 * edge), 0.0, 1.0)
        return np.asarray(share, dtype=np.float32)

    n = len(brain.points)
    labels = np.zeros(n, dtype=np.uint8)
    tumour, necrosis, oedema = (np.zeros(n, dtype=np.float32) for _ in range(3))
    for site, distance, radius in zip(sites, field.distances, radii, strict=True):
        if radius is None:
            continue
        width = site.oedema_mm * float(np.clip(radius / 14.0, 0.5, 1.3)) if radius else 0.0
        reach = (radius + width if radius else SCAR_MM) - distance * (1 + 0.6 * brain.tissues[1])
        wet = (reach > 0.0) & (brain.tissues[2] < 0.5) & (labels == 0)
        labels[wet] = OEDEMA
        oedema = np.maximum(oedema, inside(reach) * (1.0 - brain.tissues[2]))
        if radius:
            labels[distance < radius] = ENHANCING
            labels[distance < radius - site.rim_mm] = NECROSIS
            tumour = np.maximum(tumour, inside(radius - distance))
        if radius > site.rim_mm:
            necrosis = np.maximum(necrosis, inside(radius - site.rim_mm - distance))
    cavity = np.where(np.isfinite(field.cavity), inside(-field.cavity), np.float32(0.0))
    rest = np.float32(1.0) - cavity
    enhancing = np.clip(tumour - necrosis, 0.0, 1.0)
    return TissueState(
        labels, enhancing * rest, necrosis * rest, oedema * (1.0 - tumour) * rest, cavity
    )
