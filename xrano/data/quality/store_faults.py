"""What can be wrong with one session file or one pair of a prepared store, and what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from xrano.data.store import Store, read_details
from xrano.errors import XranoError
from xrano.geometry import Grid

CHECKSUMS = "checksums.json"
"""In the store: path of each session file, relative to the store, to its SHA-256."""

SIDES = ("prior", "current")

AGAIN = "run xrano prepare again"
_REMAKE = "run xrano prepare again"

SessionKey = tuple[str, str]
"""Patient and session."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a store, and what to do about it."""

    path: Path
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}; {self.remedy}"


def file_fault(
    store: Store,
    key: SessionKey,
    wanted: Sequence[str],
    checksums: Mapping[str, str] | None,
) -> Fault | None:
    """The first fault of a session's file, or ``None``.

    Args:
        store: the store.
        key: patient and session.
        wanted: sequences that it must hold.
        checksums: as in :data:`CHECKSUMS`; ``None`` where the store has none.
    """
    path = store.session_path(*key)
    if not path.is_file():
        return Fault(path, "the file is missing", AGAIN)
    try:
        # Form first: it tells a file that is cut off from one that was exchanged.
        cause = _form_fault(store.grid, path, key, wanted)
        cause = cause or _content_fault(store.root, path, checksums)
    except (OSError, SafetensorError, XranoError) as error:
        cause = f"it cannot be opened ({type(error).__name__}), so it is cut off or broken"
    return Fault(path, cause, _REMAKE) if cause else None


def _content_fault(root: Path, path: Path, checksums: Mapping[str, str] | None) -> str:
    if checksums is None:
        return ""
    name = path.relative_to(root).as_posix()
    if name not in checksums:
        return f"{CHECKSUMS} does not list it, so it is not of this store"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != checksums[name]:
        return (
            f"its content has changed since it was made (SHA-256 {digest[:12]}…, expected "
            f"{checksums[name][:12]}…)"
        )
    return ""


def _form_fault(grid: Grid, path: Path, key: SessionKey, wanted: Sequence[str]) -> str:
    """What does not fit the store in a file that opens; empty if all fits."""
    details = read_details(path)
    if (details["patient_id"], details["session_id"]) != key:
        return f"it holds {details['patient_id']} {details['session_id']}"
    lacking = [name for name in wanted if name not in details["sequences"]]
    if lacking:
        return f"it lacks the sequences {', '.join(lacking)}, which sessions.csv lists"
    arrays = {
        **dict.fromkeys(details["sequences"], "F16"),
        **dict.fromkeys(("brain", *(f"segmentation/{name}" for name in details["schemes"])), "U8"),
    }
    with safe_open(path, framework="np") as file:
        missing = sorted(set(arrays) - set(file.keys()))
        if missing:
            return f"it lacks the arrays {', '.join(missing)}"
        for name, kind in arrays.items():
            part = file.get_slice(name)
            shape, found = tuple(part.get_shape()), part.get_dtype()
            if (shape, found) != (grid.shape, kind):
                return f"{name} is {found} of shape {shape}, the store's is {kind} of {grid.shape}"
    affine = np.asarray(details.get("affine", grid.affine), dtype=np.float64)
    if not grid.matches(Grid(grid.shape, affine)):
        return f"its affine {affine.tolist()} is not that of the store"
    return ""


def pair_fault(
    store: Store, pair: Mapping[Any, Any], expected: Mapping[SessionKey, Sequence[str]]
) -> Fault | None:
    """What keeps a row of the pairs table from being read, or ``None``.

    Args:
        store: the store.
        pair: the row.
        expected: each session of the tables to its sequences.
    """
    keys = session_keys(pair)
    for key in keys:
        if key not in expected:
            cause = f"pair {pair['pair_id']} names {' '.join(key)}, which sessions.csv lacks"
            return Fault(store.root / "pairs.csv", cause, AGAIN)
    common = [name for name in expected[keys[0]] if name in expected[keys[1]]]
    if not common:
        cause = f"the scans of pair {pair['pair_id']} have no sequence in common"
        return Fault(store.root / "pairs.csv", cause, "index the cohort again without it")
    measured = store.statistics.get("pairs", {}).get(pair["pair_id"])
    gaps = [name for name in common if not _is_measured(measured, name)]
    if gaps:
        cause = f"pair {pair['pair_id']} has no intensity statistics of {', '.join(gaps)}"
        return Fault(store.root / "statistics.json", cause, AGAIN)
    return None


def session_keys(pair: Mapping[Any, Any]) -> tuple[SessionKey, SessionKey]:
    """Prior and current session of a pair."""
    patient = pair["patient_id"]
    return (patient, pair["prior_session"]), (patient, pair["current_session"])


def _is_measured(measured: Any, name: str) -> bool:
    return measured is not None and all(name in measured.get(side, {}) for side in SIDES)
