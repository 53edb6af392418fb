"""A prepared store with marks planted into its scans: all else is that of the store it comes from.

Tables, segmentations, brain masks, grid and intensity statistics stay, so pairs, splits, scoring
and normalisation are those of the source, and a mark changes its own voxels alone: statistics
taken anew would carry it to every voxel of the brain. Beside the files of any store lie::

    store.json      with ``planted``, see xrano.data.planting.planting_note
    marks.csv       the class that each session's mark stands for

What does not change is linked, not copied; nothing in a store is ever written in place.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.atomic_files import json_text, write_json
from xrano.data.image_roots import read_roots, write_roots
from xrano.data.planting.erase import erased, lesion_place
from xrano.data.planting.marks import MARKS
from xrano.data.planting.plan import PlantingPlan, mark_class, stream
from xrano.data.planting.planting_note import (
    MARK_COLUMNS,
    MARK_TABLE,
    MARKS_VERSION,
    PLANTED,
    planting_note,
    planting_of,
    read_json,
)
from xrano.data.preparation.problems import PROBLEMS
from xrano.data.preparation.session_placement import ALIGNMENT_FOLDER, TRANSFORM_FOLDER
from xrano.data.store import (
    PreparedSession,
    Store,
    open_store,
    read_prepared,
    session_path,
    write_prepared,
)
from xrano.data.tables import read_segmentations, records, write_table
from xrano.errors import ConfigError, VolumeError
from xrano.progress import Progress, quiet
from xrano.rano import RESPONSES, Response
from xrano.types import Mask

_CARRIED_FILES = ("pairs.csv", "exclusions.csv", "volumes.csv", "statistics.json", PROBLEMS)
_CARRIED_FOLDERS = ("sessions", ALIGNMENT_FOLDER, TRANSFORM_FOLDER)


def planted_store(
    source: Path, out: Path, plan: PlantingPlan, *, progress: Progress = quiet
) -> Path:
    """Write a store whose scans carry a plan's marks; it appears at ``out`` only when it is whole.

    One that is there already, of the same plan and source, is left as it is.

    Args:
        source: a prepared store that nothing was planted into.
        out: folder to make; it may exist if it is empty.
        plan: what to plant.
        progress: how to show progress.

    Returns:
        ``out``.

    Raises:
        ConfigError: if something was planted into the source, or ``out`` lies in it or holds
            something else.
        ManifestError: if the source is not a whole store, or lacks a segmentation that erasing
            needs.
        CheckpointError, VolumeError: if a session file is broken or cannot be marked, naming it.
    """
    out, store = Path(out), open_store(source)
    known = planting_of(store.root)
    if known is not None:
        raise ConfigError(
            f"{store.root} is itself planted ({known.describe()}); marks upon marks have no known "
            "cause, so give the store that it was made from"
        )
    note = planting_note(plan, store)
    if read_json(out / "store.json").get(PLANTED) == note:
        return out
    if store.root.resolve() in out.resolve().parents:
        raise ConfigError(
            f"{out} lies inside the store that it is made from; choose a folder beside"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} is not an empty folder, nor this store with {plan.describe()}; choose another "
            "folder or remove this one"
        )
    working = out.with_name(f".{out.name}-{os.getpid()}")
    working.mkdir(parents=True)
    try:
        _Planting(store, working, plan).write(note, progress)
        if out.exists():
            out.rmdir()
        os.replace(working, out)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return out


@dataclass(frozen=True, eq=False)
class _Planting:
    """The making of one planted store in a folder that nobody sees yet."""

    store: Store
    out: Path
    plan: PlantingPlan

    def write(self, note: Mapping[str, Any], progress: Progress) -> None:
        sessions = self.store.sessions
        patients = list(sessions.groupby("patient_id", sort=False))
        rows: list[dict[str, str]] = []
        changed: dict[str, str] = {}
        for patient_id, visits in progress(patients, f"planting {self.plan.kind}"):
            place = self._place(str(patient_id), visits)
            for row in records(visits):
                mark = mark_class(self.plan, row["patient_id"], row["session_id"], row["rating"])
                rows.append({name: row[name] for name in MARK_COLUMNS[:3]} | {"mark": mark or ""})
                if not self.plan.changes_nothing:
                    path = self._plant(row, mark, place)
                    changed[path.relative_to(self.out).as_posix()] = _digest(path)
        self._rewrite_records(changed)
        write_table(self.out / "sessions.csv", sessions)
        if (self.store.root / "segmentations.csv").is_file():
            table = read_segmentations(self.store.root / "segmentations.csv")
            write_table(self.out / "segmentations.csv", table)
        write_table(self.out / MARK_TABLE, pd.DataFrame(rows, columns=list(MARK_COLUMNS)))
        manifest = {**read_json(self.store.root / "store.json"), PLANTED: dict(note)}
        self._link_the_rest()
        roots = read_roots(self.store.root)
        if roots is not None:
            write_roots(self.out, roots)
        write_json(self.out / "store.json", manifest)

    def _place(self, patient_id: str, visits: pd.DataFrame) -> Mask | None:
        """What to erase from all scans of a patient."""
        if self.plan.tumour == "kept":
            return None
        paths = (self.store.session_path(patient_id, name) for name in visits["session_id"])
        return lesion_place((read_prepared(path, ()) for path in paths), self.store.grid)

    def _plant(self, row: Mapping[str, Any], mark: Response | None, place: Mask | None) -> Path:
        """Write one session with its tumour erased and its mark put in, as far as asked for."""
        key = row["patient_id"], row["session_id"]
        original = self.store.session_path(*key)
        session = read_prepared(original)
        try:
            if not session.brain.any():
                raise VolumeError("its brain is empty, so no mark can be put into it")
            images = {
                name: self._planted(session, name, data.astype(np.float32), mark, place)
                for name, data in session.sequences.items()
            }
        except VolumeError as error:
            raise VolumeError(f"{original}: {error}") from error
        path = session_path(self.out, *key)
        planted = replace(session, sequences=images, key=self._key(session.key))
        write_prepared(path, planted, self.store.grid)
        return path

    def _planted(
        self,
        session: PreparedSession,
        sequence: str,
        volume: NDArray[np.float32],
        mark: Response | None,
        place: Mask | None,
    ) -> NDArray[np.float16]:
        if place is not None:
            pattern = stream(self.plan, session.patient_id, sequence, "erased")
            volume = erased(volume, session.brain, place, self.store.grid, pattern)
        if mark is not None:
            draws = stream(
                self.plan, session.patient_id, session.session_id, sequence, self.plan.kind
            )
            volume = MARKS[self.plan.kind](
                volume,
                session.brain,
                self.store.grid,
                RESPONSES.index(mark),
                draws,
                self.plan.amplitude,
            )
        return np.clip(volume, -60000, 60000).astype(np.float16)

    def _key(self, key: str) -> str:
        """With a key that no preparation has, ``xrano prepare`` would make the session anew."""
        made_from = json_text([key, MARKS_VERSION, asdict(self.plan)])
        return f"planted {hashlib.sha256(made_from.encode()).hexdigest()}"

    def _rewrite_records(self, changed: Mapping[str, str]) -> None:
        """Checksum and key in the records beside the changed files, and the store's checksums."""
        checksums = read_json(self.store.root / "checksums.json")
        for name, digest in changed.items():
            record = Path(name).with_suffix(".json")
            known = read_json(self.store.root / record)
            if known:
                key = self._key(str(known.get("key", "")))
                write_json(self.out / record, {**known, "sha256": digest, "key": key})
        if checksums:
            write_json(self.out / "checksums.json", {**checksums, **changed})

    def _link_the_rest(self) -> None:
        """Only what is known to stay true: a report on the source's scans is not one on these."""
        root = self.store.root
        found = [root / name for name in _CARRIED_FILES]
        for folder in _CARRIED_FOLDERS:
            found += sorted((root / folder).rglob("*"))
        for path in found:
            target = self.out / path.relative_to(root)
            # Temporary files of other processes begin with a dot.
            if path.is_file() and not path.name.startswith(".") and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(path, target)


def _link(path: Path, target: Path) -> None:
    """A second name for a file, or a copy where there can be none (another disk, no such links)."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
