"""Errors in one line each, with the cause and the way out, and the exit status that goes with it.

======  =================================================================
status  meaning
======  =================================================================
0       done
1       something that its user can mend; the line says what
2       the command line is wrong
70      a bug in xrano
130     stopped by Ctrl-C
143     stopped by SIGTERM, such as by SLURM before it takes a machine away
======  =================================================================
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xrano.errors import XranoError, is_out_of_memory

MENDABLE, USAGE, BUG, INTERRUPTED, TERMINATED = 1, 2, 70, 130, 143

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_WORDS = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|StorageFull"
    # torch.save and numpy's tofile say no more than this.
    r"|PytorchStreamWriter failed writing|inline_container.*unexpected pos"
    r"|^\d+ requested and \d+ written$"
)
_PEER_GONE = re.compile(r"Connection (closed|reset) by peer|gloo/transport|NCCL error")
_PEER_ERRORS = ("DistBackendError", "DistNetworkError", "DistStoreError")
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)

_TOO_MUCH_MEMORY = "use a coarser spacing, a smaller batch or network, or fewer --jobs"


@dataclass(frozen=True)
class Complaint:
    """What is said about an error, and the exit status."""

    status: int
    line: str


def complaint(error: BaseException, place: Path | None = None) -> Complaint:
    """What to say about an error.

    Args:
        error: anything that ended a command.
        place: the folder that the command writes to, if it is known; errors of writing seldom
            name their file.

    Example:
        >>> complaint(KeyError("scan")).line.startswith("KeyError: 'scan'; this is a bug in xrano")
        True
    """
    if isinstance(error, KeyboardInterrupt):
        return Complaint(INTERRUPTED, "stopped; run the same command again to go on")
    if isinstance(error, XranoError):
        return _mendable(str(error))
    if isinstance(error, ModuleNotFoundError):
        said = _missing_package(error)
        return _bug(error) if said is None else _mendable(said)
    if isinstance(error, OSError) or _no_room(error):
        return _mendable(_of_files(error, place))
    if is_out_of_memory(error):
        return _mendable(f"out of memory ({error or 'no more than that'}); {_TOO_MUCH_MEMORY}")
    if _PEER_GONE.search(str(error)) or type(error).__name__ in _PEER_ERRORS:
        return _mendable(
            "another process of this training has gone, most often because memory ran out; run "
            "the same command again to go on"
        )
    if type(error).__name__ in ("TerminatedWorkerError", "BrokenProcessPool"):
        return _mendable(
            "a worker process was killed, most often because memory ran out; use fewer --jobs, or "
            f"{_TOO_MUCH_MEMORY.partition(', or')[0]}"
        )
    return _bug(error)


def stopped_by_sigterm() -> Complaint:
    """What to say when SIGTERM came."""
    return Complaint(
        TERMINATED,
        "told to stop (SIGTERM); what is finished is kept: run the same command again to go on",
    )


def _mendable(text: str) -> Complaint:
    return Complaint(MENDABLE, " ".join(text.split()))


def _bug(error: BaseException) -> Complaint:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return Complaint(
        BUG, f"{said}; this is a bug in xrano: run again with --debug and report what it says"
    )


def _missing_package(error: ModuleNotFoundError) -> str | None:
    """What to install; ``None`` if the module is xrano's own."""
    from xrano.doctor.extras import install_line

    module = (error.name or "").partition(".")[0]
    return None if module in ("", "xrano") else install_line(module)


def _of_files(error: BaseException, place: Path | None) -> str:
    number = getattr(error, "errno", None)
    named = getattr(error, "filename", None)
    path = Path(str(named)) if named else place
    words = getattr(error, "strerror", None) or str(error)
    if path is None:
        return str(error)
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        file = next((one for one in (path, *path.parents) if one.is_file()), path)
        return f"a folder is needed, but {file} is a file; name another"
    if _no_room(error):
        return (
            f"no room to write {path} ({_lack_of_room(error)}{_free(path)}): free space there or "
            "name a folder on another disk, then run the same command again to go on"
        )
    if number in _NO_RIGHT:
        return (
            f"{path} may not be read or written ({words}): mend its rights, or name a folder of "
            "your own"
        )
    if isinstance(error, FileNotFoundError) and named:
        return f"{path}: {words}: look at its spelling; if it was to be made, name another place"
    return f"{path}: {words}" if named else str(error)


def _no_room(error: BaseException) -> bool:
    """Whether a disk is full; weights are written by libraries that raise errors of their own."""
    return any(
        getattr(one, "errno", None) in _NO_ROOM
        or (getattr(one, "errno", None) is None and _NO_ROOM_WORDS.search(str(one)))
        for one in _chain(error)
    )


def _lack_of_room(error: BaseException) -> str:
    """Why there is no room; some libraries speak of their own insides alone."""
    said = " ".join(f"{getattr(one, 'strerror', None) or ''} {one}" for one in _chain(error))
    known = re.search(r"No space left on device|Disk quota exceeded|File too large", said)
    return known[0] if known else "no space left on the disk"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, each once."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _free(path: Path) -> str:
    there = next((one for one in (path, *path.absolute().parents) if one.exists()), None)
    if there is None:
        return ""
    try:
        return f"; {shutil.disk_usage(there).free / 1e9:.1f} GB free"
    except OSError:
        return ""
