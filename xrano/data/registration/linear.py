"""Rigid and affine registration of two images by ANTs' mutual information."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from xrano.data.registration.ants_images import load_ants, to_ants
from xrano.data.registration.itk_transforms import read_itk_transform, write_itk_transform
from xrano.data.registration.motion import inverse
from xrano.data.registration.settings import Kind
from xrano.data.registration.similarity import shared_information
from xrano.errors import GridMismatchError, UnknownNameError, VolumeError
from xrano.geometry import Grid
from xrano.types import Affine, Mask

SEED = 20
"""Seed of the points at which ANTs samples the images."""

_ITERATIONS = (2100, 1200, 1200, 10)
_LEVELS_MM = (6.0, 4.0, 2.0, 1.0)
_SMOOTHING_MM = (3.0, 2.0, 1.0, 0.0)
_SAMPLED_SHARE = 0.2
_SEED_VARIABLE = "ANTS_RANDOM_SEED"


@dataclass(frozen=True, eq=False)
class LinearRegistration:
    """Where a moving image lies in the world of a fixed one.

    Attributes:
        matrix: (4, 4) moving world to fixed world, RAS+ mm. The moving image lies on the fixed
            world as ``Grid(shape, matrix @ affine)``.
        before: mutual information in nats with the worlds as they are.
        after: the same with ``matrix``.
    """

    matrix: Affine
    before: float
    after: float


def register(
    moving: NDArray[Any],
    moving_grid: Grid,
    fixed: NDArray[Any],
    fixed_grid: Grid,
    *,
    kind: Kind = "rigid",
    moving_mask: Mask | None = None,
    fixed_mask: Mask | None = None,
    initial: Affine | None = None,
    seed: int = SEED,
    threads: int | None = None,
) -> LinearRegistration:
    """Register a moving image to a fixed one, of the same or of another sequence.

    ANTs' defaults (Mattes mutual information, 32 bins, a fifth of the voxels), with its four
    resolutions given in millimetres: coarse images are shrunk less, fine ones more. An affine
    registration starts from a rigid one. With one thread the result is the same, bit for bit,
    each time; see :func:`~xrano.data.registration.ants_images.load_ants`.

    Args:
        moving: (i, j, k).
        moving_grid: its grid.
        fixed: (i, j, k).
        fixed_grid: its grid.
        kind: ``rigid`` (6 parameters) or ``affine`` (12).
        moving_mask: where the moving image counts; everywhere by default.
        fixed_mask: where the fixed image counts.
        initial: (4, 4) moving world to fixed world to start from. ``None`` starts from the worlds
            as they are, or from one centre of mass on the other, whichever shares more
            information.
        seed: seed of ANTs' sampling, 1 or more.
        threads: threads for ITK, if it is not loaded yet; 1 by default.

    Returns:
        The matrix, and mutual information before and after.

    Raises:
        UnknownNameError: if ``kind`` is unknown.
        GridMismatchError: if an array or a mask does not have its grid's shape.
        VolumeError: if an image is constant, or ANTs finds no transform.
        ConfigError: if antspyx is not installed.
    """
    if kind not in get_args(Kind):
        raise UnknownNameError("kind", kind, get_args(Kind))
    for name, data, mask, grid in (
        ("moving", moving, moving_mask, moving_grid),
        ("fixed", fixed, fixed_mask, fixed_grid),
    ):
        _require_usable(name, data, mask, grid)
    load_ants(threads)

    def shared(matrix: Affine) -> float:
        return shared_information(
            moving, moving_grid, fixed, fixed_grid, matrix, fixed_mask=fixed_mask
        )

    before = shared(np.eye(4))
    if initial is None:
        centred = _centre_shift(moving, moving_grid, fixed, fixed_grid)
        initial = centred if shared(centred) > before else np.eye(4)
    images = {
        "moving": to_ants(moving, moving_grid),
        "fixed": to_ants(fixed, fixed_grid),
        "moving_mask": None if moving_mask is None else to_ants(moving_mask, moving_grid),
        "mask": None if fixed_mask is None else to_ants(fixed_mask, fixed_grid),
    }
    finest = min(*fixed_grid.spacing)
    matrix = _run("Rigid", images, initial, finest, seed)
    if kind == "affine":
        matrix = _run("Affine", images, matrix, finest, seed)
    after = shared(matrix)
    if not after > 0:
        # ANTs returns where it stands, without a word, when the images do not meet.
        raise VolumeError(f"ANTs found no {kind} transform: with its result the images do not meet")
    return LinearRegistration(matrix, before, after)


def _require_usable(name: str, data: NDArray[Any], mask: Mask | None, grid: Grid) -> None:
    for what, array in ((name, data), (f"{name} mask", mask)):
        if array is not None and array.shape != grid.shape:
            raise GridMismatchError(
                f"the {what} image has shape {array.shape}, its grid {grid.shape}"
            )
    if not np.isfinite(data).all():
        raise VolumeError(f"the {name} image holds NaN or infinite voxels")
    if data.min() == data.max():
        raise VolumeError(f"the {name} image is {data.flat[0]:g} everywhere")
    if mask is not None and not mask.any():
        raise VolumeError(f"the {name} image's mask is empty")


def _centre_shift(
    moving: NDArray[Any], moving_grid: Grid, fixed: NDArray[Any], fixed_grid: Grid
) -> Affine:
    """The shift that puts one centre of mass on the other."""
    matrix = np.eye(4)
    matrix[:3, 3] = _centre(fixed, fixed_grid) - _centre(moving, moving_grid)
    return matrix


def _centre(data: NDArray[Any], grid: Grid) -> NDArray[np.float64]:
    mass = np.clip(data, 0, None).astype(np.float64)
    total = mass.sum()
    if not total:
        return np.asarray(apply_affine(grid.affine, (np.array(grid.shape) - 1) / 2))
    index = [
        float(mass.sum(axis=tuple({0, 1, 2} - {axis})) @ np.arange(size) / total)
        for axis, size in enumerate(grid.shape)
    ]
    return np.asarray(apply_affine(grid.affine, index), dtype=np.float64)


def _run(name: str, images: dict[str, Any], initial: Affine, finest_mm: float, seed: int) -> Affine:
    shrink = tuple(max(1, round(level / finest_mm)) for level in _LEVELS_MM)
    # ANTs leaves its transform where it is told to; the folder takes it away.
    with tempfile.TemporaryDirectory(prefix="xrano-") as folder, _seeded(seed):
        start = Path(folder) / "initial.txt"
        write_itk_transform(start, inverse(initial))
        try:
            found = load_ants().registration(
                **images,
                type_of_transform=name,
                initial_transform=[str(start)],
                outprefix=str(Path(folder) / "found"),
                aff_iterations=_ITERATIONS,
                aff_shrink_factors=shrink,
                aff_smoothing_sigmas=_SMOOTHING_MM,
                smoothing_in_mm=True,
                aff_random_sampling_rate=_SAMPLED_SHARE,
            )
            (path,) = found["fwdtransforms"]
            fixed_to_moving = read_itk_transform(path)
        except (RuntimeError, ValueError) as error:
            raise VolumeError(f"ANTs found no {name.lower()} transform: {error}") from error
    return inverse(fixed_to_moving)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The seed where ANTs looks for it, and afterwards what was there."""
    earlier = os.environ.get(_SEED_VARIABLE)
    os.environ[_SEED_VARIABLE] = str(seed)
    try:
        yield
    finally:
        if earlier is None:
            del os.environ[_SEED_VARIABLE]
        else:
            os.environ[_SEED_VARIABLE] = earlier
