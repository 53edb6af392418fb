"""The saved maps of one pair, as far as they can be read, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrano.checked_nifti import open_checked, read_voxels
from xrano.errors import VolumeError, XranoError
from xrano.geometry import image_grid
from xrano.map_files import load_map, sidecar_path
from xrano.maps import RESAMPLED, AttributionMap, in_common_world
from xrano.text_files import read_json
from xrano.viz.names import METHOD_NAMES


def saved_maps(
    paths: Iterable[Path], pair_id: str, classes: Sequence[str]
) -> tuple[list[AttributionMap], list[str]]:
    """Maps in the common world, methods and classes in order; what to tell of them.

    Of a map that lies there both on its feature grid and carried to the scan, the cells are
    taken, as in scoring. A value that is NaN or infinite counts as nothing. A file that cannot be
    read, or belongs to another pair, is left out, and the notes say so.

    Args:
        paths: files of :func:`xrano.map_files.save_map`.
        pair_id: the pair.
        classes: names of the classes, in the order in which they are shown.
    """
    notes: list[str] = []
    found: dict[tuple[str, ...], AttributionMap] = {}
    for path in sorted(Path(path) for path in paths):
        try:
            attribution = in_common_world(_read(path, notes))
        except XranoError as error:
            notes.append(f"A map is left out: {_without_folder(error, path)}.")
            continue
        if attribution.meta.get("pair_id") != pair_id:
            other = attribution.meta.get("pair_id")
            notes.append(f"A map is left out: {path.name} belongs to {other}.")
            continue
        known = found.get(_key(attribution))
        if known is None or known.meta.get(RESAMPLED):
            found[_key(attribution)] = attribution
    methods, targets = _places(METHOD_NAMES), _places(classes)
    maps = sorted(
        found.values(),
        key=lambda one: (
            methods.get(_method(one)[0], len(methods)),
            _method(one),
            targets.get(str(one.meta.get("target_name")), len(targets)),
        ),
    )
    return maps, notes


def _without_folder(error: XranoError, path: Path) -> str:
    """A message without the folders of whoever wrote the page."""
    return str(error).replace(f"{path.parent}/", "").rstrip(".")


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _method(attribution: AttributionMap) -> tuple[str, ...]:
    names = ("method", "baseline", "layer", "weights")
    return tuple(str(attribution.meta.get(name) or "") for name in names)


def _key(attribution: AttributionMap) -> tuple[str, ...]:
    return (*_method(attribution), str(attribution.meta.get("target_name") or ""))


def _read(path: Path, notes: list[str]) -> AttributionMap:
    try:
        return load_map(path)
    except VolumeError:
        repaired = _without_holes(path)
        if repaired is None:
            raise
        attribution, holes = repaired
        notes.append(
            f"{holes} values of {path.name} are NaN or infinite; they are shown as nothing, and "
            "the map cannot be scored."
        )
        return attribution


def _without_holes(path: Path) -> tuple[AttributionMap, int] | None:
    """The map with 0 where it is not finite and how many those are; ``None`` if that is not all."""
    try:
        meta: Mapping[str, Any] = read_json(sidecar_path(path))
        image: Any = open_checked(path)
        data = np.asarray(read_voxels(path, image), dtype=np.float32)
        channels = tuple(meta["channels"])
        rest = {name: value for name, value in meta.items() if name not in ("channels", "grid")}
        holes = ~np.isfinite(data)
        data = np.where(holes, np.float32(0), data)
        data = data[None] if data.ndim == 3 else np.moveaxis(data, -1, 0)
        grid = image_grid(image)
        return AttributionMap(np.ascontiguousarray(data), grid, channels, rest), int(holes.sum())
    except (OSError, ValueError, KeyError, TypeError):
        return None
