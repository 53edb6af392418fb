"""Tiny image files on an oblique, anisotropic grid, for trees that tests make."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (7, 9, 5)
SPACING = (1.5, 0.8, 3.0)
VOXEL_ML = 1.5 * 0.8 * 3.0 / 1000


def oblique_affine() -> np.ndarray:
    """A rotation by 20° about k and 35° about j of anisotropic voxels, with a flipped i."""
    a, b = np.deg2rad([20, 35])
    about_k = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    about_j = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    affine = np.eye(4)
    affine[:3, :3] = np.array(about_k) @ np.array(about_j) @ np.diag(SPACING) @ np.diag([-1, 1, 1])
    affine[:3, 3] = (12.5, -30.25, 4.0)
    return affine


def write_image(path: Path, value: float = 1.0) -> Path:
    data = np.zeros(SHAPE, dtype=np.float32)
    data[1:-1, 2:-2, 1:-1] = value
    return _write(path, data)


def write_labels(path: Path, counts: dict[int, int], dtype: type = np.uint8) -> Path:
    """A segmentation with so many voxels of each label."""
    flat = np.zeros(np.prod(SHAPE), dtype=dtype)
    start = 11
    for label, count in counts.items():
        flat[start : start + count] = label
        start += count
    return _write(path, flat.reshape(SHAPE))


def _write(path: Path, data: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, oblique_affine()), path)
    return path
