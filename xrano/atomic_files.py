"""Files that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_UMASK = os.umask(0)
# It can only be read by setting it, so it is read once, before there are threads.
os.umask(_UMASK)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary path in the same folder, then rename it to ``path``.

    The temporary name keeps the suffixes (``.nii.gz``), since libraries choose the format by
    them. Parent folders are made. If ``write`` fails nothing is left behind.

    Raises:
        OSError: naming ``path``, if the folder may not be written or has no room.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        # Libraries that write say little of what stops them, and seldom where; Python does.
        temporary.touch()
        temporary.unlink()
        write(temporary)
        # Some libraries leave files that their owner alone may read, whatever the umask says.
        temporary.chmod(0o666 & ~_UMASK)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, older_than_s: float = 600.0) -> int:
    """Remove the temporary files that killed processes left below a folder; how many there were.

    Files of a process that lives, and young ones, which may be another machine's, stay.
    """
    removed = 0
    for path in Path(folder).rglob(".*-*"):
        number = path.name[1:].partition("-")[0]
        if not number.isdigit() or not path.is_file() or _is_alive(int(number)):
            continue
        if time.time() - path.stat().st_mtime >= older_than_s:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def json_text(value: Any) -> str:
    """JSON with sorted keys and no NaN, so that equal content gives equal bytes.

    Raises:
        TypeError: for a value that JSON does not know.
        ValueError: for NaN or infinity.
    """
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write :func:`json_text` atomically."""
    write_text(path, json_text(value))
