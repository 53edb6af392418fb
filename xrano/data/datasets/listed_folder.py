"""The files below a folder by name, each folder read once however often it is asked about."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path, PurePosixPath

from xrano.errors import ManifestError

_CHUNK = 1 << 20


class ListedFolder:
    """Answers which files there are below a folder; paths are told relative to it, with ``/``.

    Args:
        folder: need not exist; then it is empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._names: dict[str, frozenset[str]] = {}

    def file(self, place: str) -> str:
        """The absolute path of a file, or an empty string."""
        parent, _, name = place.rpartition("/")
        return str(self.folder / place) if name in self._listed(parent) else ""

    def image(self, stem: str) -> str:
        """The absolute path of ``stem.nii.gz`` or ``stem.nii``, or an empty string.

        Of two that hold the same, the compressed one is taken.

        Raises:
            ManifestError: if both are there and differ.
        """
        packed, plain = self.file(f"{stem}.nii.gz"), self.file(f"{stem}.nii")
        if packed and plain and not _same_content(Path(packed), Path(plain)):
            raise ManifestError(
                f"{packed} and {plain} are one image by name but hold different bytes; remove the "
                "wrong one"
            )
        return packed or plain

    def _listed(self, place: str) -> frozenset[str]:
        if place not in self._names:
            self._names[place] = _files(str(self.folder / PurePosixPath(place)))
        return self._names[place]


def _files(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        # Not there, or not to be listed: nothing in it can be read.
        return frozenset()


def _same_content(packed: Path, plain: Path) -> bool:
    with gzip.open(packed) as one, plain.open("rb") as two:
        try:
            while True:
                chunk = one.read(_CHUNK)
                if chunk != two.read(len(chunk) or 1):
                    return False
                if not chunk:
                    return True
        except (OSError, EOFError, zlib.error):
            return False
