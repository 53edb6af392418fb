"""``settings.json`` of a scoring folder: which run was scored, how, and by which versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import xrano
from xrano.atomic_files import write_json
from xrano.data.common_world import in_one_world
from xrano.scoring.score_table import SCORE_SCHEMA
from xrano.scoring.table_files import read_frame
from xrano.training.run import Run

_LIBRARIES = ("torch", "captum", "monai", "numpy", "scipy", "pandas", "nibabel")


def write_settings(run: Run, settings: Mapping[str, Any], out: Path) -> None:
    """Write the facts of a run and the settings of its scoring into the folder.

    No path, user or time stands in it: the same run gives the same bytes.
    """
    content = {
        "schema": SCORE_SCHEMA,
        "run": run_facts(run),
        "settings": dict(settings),
        "versions": _versions(),
    }
    write_json(Path(out) / "settings.json", content)


def run_facts(run: Run) -> dict[str, Any]:
    """What a reader of scores must know of a run; JSON values."""
    config, grid = run.config, run.store.grid
    return {
        "name": run.root.resolve().name,
        "network": config.model.name,
        "sequences": list(config.model.sequences),
        "stem": config.model.stem,
        "clinical": config.model.clinical,
        "task": config.task,
        "classes": list(run.task.classes),
        "epochs": config.training.epochs,
        "seed": config.seed,
        "protocol": run.splits["protocol"],
        "selection": config.selection,
        "folds": len(run.splits["folds"]),
        "trained_folds": list(run.trained_folds),
        "leak": run.leak_note,
        "store": {
            "shape": list(grid.shape),
            "spacing_mm": list(grid.spacing),
            "one_world": in_one_world(run.store),
        },
        "exclusions": {
            "cohort": _counted(excluded_by_cohort(run)),
            "run": _counted(excluded_by_run(run)),
        },
    }


def excluded_by_cohort(run: Run) -> pd.DataFrame | None:
    """The sessions that the store's pairs leave out; ``None`` where it has no such table.

    Raises:
        ManifestError: if the table is broken.
    """
    # A store that was made with one is refused without it.
    path = run.store.root / "exclusions.csv"
    return read_frame(path) if path.is_file() else None


def excluded_by_run(run: Run) -> pd.DataFrame:
    """The sessions that the run leaves out beyond these.

    Raises:
        ManifestError: if the table is missing or broken.
    """
    return read_frame(run.root / "exclusions.csv")


def _counted(excluded: pd.DataFrame | None) -> dict[str, int]:
    """What is left out, by reason."""
    if excluded is None:
        return {}
    counts = excluded["reason"].value_counts().sort_index()
    return {str(name): int(count) for name, count in counts.items()}


def _versions() -> dict[str, str]:
    found = {"xrano": xrano.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "threads": str(torch.get_num_threads())}
