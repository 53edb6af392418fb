"""The prepared store: one safetensors file a session, all on one grid, read by memory map.

A store is a folder::

    store.json                      grid, sequences, settings; written last: marks a whole store
    sessions/PATIENT/SESSION.safetensors
    sessions.csv  segmentations.csv  pairs.csv  exclusions.csv  roots.json (where their images lie)
    sessions/PATIENT/SESSION.json   the file's checksum, volumes and remarks
    volumes.csv                     ml of each region, counted on the segmentation's own grid
    statistics.json                 intensity statistics of every pair and sequence
    checksums.json                  SHA-256 of every session file
    problems.csv                    sessions and pairs that failed, and remarks on others
    alignment/                      what registration found, step by step; transforms/ for others

A session file holds each sequence as float16 (i, j, k), scaled but not normalised (normalisation
belongs to the pair), ``brain`` and ``segmentation/SOURCE`` as uint8. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xrano.atomic_files import write_atomically, write_json
from xrano.checked_nifti import LIMIT_VARIABLE, volume_limit
from xrano.data.session_form import is_filled_with, mistyped_details, require_one_shape
from xrano.data.tables import read_pairs, read_sessions
from xrano.errors import CheckpointError, ManifestError, UnknownNameError
from xrano.geometry import Grid, as_shape
from xrano.text_files import is_cut_off, parse_json, read_json
from xrano.types import Labels, Mask

FORMAT = 2
"""Version of the store's layout."""

TABLES = ("sessions.csv", "segmentations.csv", "pairs.csv", "exclusions.csv", "volumes.csv")
"""The tables that a store may hold; ``store.json`` lists those that it was made with."""


@dataclass(frozen=True, eq=False)
class PreparedSession:
    """One session on the store's grid.

    ``sequences``: float16 (i, j, k) by name, divided by ``scale``; ``brain``: (i, j, k) boolean;
    ``segmentations``: labels and scheme by source.
    """

    patient_id: str
    session_id: str
    sequences: Mapping[str, NDArray[np.float16]]
    brain: Mask
    segmentations: Mapping[str, tuple[Labels, str]]
    scale: Mapping[str, float]
    key: str = ""
    """Hash of the input files and settings that the session was made from."""
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Sequence to its file's name, shape, affine and ``to_common``, the matrix from the file's
    world to that of the store: what carries a map back to the scan."""
    alignment: Mapping[str, Any] = field(default_factory=dict)
    """How those matrices were found; empty if the files already lay in one space."""


def write_prepared(path: Path, session: PreparedSession, grid: Grid) -> None:
    """Write a session file, whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(data) for name, data in session.sequences.items()
    }
    arrays["brain"] = np.ascontiguousarray(session.brain, dtype=np.uint8)
    for source, (labels, _scheme) in session.segmentations.items():
        arrays[f"segmentation/{source}"] = np.ascontiguousarray(labels, dtype=np.uint8)
    details = {
        "patient_id": session.patient_id,
        "session_id": session.session_id,
        "affine": grid.affine.tolist(),
        "sequences": sorted(session.sequences),
        "schemes": {source: scheme for source, (_, scheme) in session.segmentations.items()},
        "scale": dict(session.scale),
        "key": session.key,
        "sources": {name: dict(source) for name, source in session.sources.items()},
        "alignment": dict(session.alignment),
    }
    metadata = {"xrano": json.dumps(details, sort_keys=True)}
    # Written by Python: safetensors' own writer lets nobody else read the file, and a full disk
    # is no OSError to it.
    write_atomically(path, lambda temporary: temporary.write_bytes(save(arrays, metadata)))


def read_details(path: Path) -> dict[str, Any]:
    """The metadata of a session file.

    Raises:
        CheckpointError: if the file is missing or not a session file.
    """
    try:
        with safe_open(path, framework="np") as file:
            details: dict[str, Any] = parse_json(file.metadata()["xrano"])
        if not isinstance(details, dict):
            raise ValueError("its metadata are no mapping")
        lacking = {"patient_id", "session_id", "sequences", "schemes", "scale", "key"} - {*details}
        mistyped = mistyped_details(details)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a whole session file ({error}); run xrano prepare again"
        ) from error
    if lacking:
        raise CheckpointError(
            f"{path} is not a session file: it lacks {', '.join(sorted(lacking))}"
        )
    if mistyped:
        raise CheckpointError(
            f"{path} is not a session file: {', '.join(mistyped)} is not what it must be; run "
            "xrano prepare again"
        )
    return details


def read_prepared(path: Path, sequences: tuple[str, ...] | None = None) -> PreparedSession:
    """Read a session file.

    Args:
        path: the file.
        sequences: only these, in this order; all if not given.

    Raises:
        CheckpointError: if the file is missing or not a session file.
        UnknownNameError: if it lacks a sequence asked for.
    """
    details = read_details(path)
    wanted = tuple(details["sequences"]) if sequences is None else sequences
    for name in wanted:
        if name not in details["sequences"]:
            raise UnknownNameError(f"sequence in {path}:", name, details["sequences"])
    try:
        with safe_open(path, framework="np") as file:
            session = PreparedSession(
                patient_id=details["patient_id"],
                session_id=details["session_id"],
                sequences={name: file.get_tensor(name) for name in wanted},
                brain=file.get_tensor("brain").astype(bool),
                segmentations={
                    source: (file.get_tensor(f"segmentation/{source}"), scheme)
                    for source, scheme in details["schemes"].items()
                },
                scale=details["scale"],
                key=details["key"],
                sources=details.get("sources") or {},
                alignment=details.get("alignment") or {},
            )
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} lacks what its own metadata list ({error}); run xrano prepare again"
        ) from error
    require_one_shape(
        path,
        {
            "brain": session.brain,
            **session.sequences,
            **{name: labels for name, (labels, _) in session.segmentations.items()},
        },
    )
    return session


@dataclass(frozen=True, eq=False)
class Store:
    """An opened store: where it is, its grid and sequences, and how it was made."""

    root: Path
    grid: Grid
    sequences: tuple[str, ...]
    settings: Mapping[str, Any]
    statistics: Mapping[str, Any] = field(repr=False)

    @property
    def sessions(self) -> pd.DataFrame:
        """The sessions table."""
        return read_sessions(self.root / "sessions.csv")

    @property
    def pairs(self) -> pd.DataFrame:
        """The pairs table, filtered by nothing."""
        return read_pairs(self.root / "pairs.csv")

    @property
    def volumes(self) -> pd.DataFrame:
        """Volumes in ml: patient_id, session_id, source, region, ml."""
        words = dict.fromkeys(("patient_id", "session_id", "source", "region"), "str")
        path = self.root / "volumes.csv"
        try:
            return pd.read_csv(path, keep_default_na=False, dtype=words)
        except (OSError, ValueError) as error:
            raise ManifestError(
                f"{path} cannot be read ({error}); run xrano prepare again"
            ) from error

    def fingerprint(self) -> str:
        """A hash that changes when the store is prepared anew from other files or settings."""
        digest = hashlib.sha256()
        for name in ("store.json", "statistics.json", "pairs.csv"):
            digest.update((self.root / name).read_bytes())
        return digest.hexdigest()

    def session_path(self, patient_id: str, session_id: str) -> Path:
        """The file of one session."""
        return session_path(self.root, patient_id, session_id)


def session_path(root: Path, patient_id: str, session_id: str) -> Path:
    """Where a store keeps a session."""
    return root / "sessions" / patient_id / f"{session_id}.safetensors"


def write_manifest(
    root: Path, grid: Grid, sequences: tuple[str, ...], settings: Mapping[str, Any]
) -> None:
    """Write ``store.json``: the mark of a whole store, whose tables are there already."""
    manifest = {
        "format": FORMAT,
        "grid": {"shape": list(grid.shape), "affine": grid.affine.tolist()},
        "sequences": list(sequences),
        "settings": dict(settings),
        "tables": [name for name in TABLES if (root / name).is_file()],
    }
    write_json(root / "store.json", manifest)


def unmark(root: Path) -> None:
    """Remove ``store.json`` before a store is changed: what is there is no whole store any more."""
    (root / "store.json").unlink(missing_ok=True)


def open_store(root: Path) -> Store:
    """Open a prepared store.

    Raises:
        ManifestError: if the folder is not a whole store of this version, or a table of it is
            missing or cut off.
    """
    root = Path(root)
    path = root / "store.json"
    if not path.is_file():
        raise ManifestError(
            f"{root} is not a prepared store (no store.json): give the folder that xrano prepare "
            "wrote (--store DIR if it was moved), or run it again if it was interrupted"
        )
    try:
        manifest = read_json(path)
        if manifest["format"] != FORMAT:
            raise ManifestError(
                f"{path} has format {manifest['format']}, this version reads {FORMAT}: prepare "
                "again"
            )
        statistics, settings = _read_statistics(root), manifest["settings"]
        grid = Grid(as_shape(manifest["grid"]["shape"]), np.array(manifest["grid"]["affine"]))
        if 4 * math.prod(grid.shape) > volume_limit():
            raise ValueError(
                f"a grid of {grid.shape} voxels is larger than {LIMIT_VARIABLE} allows"
            )
        sequences = manifest["sequences"]
        if not (is_filled_with(sequences, list, str) and isinstance(statistics, dict)):
            raise ValueError("sequences is no list of names, or the statistics are no mapping")
        _require_tables(root, manifest.get("tables", ()))
        return Store(root, grid, tuple(sequences), dict(settings), statistics)
    except ManifestError:
        raise
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ManifestError(
            f"{path} cannot be read ({type(error).__name__}: {error}); run xrano prepare again"
        ) from error


def _read_statistics(root: Path) -> Any:
    path = root / "statistics.json"
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read ({error}); run xrano prepare again") from error


def _require_tables(root: Path, names: Sequence[str]) -> None:
    """Refuse a store that lacks a table it was made with, or the end of one."""
    for path in (root / name for name in names if name in TABLES):
        if not path.is_file():
            raise ManifestError(f"{path} is missing; run xrano prepare again")
        if is_cut_off(path):
            raise ManifestError(
                f"{path} is cut off (its last line has no end); run xrano prepare again"
            )
