"""The record of a unit: one method for one pair, written once all of its files are there.

``units/PAIR/METHOD.json`` holds ``key``, a hash of what the maps were made of, and ``files``: each
with its size in bytes, so that one that was cut off or removed since is known without reading it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xrano.atomic_files import write_json
from xrano.errors import VolumeError
from xrano.roots import lies_inside
from xrano.text_files import read_json

UNITS = "units"
"""The folder of the records."""


def write_unit(out: Path, pair_id: str, method: str, key: str, files: Iterable[Path]) -> None:
    """Write the record of a unit whose files, below ``out``, are all there."""
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in files}
    write_json(_record(out, pair_id, method), {"key": key, "files": sizes})


def is_whole(out: Path, pair_id: str, method: str, key: str) -> bool:
    """Whether a unit was made of the same things and all of its files are there and whole."""
    try:
        unit = read_json(_record(out, pair_id, method))
        there = all(
            lies_inside(out / name, out) and (out / name).stat().st_size == size
            for name, size in unit["files"].items()
        )
        return bool(unit["key"] == key and there)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def require_whole_units(folder: Path) -> None:
    """Refuse maps of which one was removed or cut off after it was finished.

    Args:
        folder: of maps, or one that holds such a folder; without records nothing is known.

    Raises:
        VolumeError: naming the file.
    """
    for out in (folder, folder.parent):
        for record in sorted((out / UNITS).glob("*/*.json")):
            for name, size in _files(record).items():
                path = out / name
                if folder not in path.parents or not lies_inside(path, out):
                    continue
                if not path.is_file():
                    raise VolumeError(f"{path} is missing; {_AGAIN}")
                if path.stat().st_size != size:
                    raise VolumeError(
                        f"{path} has {path.stat().st_size:,} bytes and was finished with {size:,}; "
                        f"{_AGAIN}"
                    )


_AGAIN = "run xrano explain again, which makes it anew"


def _files(record: Path) -> dict[str, int]:
    try:
        files = read_json(record)["files"]
        # Of an earlier version: names alone, so that nothing is known of their sizes.
        if isinstance(files, list):
            return {}
        return {str(name): int(size) for name, size in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VolumeError(f"{record} cannot be read ({error}); {_AGAIN}") from error


def _record(out: Path, pair_id: str, method: str) -> Path:
    return out / UNITS / pair_id / f"{method.replace(':', '-')}.json"
