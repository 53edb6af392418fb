"""The tumour between visits: which sites hold how much, and how a wanted volume is shared out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from xrano.data.phantom.anatomy import BrainVoxels
from xrano.data.phantom.lesions import (
    ENHANCING,
    NECROSIS,
    OEDEMA,
    Cavity,
    LesionSite,
    PlacementMap,
    TissueState,
    VisitField,
    draw_site,
    paint,
    visit_field,
)
from xrano.data.phantom.settings import PhantomSettings
from xrano.errors import ConfigError

_NOMINAL_RADIUS_MM = 17.0
_CAVITY_SHARE = (0.7, 0.9)
_MOST_SITES = 4


@dataclass(frozen=True, eq=False)
class Tumour:
    """What a patient has at one moment.

    Attributes:
        sites: every place that holds or once held a lesion, cavities aside.
        volumes: counted enhancing ml of each; 0 where it has vanished.
        radii: radius in mm of each at its last visit.
        cavities: resected places.
        new_lesion: whether the last change put a lesion where none was.
    """

    sites: list[LesionSite] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)
    cavities: list[Cavity] = field(default_factory=list)
    new_lesion: bool = False

    @property
    def burden_ml(self) -> float:
        """Summed enhancing volume."""
        return sum(self.volumes)

    def with_site(self, site: LesionSite) -> Tumour:
        """The same with one more site, still empty."""
        return replace(
            self,
            sites=[*self.sites, site],
            volumes=[*self.volumes, 0.0],
            radii=[*self.radii, 0.0],
        )

    def field(self, brain: BrainVoxels) -> VisitField:
        """The distance fields of a visit."""
        return visit_field(brain, self.sites, self.cavities)

    def paint(self, brain: BrainVoxels) -> TissueState:
        """Labels and shares of a visit."""
        return paint(brain, self.field(brain), self.sites, list(self.radii))

    def grown_to(self, brain: BrainVoxels, wanted: list[float]) -> Tumour:
        """The tumour with the wanted volumes, as they are counted in a visit's pose."""
        fields = self.field(brain)
        solved = [
            fields.solve(site, index, volume) if volume > 0.0 else (0.0, 0.0)
            for index, (site, volume) in enumerate(zip(self.sites, wanted, strict=True))
        ]
        return replace(
            self, radii=[radius for radius, _ in solved], volumes=[ml for _, ml in solved]
        )


def counted_ml(labels: NDArray[np.uint8], settings: PhantomSettings) -> tuple[float, float, float]:
    """Enhancing, necrosis and oedema in ml, as counted in labels."""
    counts = np.bincount(labels, minlength=4)
    enhancing, necrosis, oedema = (
        float(counts[label] * settings.voxel_ml) for label in (ENHANCING, NECROSIS, OEDEMA)
    )
    return enhancing, necrosis, oedema


def draw_first_tumour(
    rng: np.random.Generator, settings: PhantomSettings, places: PlacementMap
) -> Tumour:
    """One site, or two in every fifth patient."""
    tumour = Tumour()
    for _ in range(2 if rng.random() < 0.2 else 1):
        tumour = _with_new_site(rng, settings, places, tumour) or tumour
    return tumour


def share_first(rng: np.random.Generator, tumour: Tumour, total_ml: float) -> list[float]:
    """Volumes of the first scan's sites: the first has the larger part."""
    if len(tumour.sites) == 1:
        return [total_ml]
    part = rng.uniform(0.25, 0.45)
    return [total_ml * (1.0 - part), total_ml * part]


def change(
    rng: np.random.Generator,
    settings: PhantomSettings,
    places: PlacementMap,
    tumour: Tumour,
    total_ml: float,
) -> tuple[Tumour, list[float]]:
    """How the sites share a new total; growth comes, now and then, as a new lesion.

    Returns:
        The tumour, with another site if there is a new lesion, and one wanted volume a site.
    """
    before = tumour.burden_ml
    tumour = replace(tumour, new_lesion=False)
    if total_ml == 0.0:
        return tumour, [0.0] * len(tumour.sites)
    relapse = before == 0.0
    if total_ml > 1.4 * before and rng.random() < (0.3 if relapse else 0.2):
        kept = [volume * rng.uniform(0.85, 1.1) for volume in tumour.volumes]
        remaining = total_ml - sum(kept)
        spread = _with_new_site(rng, settings, places, tumour)
        if spread is not None and remaining > 1.3 * settings.least_ml:
            return replace(spread, new_lesion=True), [*kept, remaining]
    if relapse:
        back = int(rng.integers(len(tumour.sites)))
        return tumour, [total_ml if index == back else 0.0 for index in range(len(tumour.sites))]
    return tumour, _scaled(tumour.volumes, total_ml, settings.least_ml)


def operate(
    rng: np.random.Generator,
    settings: PhantomSettings,
    places: PlacementMap,
    tumour: Tumour,
    residual_ml: float,
) -> tuple[Tumour, list[float]]:
    """Resect the largest lesion, leave a nodule at the cavity's edge, and leave the rest alone.

    Returns:
        The tumour, and one wanted volume a site, together ``residual_ml``.
    """
    largest = int(np.argmax(tumour.volumes))
    site = tumour.sites[largest]
    radius = (tumour.radii[largest] or _NOMINAL_RADIUS_MM) * rng.uniform(*_CAVITY_SHARE)
    centre = places.cavity_edge(rng, site, radius)
    rest = [index for index in range(len(tumour.sites)) if index != largest]
    left = Tumour(
        sites=[draw_site(rng, centre, settings.spacing_mm), *(tumour.sites[i] for i in rest)],
        volumes=[0.0, *(tumour.volumes[i] for i in rest)],
        radii=[0.0, *(tumour.radii[i] for i in rest)],
        cavities=[*tumour.cavities, Cavity(site, radius)],
    )
    weights = [1.0, *(0.5 if volume > 0.0 else 0.0 for volume in left.volumes[1:])]
    return left, _scaled(weights, residual_ml, settings.least_ml)


def _scaled(weights: list[float], total_ml: float, least_ml: float) -> list[float]:
    """Share a total by weights; a lesion too small to be seen is gone, the largest never."""
    floor = min(0.7 * least_ml, total_ml / 2.0)
    largest = int(np.argmax(weights))
    shares = np.array(weights) / sum(weights)
    keep = shares * total_ml >= floor
    keep[largest] = True
    shares = np.where(keep, shares, 0.0)
    return [float(share) for share in shares / shares.sum() * total_ml]


def _with_new_site(
    rng: np.random.Generator, settings: PhantomSettings, places: PlacementMap, tumour: Tumour
) -> Tumour | None:
    taken = [*tumour.sites, *(cavity.site for cavity in tumour.cavities)]
    if len(tumour.sites) >= _MOST_SITES:
        return None
    try:
        centre = places.centre(rng, settings.hemisphere, taken)
    except ConfigError:
        return None
    return tumour.with_site(draw_site(rng, centre, settings.spacing_mm))
