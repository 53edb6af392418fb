"""Are the nulls honest? How often they reject at 5 % when maps know nothing of the mask.

Maps are absolute values of smoothed Gaussian noise in an ellipsoid brain, lesions are balls. With
the lesion's place drawn at random over the valid translations the placement null is exact, and
rejection must lie in its binomial band (below it only for scores of few values, whose ties count
against rejection). With a fixed lesion, and maps that favour the middle, it is not, which is why
that null is descriptive; the rejection rates here say by how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import binom

from xrano.errors import UnknownNameError
from xrano.geometry import Shape3
from xrano.metrics.linear import LINEAR
from xrano.metrics.placement import PlacedMap, placement_null
from xrano.metrics.ranked import rank_map
from xrano.metrics.shuffle import shuffle_assignments, shuffle_null
from xrano.metrics.translations import BrainBox, Placements
from xrano.types import Mask, Volume

LEVEL = 0.05
LESIONS = ("random", "central", "edge")
"""Where the lesion lies: drawn anew for each map, or always in the middle, or always at the rim."""

MAPS = ("stationary", "central")
"""Whether a map is alike everywhere, or brighter towards the middle of the brain."""


@dataclass(frozen=True)
class Rejections:
    """How often a null rejected, and what chance allows.

    Attributes:
        n: number of tests.
        rejected: of which so many had p ≤ 0.05.
        low: lower end of the binomial band of n tests at 5 %, as a rate.
        high: its upper end.
    """

    n: int
    rejected: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share of the tests that rejected."""
        return self.rejected / self.n

    @property
    def inside(self) -> bool:
        """Whether the rate lies in the band."""
        return self.low <= self.rate <= self.high


def placement_rejections(
    *,
    shape: Shape3,
    smoothness: float,
    n_maps: int,
    seed: int,
    lesion: str = "random",
    maps: str = "stationary",
    radius: float = 3.0,
    metrics: Iterable[str] = tuple(LINEAR),
    coverage: float = 0.95,
) -> dict[str, Rejections]:
    """Rejections of the placement null over maps that know nothing of the lesion.

    Args:
        shape: of the volume; the brain fills most of it.
        smoothness: SD of the Gaussian smoothing in voxels; 0 for white noise.
        n_maps: how many maps, one lesion each.
        seed: of all that is drawn.
        lesion: one of :data:`LESIONS`.
        maps: one of :data:`MAPS`.
        radius: of the lesion in voxels.
        metrics: names in :data:`xrano.metrics.placement.PLACEMENT_METRICS`.
        coverage: of the binomial band.

    Raises:
        UnknownNameError: for an unknown kind of lesion or map, or a metric without this null.

    Example:
        >>> found = placement_rejections(shape=(12, 12, 12), smoothness=1, n_maps=20, seed=0,
        ...                              radius=1.5, metrics=["auroc"])
        >>> found["auroc"].n
        20
    """
    for kind, name, known in (("lesion", lesion, LESIONS), ("maps", maps, MAPS)):
        if name not in known:
            raise UnknownNameError(kind, name, known)
    names = tuple(metrics)
    rng = np.random.default_rng(seed)
    domain = ellipsoid_brain(shape)
    brain = BrainBox(domain)
    places = Placements(_ball(shape, radius), brain)
    choose = _chooser(places.translations, lesion)
    ps: list[list[float]] = []
    for _ in range(n_maps):
        ranked = rank_map(random_map(rng, shape, smoothness, maps), domain)
        moved = Placements(places.moved(choose(rng)), brain)
        results = placement_null(PlacedMap(ranked, brain), moved, metrics=names)
        ps.append([results[name].p for name in names])
    return {
        name: rejections([row[column] for row in ps], coverage=coverage)
        for column, name in enumerate(names)
    }


def shuffle_rejections(
    *,
    n_patients: int,
    smoothness: float,
    n_cohorts: int,
    seed: int,
    maps: str,
    n_permutations: int,
    shape: Shape3,
    coverage: float = 0.95,
) -> Rejections:
    """Rejections of the shuffle null over cohorts whose maps know nothing of the masks.

    Every patient has 1 to 4 scans; they share half of the map's variance and the lesion's place,
    so that scans of one patient are far from independent, while lesions keep to one half of the
    brain and have sizes that differ by a factor of about 15. Arguments as
    :func:`placement_rejections`; the statistic is the lift of the relevance mass accuracy.
    """
    rng = np.random.default_rng(seed)
    domain = ellipsoid_brain(shape)
    ps = []
    for cohort in range(n_cohorts):
        patients, relevance, masks = _cohort(rng, n_patients, domain, smoothness, maps)
        shares = relevance / relevance.sum(axis=1, keepdims=True)
        drawn = shuffle_assignments(
            patients, masks.sum(axis=1), n_permutations=n_permutations, seed=seed + cohort
        )
        chance = np.broadcast_to(masks.mean(axis=1), (len(masks), len(masks)))
        ps.append(shuffle_null(shares @ masks.T, drawn, chance).p)
    return rejections(ps, coverage=coverage)


def rejections(ps: Iterable[float], *, coverage: float = 0.95) -> Rejections:
    """Count what lies at or below 5 %, and the central binomial band beside it."""
    found = np.asarray(list(ps), dtype=np.float64)
    low, high = binom.interval(coverage, found.size, LEVEL)
    # A p that is a sum of shares may miss 0.05 by the last bit.
    rejected = int(np.count_nonzero(found <= LEVEL + 1e-12))
    return Rejections(int(found.size), rejected, float(low) / found.size, float(high) / found.size)


def random_map(rng: np.random.Generator, shape: Shape3, smoothness: float, maps: str) -> Volume:
    """(i, j, k) absolute smoothed Gaussian noise; ``central`` maps fade outwards."""
    noise = rng.normal(size=shape)
    relevance = np.abs(ndimage.gaussian_filter(noise, smoothness, mode="wrap"))
    return relevance * np.exp(-2.0 * _radius(shape) ** 2) if maps == "central" else relevance


def ellipsoid_brain(shape: Shape3) -> Mask:
    """(i, j, k) an ellipsoid that touches the faces of the volume."""
    return np.asarray(_radius(shape) <= 1.0)


def _radius(shape: Shape3) -> NDArray[np.float64]:
    """Distance from the middle, 1 at the faces."""
    axes = np.ogrid[tuple(slice(-1.0, 1.0, size * 1j) for size in shape)]
    return np.asarray(np.sqrt(sum(axis**2 for axis in axes)))


def _ball(shape: Shape3, radius: float, centre: NDArray[np.float64] | None = None) -> Mask:
    middle = np.array(shape) // 2 if centre is None else centre
    index = np.ogrid[tuple(slice(0, size) for size in shape)]
    square = sum((axis - at) ** 2 for axis, at in zip(index, middle, strict=True))
    return np.asarray(square <= radius**2)


def _chooser(
    translations: NDArray[np.intp], lesion: str
) -> Callable[[np.random.Generator], NDArray[np.intp]]:
    """Which translation a map's lesion gets."""
    distance = np.linalg.norm(translations, axis=1)
    if lesion == "central":
        return lambda rng: translations[distance.argmin()]  # noqa: ARG005
    if lesion == "edge":
        return lambda rng: translations[distance.argmax()]  # noqa: ARG005
    return lambda rng: translations[rng.integers(len(translations))]


def _cohort(
    rng: np.random.Generator, n_patients: int, domain: Mask, smoothness: float, maps: str
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Patients (scan,), relevance (scan, voxel) and masks (scan, voxel) inside the brain."""
    shape: Shape3 = domain.shape
    there = np.argwhere(domain)
    lesion_side = there[there[:, 0] < shape[0] / 2]
    patients, relevance, masks = [], [], []
    for patient in range(n_patients):
        centre = lesion_side[rng.integers(len(lesion_side))].astype(np.float64)
        own = random_map(rng, shape, smoothness, maps)[domain]
        for _ in range(int(rng.integers(1, 5))):
            patients.append(f"{patient:03d}")
            relevance.append(own + random_map(rng, shape, smoothness, maps)[domain])
            masks.append(_ball(shape, rng.uniform(1.2, 3.0), centre)[domain])
    return patients, np.array(relevance), np.array(masks, dtype=np.float64)
