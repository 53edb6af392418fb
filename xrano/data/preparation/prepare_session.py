"""One session onto the common grid: read, correct, move once, and count what is labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.data.datasets.measured_volumes import MEASURED_VOLUMES, check_measured_volumes
from xrano.data.label_schemes import REGIONS, has_region, region_mask
from xrano.data.preparation.placed_session import (
    PlacedSession,
    ToCommon,
    read_brain,
    read_segmentation,
    read_session,
    same_world,
)
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import PreparedSession
from xrano.data.volumes import Scan, Segmentation
from xrano.errors import VolumeError
from xrano.geometry import Grid, to_ras
from xrano.resampling import resample
from xrano.types import Mask


def prepare_session(
    row: Mapping[str, Any],
    segmentations: Sequence[Mapping[str, Any]],
    names: tuple[str, ...],
    grid: Grid,
    *,
    to_common: ToCommon | None = None,
    alignment: Mapping[str, Any] | None = None,
    settings: PrepareSettings | None = None,
    key: str = "",
) -> tuple[PreparedSession, list[dict[str, object]]]:
    """Read a session and bring it to a grid.

    Args:
        row: its row of the sessions table.
        segmentations: its rows of the segmentations table.
        names: sequences to read, as far as the session has them.
        grid: the grid wanted, in the common world.
        to_common: matrices from the files' worlds to the common world; none if that is theirs.
        alignment: how those were found, to be kept.
        settings: corrections and which affines hold.
        key: hash of what the session is made from.

    Returns:
        The session, and the volume in ml of each region of each segmentation, counted on the
        segmentation's own grid.

    Raises:
        VolumeError, GridMismatchError, LabelSchemeError, ManifestError: naming the file.
    """
    settings = settings or PrepareSettings()
    place = read_session(row, names, to_common or same_world(names), settings.affine_from)
    brain, brain_grid = read_brain(row, names, place.to_common, settings.affine_from, place.scans)
    on_grid = resample(brain, brain_grid, grid, order=0)
    labelled, volumes = _segmentations(place, segmentations, grid)
    images, scale = {}, {}
    for name, scan in place.scans.items():
        data = _corrected(scan, place.grid(name), brain, brain_grid, settings)
        images[name], scale[name] = _to_grid(data, place.grid(name), grid, on_grid, scan)
    session = PreparedSession(
        patient_id=row["patient_id"],
        session_id=row["session_id"],
        sequences=images,
        brain=on_grid,
        segmentations=labelled,
        scale=scale,
        key=key,
        sources={name: _source(place, name) for name in place.scans},
        alignment=dict(alignment) if alignment else {},
    )
    return session, volumes


def _source(place: PlacedSession, name: str) -> dict[str, Any]:
    scan = place.scans[name]
    return {
        "file": scan.path.name,
        "shape": list(scan.grid.shape),
        "affine": scan.grid.affine.tolist(),
        "to_common": np.asarray(place.to_common[name]).tolist(),
    }


def _segmentations(
    place: PlacedSession, items: Sequence[Mapping[str, Any]], grid: Grid
) -> tuple[dict[str, Any], list[dict[str, object]]]:
    """Labels on the grid by source, and the volumes of their regions."""
    labelled: dict[str, Any] = {}
    volumes: list[dict[str, object]] = []
    for item in items:
        found, placed = read_segmentation(place, item)
        if item["scheme"] == "lumiere-deepbratumia":
            measured = found.path.with_name(MEASURED_VOLUMES)
            check_measured_volumes(found.labels, 1000 * found.grid.voxel_ml, measured)
        labelled[item["source"]] = (
            resample(found.labels, placed, grid, order=0),
            item["scheme"],
        )
        volumes += _region_volumes(place.row, item["source"], found)
    return labelled, volumes


def _region_volumes(
    row: Mapping[str, Any], source: str, found: Segmentation
) -> list[dict[str, object]]:
    return [
        {
            "patient_id": row["patient_id"],
            "session_id": row["session_id"],
            "source": source,
            "region": region,
            "ml": region_mask(found.labels, found.scheme, region).sum() * found.grid.voxel_ml,
        }
        for region in REGIONS
        if has_region(found.scheme, region)
    ]


def _corrected(
    scan: Scan, placed: Grid, brain: Mask, brain_grid: Grid, settings: PrepareSettings
) -> NDArray[np.float32]:
    """The scan after the corrections asked for, on its own grid, where noise and bias arose."""
    if not (settings.n4 or settings.denoise):
        return scan.data
    from xrano.data.registration.corrections import correct_bias, denoise

    mask = resample(brain, brain_grid, placed, order=0)
    data = scan.data
    if settings.n4:
        data = correct_bias(data, scan.grid, mask)
    if settings.denoise:
        data = denoise(data, scan.grid, mask)
    return data


def _to_grid(
    values: NDArray[np.float32], placed: Grid, grid: Grid, brain: Mask, scan: Scan
) -> tuple[NDArray[np.float16], float]:
    """A scan on the grid as float16 with its scale: the 99.9th percentile of the brain is 1."""
    # Turned first, so that axis n of the scan is axis n of the grid.
    data, source = to_ras(values, placed.affine)
    # Without a smoothing as wide as the new voxels, coarse sampling would alias.
    ratio = np.array(grid.spacing) / np.array(source.spacing)
    sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / 2.355
    if (ratio > 1.01).any():
        data = ndimage.gaussian_filter(data, sigma)
    moved = resample(data, source, grid)
    scale = float(np.percentile(np.abs(moved[brain]), 99.9)) if brain.any() else 0.0
    if not scale > 0:
        raise VolumeError(f"{scan.path} shows nothing inside the brain")
    # Far outliers would overflow float16; sixty times the brain's brightest is an artefact.
    return np.clip(moved / scale, -60000, 60000).astype(np.float16), scale
