"""What a folder holds, file by file, so that two runs can be compared; and whether a file is whole.

Hidden files are temporary: nothing reads them, so nothing is compared.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from safetensors import SafetensorError, safe_open

CHECKSUMS = "checksums.json"
"""Of a prepared store."""

_CHUNK = 1 << 20


def visible_files(folder: Path) -> list[Path]:
    """Every file below a folder that a reader may find; one that goes meanwhile is left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every visible file's content, by its name relative to the folder.

    Content is the bytes, but of a zip (``resume.pt``) its members: torch names them by the
    temporary file that it wrote. Of a prepared session it is all but ``key``, which holds the times
    of the scans' files: a study that is begun anew makes its phantom anew. Of a checksum of such a
    file it is therefore whether it is right.
    """
    return {path.relative_to(folder).as_posix(): digest(path) for path in visible_files(folder)}


def digest(path: Path) -> str:
    """SHA-256 of one file's content."""
    found = hashlib.sha256()
    if path.parent.parent.name == "sessions":
        found.update(_session(path))
    elif path.name == CHECKSUMS:
        found.update(_checksums(path))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            for name in sorted(packed.namelist()):
                found.update(name.partition("/")[2].encode() + b"\0")
                found.update(packed.read(name))
    else:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    return found.hexdigest()


def _session(path: Path) -> bytes:
    """A prepared session, or the record of one, without what depends on the times of files."""
    try:
        return _without_times(path)
    except (OSError, ValueError, KeyError, SafetensorError):
        # Half a file is a content of its own.
        return path.read_bytes()


def _without_times(path: Path) -> bytes:
    if path.suffix == ".json":
        record = json.loads(path.read_text(encoding="utf-8"))
        right = record["sha256"] == _sha256(path.with_suffix(".safetensors"))
        return json.dumps({**record, "key": "", "sha256": right}, sort_keys=True).encode()
    with safe_open(path, framework="np") as file:
        details = {**json.loads(file.metadata()["xrano"]), "key": ""}
        tensors = [(name, file.get_tensor(name).tobytes()) for name in sorted(file.keys())]
    parts = [json.dumps(details, sort_keys=True).encode()]
    return b"\0".join([*parts, *(name.encode() + data for name, data in tensors)])


def _checksums(path: Path) -> bytes:
    try:
        sums, wrong = _sums(path), _wrong_sums(path)
    except ValueError:
        return path.read_bytes()
    return json.dumps({name: name not in wrong for name in sums}, sort_keys=True).encode()


def _sums(path: Path) -> dict[str, str]:
    """Checksums of a store by the name of the session's file."""
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _wrong_sums(path: Path) -> list[str]:
    return [name for name, value in _sums(path).items() if _sha256(path.parent / name) != value]


def _sha256(path: Path) -> str:
    """Of a file's bytes; empty if there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Names of files that are missing, too many, or of other content than expected."""
    found = digests(folder)
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]


def half_written(folder: Path) -> list[str]:
    """Files that a reader would take for whole and that are not, each with what is wrong."""
    found = []
    for path in visible_files(folder):
        try:
            _read_through(path)
        except Exception as error:
            # Whatever a broken file leads its reader into.
            found.append(f"{path.relative_to(folder).as_posix()} ({type(error).__name__}: {error})")
    return found


def _read_through(path: Path) -> None:
    if path.name == CHECKSUMS:
        _require_right(_wrong_sums(path))
    elif path.parent.parent.name == "sessions" and path.suffix == ".json":
        beside, record = path.with_suffix(".safetensors"), json.loads(path.read_text("utf-8"))
        # A record whose file has gone is nobody's: the session is made again.
        wrong = beside.is_file() and record["sha256"] != _sha256(beside)
        _require_right([beside.name] if wrong else [])
    for suffix, read in _READERS.items():
        if path.name.endswith(suffix):
            read(path)
            return
    raise ValueError(f"no reader of {path.suffix} files is known here")


def _require_right(wrong: list[str]) -> None:
    if wrong:
        raise ValueError(f"its checksum of {wrong[0]} is wrong")


def _read_json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


def _read_lines(path: Path) -> None:
    _require_last_line(path)
    for line in path.read_text(encoding="utf-8").splitlines():
        json.loads(line)


def _read_yaml(path: Path) -> None:
    _require_last_line(path)
    yaml.safe_load(path.read_text(encoding="utf-8"))


def _read_tensors(path: Path) -> None:
    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118
            file.get_tensor(name)


def _unpack(path: Path) -> None:
    with gzip.open(path) as unpacked:
        while unpacked.read(_CHUNK):
            pass


def _unzip(path: Path) -> None:
    with zipfile.ZipFile(path) as packed:
        broken = packed.testzip()
        if broken:
            raise ValueError(f"{broken} is broken")


def _require_last_line(path: Path) -> None:
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError("its last line has no end")


def _require_end(path: Path) -> None:
    if not path.read_bytes().rstrip().endswith(_ENDS[path.suffix]):
        raise ValueError("its end is missing")


_ENDS = {".png": b"IEND\xaeB`\x82", ".html": b"</html>", ".parquet": b"PAR1", ".svg": b"</svg>"}
"""How whole files of a kind end."""

_READERS: Mapping[str, Callable[[Path], None]] = {
    ".json": _read_json,
    ".jsonl": _read_lines,
    ".yaml": _read_yaml,
    **dict.fromkeys((".csv", ".sha256", ".md"), _require_last_line),
    ".safetensors": _read_tensors,
    ".gz": _unpack,
    ".pt": _unzip,
    **dict.fromkeys(_ENDS, _require_end),
}
"""By the end of a file's name: what raises an error if the file is not whole."""
