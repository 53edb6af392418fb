"""The header of a NIfTI file from anywhere, and the bytes behind it, read with suspicion.

A file is opened by what it holds, not by what it is called: a compressed one must be named ``.gz``
and the other way round. Extensions of the header are skipped, never interpreted.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from xrano.errors import VolumeError, XranoError

KINDS = ((nib.Nifti1Image, 348), (nib.Nifti2Image, 540))

BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    OverflowError,
    TypeError,
    ImageFileError,
    HeaderDataError,
    WrapStructError,
)
"""What a broken file leads its readers into."""

TEXT_FIELDS = ("descrip", "aux_file", "data_type", "db_name", "intent_name")
"""Fields of a header that hold free text."""

_POINTERS = (b"version ", b"/annex/")
"""How a file begins that stands for one that was not fetched."""


def header_text(path: str | PathLike[str]) -> dict[str, str]:
    """The free text that a header holds: who or what wrote it may have put a name there.

    Args:
        path: a NIfTI file.

    Returns:
        :data:`TEXT_FIELDS` (NIfTI-2 has no ``data_type`` and ``db_name``) and ``extensions``, the
        first megabyte of them as text; empty ones are left out.

    Raises:
        VolumeError: as :func:`open_checked`, as far as the header's own bytes tell.
    """
    path = Path(path)
    with named_errors(path):
        require_file(path)
        block, kind = header_block(path)
        header = kind.header_class(block, check=False)
        fields = [name for name in TEXT_FIELDS if name in header.keys()]  # noqa: SIM118
        found = {name: _text(header[name].item()) for name in fields}
        offset = min(int(header["vox_offset"]), len(block) + (1 << 20))
        with opened(path) as stream:
            content = stream.read(max(offset, len(block)))[len(block) :]
        found["extensions"] = _text(content[4:]) if content[:1].strip(b"\0") else ""
        return {name: text for name, text in found.items() if text}


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn whatever a broken file leads its reader into into an error that names the file.

    Raises:
        VolumeError: for every error but xrano's own and a lack of memory.
    """
    try:
        yield
    except (XranoError, MemoryError):
        raise
    except BROKEN as error:
        raise VolumeError(unreadable(path, f"{type(error).__name__}: {error}")) from error


def unreadable(path: Path, cause: str) -> str:
    """What to say of a file that cannot be read."""
    cause = " ".join(cause.split())
    return f"{path} cannot be read ({cause}); the file may be cut off or broken: copy it again"


def require_file(path: Path) -> None:
    """Refuse what is no file, or is named as an image of another kind.

    Raises:
        VolumeError: saying what it is.
    """
    if path.is_dir():
        raise VolumeError(f"{path} is a folder; a .nii or .nii.gz file is needed")
    if not path.is_file():
        raise VolumeError(f"{path} does not exist; a .nii or .nii.gz file is needed")
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return
    for kind in nib.imageclasses.all_image_classes:
        if path.name.lower().endswith(tuple(kind.valid_exts)):
            raise VolumeError(f"{path} is a {kind.__name__}; a NIfTI file is needed")
    raise VolumeError(f"{path} cannot be read: a file named .nii or .nii.gz is needed")


def is_pointer(path: Path) -> bool:
    """Whether a file only tells Git LFS or git-annex what to fetch.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(16).startswith(_POINTERS)


def is_packed(path: Path) -> bool:
    """Whether a file is named as a compressed one."""
    return path.name.lower().endswith(".gz")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The bytes of a file, unpacked if its name says that they are packed."""
    with path.open("rb") as file:
        start = file.peek(16)[:16]
        if start.startswith(_POINTERS):
            cause = "it is a pointer of Git LFS or git-annex; fetch its content first"
            raise VolumeError(unreadable(path, cause))
        packed = start.startswith(b"\x1f\x8b")
        if packed and not is_packed(path):
            raise VolumeError(unreadable(path, "it is compressed; name it .nii.gz"))
        if not packed and is_packed(path):
            cause = "it is empty" if not start else "it is named .gz and is not compressed by gzip"
            raise VolumeError(unreadable(path, cause))
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked


def header_block(path: Path) -> tuple[bytes, Any]:
    """The bytes of the header, and the class of its images."""
    with opened(path) as stream:
        start = stream.read(KINDS[-1][1])
    for kind, length in KINDS:
        block = start[:length]
        if len(block) == length and kind.header_class.may_contain_header(block):
            magic = kind.header_class(block, check=False)["magic"].item()
            if magic.rstrip(b"\0") != kind.header_class.single_magic.rstrip(b"\0"):
                raise VolumeError(
                    f"{path} is the header of a pair of files (.hdr and .img); one .nii or .nii.gz "
                    "file is needed"
                )
            return block, kind
    raise VolumeError(unreadable(path, "it has no header of NIfTI-1 or NIfTI-2"))


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace").replace("\0", " ").strip()
