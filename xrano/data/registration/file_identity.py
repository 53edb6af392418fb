"""What tells one state of a file from another without reading it."""

from __future__ import annotations

from pathlib import Path

from xrano.errors import VolumeError


def file_identity(path: Path) -> tuple[str | int, ...]:
    """Absolute path, bytes and time of change in ns.

    Raises:
        VolumeError: if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise VolumeError(f"{path} does not exist; an image file is needed")
    status = path.stat()
    return str(path.absolute()), status.st_size, status.st_mtime_ns
