"""What a planted store says about itself, so that none is ever taken for a store as prepared.

``store.json`` has an entry ``planted``: the plan, the fingerprint of the store it was made from,
and the version of the marks. It is part of the store's own fingerprint, which runs keep.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.data.cells import read_cells
from xrano.data.planting.plan import PlantingPlan
from xrano.data.store import Store
from xrano.errors import ManifestError
from xrano.text_files import read_json as read_bounded

PLANTED = "planted"
"""The entry of ``store.json``."""

MARKS_VERSION = 1
"""Of the marks and of the erasing: a store of another version is not taken for up to date."""

MARK_TABLE = "marks.csv"
MARK_COLUMNS = ("patient_id", "session_id", "rating", "mark")
"""``rating``: the session's own response; ``mark``: the class whose mark it has. Both may be
empty."""


def planting_note(plan: PlantingPlan, source: Store) -> dict[str, Any]:
    """The entry of a store that a plan makes from a source."""
    return {
        "plan": asdict(plan),
        "source": source.fingerprint(),
        "marks_version": MARKS_VERSION,
    }


def planting_of(root: Path) -> PlantingPlan | None:
    """What was planted into a store; ``None`` for one as it was prepared, or no store.

    Raises:
        ManifestError: if the entry cannot be read.
    """
    note = read_json(Path(root) / "store.json").get(PLANTED)
    if note is None:
        return None
    try:
        return PlantingPlan(**note["plan"])
    except (TypeError, KeyError, ValueError) as error:
        raise ManifestError(
            f"{Path(root) / 'store.json'} says that the store is planted, but not how ({error}); "
            "plant it again with this version"
        ) from error


def read_marks(root: Path) -> pd.DataFrame:
    """The class that each session's mark stands for: columns :data:`MARK_COLUMNS`, all text.

    Raises:
        ManifestError: if the folder is not a planted store.
    """
    return read_cells(Path(root) / MARK_TABLE, MARK_COLUMNS)


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file; empty where there is none, or none that can be read."""
    try:
        found = read_bounded(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
