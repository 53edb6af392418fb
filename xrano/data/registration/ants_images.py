"""Arrays and RAS+ grids to ANTs images and back, and how ANTs is loaded.

ITK's world is LPS+: x to the patient's left, y to the back. Voxel axes are the same on both
sides, so no voxel moves.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError
from xrano.geometry import Grid, as_shape

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Takes RAS+ to LPS+ millimetres, and back."""

THREADS_VARIABLE = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
"""ITK reads it once, when it first needs threads; later changes have no effect."""


def load_ants(threads: int | None = None) -> Any:
    """The module ``ants``.

    Args:
        threads: threads for ITK. Only the first call in a process decides; ``None`` leaves a
            value that the environment variable already has, and means 1 otherwise. With one
            thread the same call gives the same bits; with more, sums are taken in a changing
            order, and a registration may end 0.1 mm elsewhere.

    Raises:
        ConfigError: if antspyx is not installed (with the command that installs it), or
            ``threads`` is below 1.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be 1 or more, got {threads}")
    if "ants" not in sys.modules:
        if threads is not None:
            os.environ[THREADS_VARIABLE] = str(threads)
        else:
            os.environ.setdefault(THREADS_VARIABLE, "1")
    try:
        import ants
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"registration and bias correction need ANTs, but the module {error.name!r} is not "
            'installed; install it with: pip install "xrano[prepare]"'
        ) from error
    return ants


def to_ants(data: NDArray[Any], grid: Grid) -> Any:
    """An ANTs image (float32) of an array (i, j, k).

    Spacing is the length of the affine's columns, direction the rest: left-handed, oblique and
    even sheared affines are kept as they are.

    Raises:
        ConfigError: if antspyx is not installed.
        ValueError: if the array does not have the grid's shape.
    """
    if data.shape != grid.shape:
        raise ValueError(f"array of shape {data.shape} on a grid of shape {grid.shape}")
    spacing = np.array(grid.spacing)
    lps = LPS @ grid.affine
    return load_ants().from_numpy(
        np.ascontiguousarray(data, dtype=np.float32),
        origin=tuple(lps[:3, 3].tolist()),
        spacing=tuple(spacing.tolist()),
        direction=lps[:3, :3] / spacing,
    )


def ants_grid(image: Any) -> Grid:
    """The RAS+ grid of an ANTs image."""
    lps = np.eye(4)
    lps[:3, :3] = np.asarray(image.direction) * np.asarray(image.spacing)
    lps[:3, 3] = image.origin
    return Grid(as_shape(image.shape), LPS @ lps)


def from_ants(image: Any) -> tuple[NDArray[np.float32], Grid]:
    """The array (i, j, k) of an ANTs image and its RAS+ grid."""
    return np.asarray(image.numpy(), dtype=np.float32), ants_grid(image)
