"""Is a prepared store whole? Every file against its checksum, every pair against its files."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import load_pair
from xrano.data.quality.store_faults import (
    AGAIN,
    CHECKSUMS,
    Fault,
    SessionKey,
    file_fault,
    pair_fault,
    session_keys,
)
from xrano.data.store import Store, open_store
from xrano.data.table_columns import sequence_columns
from xrano.errors import ManifestError, XranoError
from xrano.progress import Progress, quiet
from xrano.roots import lies_inside
from xrano.text_files import read_json

TIMED_PAIRS = 5

_OLD = (
    f"this store has no {CHECKSUMS} (an older version made it), so only form was checked, not "
    f"content: {AGAIN}"
)


@dataclass(frozen=True)
class StoreCheck:
    """What a check found.

    Attributes:
        root: the store.
        sessions: how many the tables name.
        pairs: how many there are.
        sizes: bytes of each session file that is there.
        read_seconds: time to read and normalise each of a few pairs, just after their files were
            read for the checksum (so from memory, as in all but the first epoch of a small store).
        faults: one entry a fault; empty for a whole store.
        notes: what could not be checked, and files that belong to nothing.
    """

    root: Path
    sessions: int
    pairs: int
    sizes: tuple[int, ...]
    read_seconds: tuple[float, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]

    def describe(self) -> str:
        """The findings as lines of text, faults last."""
        total = sum(self.sizes)
        mean = total / len(self.sizes) if self.sizes else 0.0
        lines = [
            f"{self.root}: {self.sessions} sessions, {self.pairs} pairs",
            f"  {mean / 1e6:.1f} MB a session, {total / 1e9:.2f} GB in {len(self.sizes)} files",
        ]
        if self.read_seconds:
            median, count = statistics.median(self.read_seconds) * 1e3, len(self.read_seconds)
            lines.append(f"  {median:.0f} ms to read a pair (median of {count}, from memory)")
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  broken: {problem}" for problem in self.faults]
        lines += [] if self.faults else ["  nothing is missing or broken"]
        return "\n".join(lines)

    def require_whole(self) -> None:
        """Refuse a store with faults.

        Raises:
            ManifestError: saying how many files are missing or broken.
        """
        if self.faults:
            files = len({problem.path for problem in self.faults})
            raise ManifestError(
                f"{self.root} is not whole: {len(self.faults)} faults in {files} files; {AGAIN} "
                "(sessions that are whole are not made again)"
            )


def check_store(
    root: Path, *, timed_pairs: int = TIMED_PAIRS, progress: Progress = quiet
) -> StoreCheck:
    """Check every session file and pair of a store, and how fast pairs are read.

    Every byte is read once for the checksums; arrays are looked at through the memory map.

    Args:
        root: the store's folder.
        timed_pairs: how many whole pairs are timed.
        progress: how to show progress.

    Raises:
        ManifestError: if the folder is no store, or one of its tables is missing or broken.
    """
    store = open_store(root)
    sessions, pairs = store.sessions, store.pairs
    expected = _expected_sequences(store, sessions)
    checksums, notes = _read_checksums(store.root)
    faults: list[Fault] = []
    broken: set[SessionKey] = set()
    for key, wanted in progress(list(expected.items()), "checking sessions"):
        fault = file_fault(store, key, wanted, checksums)
        if fault:
            faults.append(fault)
            broken.add(key)
    faults += _check_listed(store, set(expected), checksums or {})
    whole: list[Mapping[Any, Any]] = []
    for pair in pairs.to_dict("records"):
        fault = pair_fault(store, pair, expected)
        if fault:
            faults.append(fault)
        elif not broken & {*session_keys(pair)}:
            whole.append(pair)
    seconds, unreadable = _time_pairs(store, _spread(whole, timed_pairs), expected)
    files = [store.session_path(*key) for key in expected]
    return StoreCheck(
        root=store.root,
        sessions=len(sessions),
        pairs=len(pairs),
        sizes=tuple(path.stat().st_size for path in files if path.is_file()),
        read_seconds=seconds,
        faults=(*faults, *unreadable),
        notes=(*notes, *_strangers(store, set(expected))),
    )


_Sessions = Mapping[SessionKey, tuple[str, ...]]


def _expected_sequences(store: Store, sessions: pd.DataFrame) -> _Sessions:
    """The sequences of each session by the tables."""
    names = [name for name in sequence_columns(sessions) if name in store.sequences]
    return {
        (row["patient_id"], row["session_id"]): tuple(name for name in names if row[name])
        for row in sessions.to_dict("records")
    }


def _read_checksums(root: Path) -> tuple[dict[str, str] | None, list[str]]:
    path = root / CHECKSUMS
    if not path.is_file():
        return None, [_OLD]
    try:
        found = read_json(path)
        outside = [name for name in found if not lies_inside(root / name, root)]
        if outside:
            raise ValueError(f"{outside[0]!r} lies outside of the store")
        return {str(name): str(digest) for name, digest in found.items()}, []
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ManifestError(f"{path} cannot be read ({error}); {AGAIN}") from error


def _check_listed(
    store: Store, known: set[SessionKey], checksums: Mapping[str, str]
) -> list[Fault]:
    """Files that have a checksum, belong to no session of the tables, and are not there."""
    named = {store.session_path(*key).relative_to(store.root).as_posix() for key in known}
    return [
        Fault(store.root / name, f"{CHECKSUMS} lists it, but it is missing", AGAIN)
        for name in sorted(set(checksums) - named)
        if not (store.root / name).is_file()
    ]


def _strangers(store: Store, known: set[SessionKey]) -> list[str]:
    named = {store.session_path(*key) for key in known}
    found = set((store.root / "sessions").rglob("*.safetensors")) - named
    if not found:
        return []
    example = sorted(found)[0].relative_to(store.root)
    return [f"{len(found)} session files belong to no session of the tables, such as {example}"]


def _spread(pairs: Sequence[Mapping[Any, Any]], count: int) -> list[Mapping[Any, Any]]:
    """Some pairs from the whole length of a table."""
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int))
    return [pairs[int(row)] for row in chosen]


def _time_pairs(
    store: Store, pairs: Sequence[Mapping[Any, Any]], expected: _Sessions
) -> tuple[tuple[float, ...], list[Fault]]:
    seconds, faults = [], []
    for pair in pairs:
        prior, current = (expected[key] for key in session_keys(pair))
        layout = ChannelLayout([name for name in prior if name in current])
        start = time.perf_counter()
        try:
            load_pair(store, pair, layout)
            seconds.append(time.perf_counter() - start)
        except XranoError as error:
            cause = f"pair {pair['pair_id']} cannot be normalised ({error})"
            faults.append(Fault(store.root / "statistics.json", cause, AGAIN))
    return tuple(seconds), faults
