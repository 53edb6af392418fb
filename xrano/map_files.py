"""Attribution maps on disk: NIfTI with a JSON sidecar, named as BIDS derivatives.

Values are float32, or int16 with a slope where disk is short; then none is off by more than half
the slope, which the sidecar states as ``error_bound``, and zero stays zero. Equal maps give equal
bytes.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from xrano.atomic_files import json_text, write_atomically, write_json, write_text
from xrano.checked_nifti import open_checked, read_voxels
from xrano.errors import ConfigError, GridMismatchError, UnknownNameError, VolumeError
from xrano.geometry import Grid, as_shape, image_grid
from xrano.maps import AttributionMap
from xrano.roots import lies_inside
from xrano.text_files import read_json

Storage = Literal["float32", "int16"]
STORAGES = ("float32", "int16")
"""How values are kept in a file."""

_SLOPE_AT = 112
"""Where a NIfTI header holds scl_slope and, after it, scl_inter (nifti1.h)."""


def save_map(
    attribution: AttributionMap,
    folder: Path,
    *,
    reference: nib.Nifti1Image | None = None,
    storage: Storage = "float32",
) -> Path:
    """Write a map as ``.nii.gz`` with a ``.json`` beside it, both whole or not at all.

    Args:
        attribution: the map; the file's name follows from :attr:`AttributionMap.stem`.
        folder: output folder.
        reference: image on the same grid whose sform and qform codes are taken over; codes 2
            (aligned) otherwise.
        storage: ``float32``, or ``int16`` for half the size before compression.

    Returns:
        The path of the image.

    Raises:
        GridMismatchError: if the reference lies on another grid.
        ConfigError: if the map's ``meta`` lacks what the name is made of, or holds no JSON values.
        UnknownNameError: for another storage.
    """
    if storage not in STORAGES:
        raise UnknownNameError("storage", storage, STORAGES)
    folder = Path(folder)
    path = folder / f"{attribution.stem}.nii.gz"
    data: NDArray[Any] = attribution.data
    slope = 1.0
    details: dict[str, Any] = {}
    if storage == "int16":
        data, slope = quantised(attribution.data)
        details = {"storage": storage, "error_bound": slope / 2}
    image = _image(attribution, data, reference)
    sidecar = _sidecar(attribution, details, path.name)
    write_description(folder)
    # A map with a sidecar is a whole map: an older one goes first, the new one comes last.
    sidecar_path(path).unlink(missing_ok=True)
    if storage == "int16":
        content = _with_slope(image, slope)
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
    else:
        write_atomically(path, lambda temporary: nib.save(image, temporary))
    write_text(sidecar_path(path), sidecar)
    return path


def quantised(data: NDArray[np.float32]) -> tuple[NDArray[np.int16], float]:
    """Whole steps of one size: ``(steps, slope)`` with ``|steps · slope − data| ≤ slope / 2``.

    Example:
        >>> steps, slope = quantised(np.array([0.0, -2.0, 1.0], dtype=np.float32))
        >>> steps.tolist(), round(slope * 32767, 6)
        ([0, -32767, 16384], 2.0)
    """
    largest = float(np.abs(data).max(initial=0.0))
    # As float32, since that is what the header holds.
    slope = float(np.float32(largest / 32767)) or 1.0
    steps = np.clip(np.rint(data.astype(np.float64) / slope), -32767, 32767)
    return steps.astype(np.int16), slope


def _with_slope(image: nib.Nifti1Image, slope: float) -> bytes:
    """The image's file with a slope of our own; nibabel would choose one, and an offset."""
    content = bytearray(image.to_bytes())
    struct.pack_into("<ff", content, _SLOPE_AT, slope, 0.0)
    return gzip.compress(bytes(content), compresslevel=6, mtime=0)


def _sidecar(attribution: AttributionMap, details: dict[str, Any], name: str) -> str:
    content = {
        **attribution.meta,
        **details,
        "channels": list(attribution.channels),
        "grid": list(attribution.grid.shape),
    }
    try:
        return json_text(content)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the meta of {name} must hold JSON values: {error}") from error


def _image(
    attribution: AttributionMap, data: NDArray[Any], reference: nib.Nifti1Image | None
) -> nib.Nifti1Image:
    grid = attribution.grid
    moved = data[0] if len(attribution.channels) == 1 else np.moveaxis(data, 0, -1)
    image = nib.Nifti1Image(np.ascontiguousarray(moved), grid.affine)
    sform_code = qform_code = 2
    if reference is not None:
        other = image_grid(reference)
        if not other.matches(grid):
            raise GridMismatchError(f"map on {grid}, its reference image on {other}")
        sform_code = int(reference.header["sform_code"])
        qform_code = int(reference.header["qform_code"])
        if sform_code == qform_code == 0:
            sform_code = 2
    image.set_sform(grid.affine, code=sform_code)
    image.set_qform(grid.affine, code=qform_code)
    image.header.set_xyzt_units("mm")
    return image


def load_map(path: Path) -> AttributionMap:
    """Read a map written by :func:`save_map`; an int16 one comes back within its error bound.

    Raises:
        VolumeError: if the image or its sidecar is missing or broken, or one is not the other's.
    """
    path = Path(path)
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        raise VolumeError(f"{path} has no sidecar {sidecar.name}: not a finished xrano map")
    try:
        meta = read_json(sidecar)
    except (OSError, ValueError) as error:
        raise VolumeError(
            f"cannot read the map {path}: {sidecar.name} is broken ({error})"
        ) from error
    channels = meta.pop("channels", None) if isinstance(meta, dict) else None
    if not isinstance(channels, list) or not all(isinstance(name, str) for name in channels):
        raise VolumeError(f"{sidecar} names no channels: not the sidecar of an xrano map")
    meta.pop("grid", None)
    image = open_checked(path)
    if image.ndim not in (3, 4):
        raise VolumeError(f"{path} has shape {image.shape}; three axes, or four, are needed")
    with np.errstate(over="ignore"):
        data = np.asarray(read_voxels(path, image), dtype=np.float32)
    data = data[None] if data.ndim == 3 else np.moveaxis(data, -1, 0)
    try:
        grid = Grid(as_shape(data.shape[1:]), image.affine)
        return AttributionMap(np.ascontiguousarray(data), grid, tuple(channels), meta)
    except (GridMismatchError, VolumeError) as error:
        raise VolumeError(f"cannot read the map {path}: {error}") from error


def find_maps(folder: Path) -> list[Path]:
    """All finished maps below a folder, sorted.

    Raises:
        VolumeError: if a map or its sidecar is a link that leads out of the folder.
    """
    found = sorted(Path(folder).rglob("*_statmap.nii.gz"))
    whole = [path for path in found if sidecar_path(path).is_file()]
    for path in whole:
        for file in (path, sidecar_path(path)):
            if not lies_inside(file, folder):
                raise VolumeError(
                    f"{file} leads to {file.resolve()}, outside of {folder}; put the map there "
                    "itself, or name the folder that holds it"
                )
    return whole


def sidecar_path(path: Path) -> Path:
    """The JSON file beside a map."""
    return path.with_name(path.name.removesuffix(".nii.gz") + ".json")


def write_description(folder: Path) -> None:
    """Write the ``dataset_description.json`` that BIDS derivatives need.

    One that is there stays, unless it is no JSON.
    """
    path = Path(folder) / "dataset_description.json"
    try:
        read_json(path)
    except (OSError, ValueError):
        description = {
            "Name": "xrano attribution maps",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "xrano"}],
        }
        write_json(path, description)
