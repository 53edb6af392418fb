"""Healthy tissue in the place of a lesion, so that a scan no longer tells of its tumour.

What is put there must not tell of it either. Its place is the same at every visit of a patient
(the union of all visits' lesions), and so is its pattern: between two scans nothing changes there.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.data.store import PreparedSession
from xrano.errors import ManifestError, VolumeError
from xrano.geometry import Grid, dilate_mm
from xrano.types import Mask

MARGIN_MM = 8.0
"""How far beyond a label tissue is replaced: labels end where the tumour has half a voxel, and
visits are not aligned better than about a millimetre."""

SMOOTHING_MM = 12.0
"""Standard deviation of the Gaussian that carries tissue in from around the lesion."""

_LEAST_WEIGHT = 1e-9


def lesion_place(sessions: Iterable[PreparedSession], grid: Grid) -> Mask:
    """Every voxel near a lesion of any session: what is to be erased from all of them.

    Args:
        sessions: those of one patient.
        grid: of the store.

    Returns:
        (i, j, k) within :data:`MARGIN_MM` of a label of any segmentation.

    Raises:
        ManifestError: if a session has no segmentation: where its lesion lies is not known.
    """
    found = np.zeros(grid.shape, dtype=bool)
    for session in sessions:
        if not session.segmentations:
            raise ManifestError(
                f"{session.patient_id} {session.session_id} has no segmentation in the store, so "
                "its tumour cannot be erased; add one and prepare again, or keep the tumours"
            )
        for labels, _ in session.segmentations.values():
            found |= labels > 0
    return dilate_mm(found, grid.spacing, MARGIN_MM)


def erased(
    volume: NDArray[np.float32],
    brain: Mask,
    place: Mask,
    grid: Grid,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """A scan with healthy tissue in the brain's part of a place.

    The tissue is the mean of what lies around, weighted by distance (normalised convolution,
    Knutsson and Westin, CVPR 1993), with white noise of the spread that is found around.

    Args:
        volume: (i, j, k) one scan.
        brain: (i, j, k) its brain.
        place: (i, j, k) what to replace.
        grid: theirs.
        rng: of the noise; one number a voxel of the whole grid is drawn, so that a stream gives a
            place the same pattern whatever the brain mask.

    Returns:
        A new array, equal to ``volume`` outside of the place and of the brain.

    Raises:
        VolumeError: if no brain is left around the place.
    """
    donors, region = brain & ~place, brain & place
    if not donors.any():
        raise VolumeError("the lesions fill the whole brain, so no healthy tissue is left to copy")
    sd = SMOOTHING_MM / np.array(grid.spacing)
    weight = ndimage.gaussian_filter(donors.astype(np.float64), sd, mode="constant")

    def around(values: NDArray[np.float64]) -> NDArray[np.float64]:
        # Farther than four SDs from any donor there is no weight, and all donors count alike.
        carried = ndimage.gaussian_filter(np.where(donors, values, 0.0), sd, mode="constant")
        everywhere = float(values[donors].mean())
        return np.divide(
            carried, weight, out=np.full_like(carried, everywhere), where=weight > _LEAST_WEIGHT
        )

    values = volume.astype(np.float64)
    level = around(values)
    spread = np.sqrt(around((values - level) ** 2))
    filled = level + spread * rng.standard_normal(volume.shape)
    return np.where(region, filled, values).astype(np.float32)
