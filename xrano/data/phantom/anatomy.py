"""Healthy anatomy of a phantom patient: the MNI152 templates, warped smoothly, no two alike.

Three spaces, all in world millimetres (RAS+): a visit's *scan*, whose voxels lie on the atlas
grid; the *patient*, reached from a scan by the visit's small rigid misalignment; and the
*template*, reached from the patient by a smooth warp. A scan is one interpolation of the
template, at the composition of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.geometry import Grid
from xrano.resampling import resample
from xrano.types import Affine, Mask

FIELD_OF_VIEW_MM = (182.0, 218.0, 182.0)
"""Extent of LUMIERE's atlas grid along i, j, k."""

LAS_CORNER_MM = (90.5, -126.5, -72.5)
"""World position of the outer corner of voxel (0, 0, 0); i runs to the patient's left."""

BRAIN_CENTRE_MM = np.array([0.0, -18.0, 8.0])

TISSUES = ("wm", "gm", "csf")

_WARP_NODE_MM = 25.0
_WARP_GRID_MM = 4.0
_WARP_SD_MM = 4.0
# A cubic B-spline of independent unit coefficients has this standard deviation, averaged over
# positions: (sum of squared weights, 0.479)^(3/2).
_SPLINE_SD = 0.479**1.5
_SHARPENING = 2.5

Points = NDArray[np.float64]


def atlas_grid(spacing_mm: float) -> Grid:
    """LUMIERE's atlas field of view at a spacing, corners of the first voxel aligned.

    Example:
        >>> atlas_grid(1.0).shape, atlas_grid(1.0).affine[:3, 3].tolist()
        ((182, 218, 182), [90.0, -126.0, -72.0])
        >>> atlas_grid(4.0).shape
        (46, 55, 46)
    """
    signs = np.array([-1.0, 1.0, 1.0])
    affine = np.diag([*(signs * spacing_mm), 1.0])
    affine[:3, 3] = np.array(LAS_CORNER_MM) + signs * spacing_mm / 2.0
    i, j, k = (int(np.ceil(extent / spacing_mm - 1e-9)) for extent in FIELD_OF_VIEW_MM)
    return Grid((i, j, k), affine)


@dataclass(frozen=True, eq=False)
class Template:
    """MNI152 on a working grid, filtered to what a scan of some spacing resolves.

    Attributes:
        grid: the working grid.
        brain: share of brain, 0 to 1.
        tissues: shares of white matter, grey matter and fluid within the brain; (3, i, j, k).
        detail: T1 intensity (white matter 0.87) beyond what the tissue shares explain.
    """

    grid: Grid
    brain: NDArray[np.float32]
    tissues: NDArray[np.float32]
    detail: NDArray[np.float32]


@lru_cache(maxsize=4)
def load_template(spacing_mm: float) -> Template:
    """The templates that nilearn ships, for scans of ``spacing_mm``; kept for the process."""
    from nilearn import datasets

    images = (
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
        datasets.load_mni152_template(resolution=1),
    )
    source = Grid(images[0].shape, images[0].affine)
    wm, gm, brain, t1 = (np.asarray(image.dataobj, dtype=np.float32) for image in images)
    tissues = _sharpen(np.stack([wm, gm, np.clip(1.0 - wm - gm, 0.0, 1.0)]))
    predicted = np.tensordot(np.array([0.87, 0.65, 0.28], np.float32), tissues, axes=1)
    detail = np.where(brain > 0, np.clip(t1 - predicted, -0.15, 0.15), 0.0).astype(np.float32)
    target = atlas_grid(max(1.0, spacing_mm / 2.0))
    sigma = 0.4 * float(np.sqrt(max(spacing_mm**2 - 1.0, 0.0)))

    def carry(values: NDArray[np.float32]) -> NDArray[np.float32]:
        smooth = ndimage.gaussian_filter(values, sigma) if sigma else values
        return np.asarray(resample(smooth, source, target), dtype=np.float32)

    shares = np.stack([carry(share * brain) for share in tissues])
    shares /= np.maximum(shares.sum(axis=0), 1e-6)
    return Template(target, carry(brain), shares, carry(detail))


def _sharpen(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Push a population's tissue probabilities towards one person's tissue."""
    powered = shares**_SHARPENING
    return np.asarray(powered / np.maximum(powered.sum(axis=0), 1e-6), dtype=np.float32)


def rotation(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (3, 3) rotation about x, then y, then z."""
    a, b, c = np.deg2rad(degrees)
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    about_z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)


def rigid(degrees: NDArray[np.float64], shift_mm: NDArray[np.float64]) -> Affine:
    """A (4, 4) rotation about the brain's centre followed by a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(degrees)
    matrix[:3, 3] = BRAIN_CENTRE_MM - matrix[:3, :3] @ BRAIN_CENTRE_MM + shift_mm
    return matrix


def draw_misalignment(rng: np.random.Generator, misalignment_mm: float) -> Affine:
    """A visit's rigid pose, scan to patient millimetres."""
    shift = rng.normal(0.0, misalignment_mm / np.sqrt(3.0), 3)
    return rigid(rng.normal(0.0, 0.5 * misalignment_mm, 3), shift)


@dataclass(frozen=True, eq=False)
class BrainVoxels:
    """The brain of one scan, voxel by voxel; all arrays have one entry (or row) a brain voxel.

    Attributes:
        grid: grid of the scan.
        mask: (i, j, k) the brain; ``mask.sum()`` is the number ``n`` of entries.
        points: (n, 3) patient millimetres.
        tissues: (3, n) shares of white matter, grey matter, fluid; they sum to 1.
        detail: (n,) T1 texture of the template.
    """

    grid: Grid
    mask: Mask
    points: Points
    tissues: NDArray[np.float32]
    detail: NDArray[np.float32]

    def fill(self, values: NDArray[Any]) -> NDArray[Any]:
        """The volume (i, j, k) with ``values`` in the brain and zero outside."""
        volume = np.zeros(self.grid.shape, dtype=values.dtype)
        volume[self.mask] = values
        return volume


@dataclass(frozen=True, eq=False)
class PatientAnatomy:
    """One person: an affine (4, 4) and a displacement (3, i, j, k) in mm on ``warp_grid``."""

    affine: Affine
    warp_grid: Grid
    displacement: NDArray[np.float32]

    def scan(
        self, template: Template, grid: Grid, pose: Affine, within: Mask | None = None
    ) -> BrainVoxels:
        """The brain as a scan on ``grid`` meets it.

        Args:
            template: from :func:`load_template` for the grid's spacing.
            grid: where the voxels of the scan lie, in scan millimetres.
            pose: (4, 4) scan to patient millimetres.
            within: (i, j, k) voxels outside of which there is surely no brain (saves time).
        """
        mask = np.ones(grid.shape, dtype=bool) if within is None else within.copy()
        points = grid.world(np.argwhere(mask)) @ pose[:3, :3].T + pose[:3, 3]
        where = self._template_voxels(template.grid, points)
        brain = _linear(template.brain, where) >= 0.5
        mask[mask] = brain
        where = where[:, brain]
        tissues = np.stack([_linear(share, where) for share in template.tissues])
        tissues /= np.maximum(tissues.sum(axis=0), 1e-6)
        return BrainVoxels(grid, mask, points[brain], tissues, _linear(template.detail, where))

    def _template_voxels(self, grid: Grid, points: Points) -> Points:
        node = self.warp_grid.voxel(points).T
        shift = np.stack([_linear(part, node, mode="nearest") for part in self.displacement], -1)
        return grid.voxel(points @ self.affine[:3, :3].T + self.affine[:3, 3] + shift).T


def _linear(
    values: NDArray[np.float32], where: Points, mode: Literal["constant", "nearest"] = "constant"
) -> NDArray[np.float32]:
    sampled = ndimage.map_coordinates(values, where, order=1, mode=mode)
    return np.asarray(sampled, dtype=np.float32)


def draw_anatomy(rng: np.random.Generator) -> PatientAnatomy:
    """A random person: size ±4 %, a slight tilt and shear, and a smooth warp of about 4 mm."""
    linear = rotation(rng.normal(0.0, 2.0, 3)) @ np.diag(np.exp(rng.normal(0.0, 0.04, 3)))
    linear = linear @ (np.eye(3) + np.triu(rng.normal(0.0, 0.02, (3, 3)), 1))
    affine = np.eye(4)
    affine[:3, :3] = linear
    shift = rng.normal(0.0, 1.5, 3)
    affine[:3, 3] = BRAIN_CENTRE_MM - linear @ BRAIN_CENTRE_MM + shift
    grid = atlas_grid(_WARP_GRID_MM)
    weights = [_spline_weights(size * _WARP_GRID_MM, size) for size in grid.shape]
    nodes = rng.normal(0.0, _WARP_SD_MM / _SPLINE_SD, (3, *(w.shape[1] for w in weights)))
    warp = np.einsum("cabd,ia,jb,kd->cijk", nodes, *weights, optimize=True)
    return PatientAnatomy(affine, grid, warp.astype(np.float32))


def _spline_weights(extent_mm: float, size: int) -> NDArray[np.float64]:
    """(size, nodes) weights of cubic B-splines with nodes every 25 mm over the extent."""
    nodes = int(np.ceil(extent_mm / _WARP_NODE_MM)) + 3
    position = (np.arange(size) + 0.5) * extent_mm / size / _WARP_NODE_MM + 1.0
    away = np.abs(position[:, None] - np.arange(nodes))
    near = 2.0 / 3.0 - away**2 + away**3 / 2.0
    far = np.clip(2.0 - away, 0.0, None) ** 3 / 6.0
    return np.where(away < 1.0, near, far)
