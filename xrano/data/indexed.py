"""A folder of tables as the input of preparation: written by ``xrano index`` or by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from xrano.data.pairs import build_pairs
from xrano.data.prepare import prepare_cohort
from xrano.data.prepare_settings import PrepareSettings
from xrano.data.tables import (
    SEGMENTATION_COLUMNS,
    read_pairs,
    read_segmentations,
    read_sessions,
    write_table,
)
from xrano.errors import ManifestError
from xrano.geometry import Grid
from xrano.progress import Progress, quiet


def prepare_index(
    index: Path,
    out: Path,
    settings: PrepareSettings,
    *,
    unrated: bool = False,
    progress: Progress = quiet,
) -> tuple[Grid, int]:
    """Prepare what a folder of tables lists.

    Args:
        index: folder with ``sessions.csv``, perhaps ``segmentations.csv`` and ``pairs.csv``.
        out: the store's folder.
        settings: spacing and normalisation.
        unrated: make the pairs anew, those of unrated sessions included.
        progress: how to show progress.

    Returns:
        The common grid and the number of pairs.

    Raises:
        ManifestError: if there is no sessions table, or no pair.
    """
    index, out = Path(index), Path(out)
    if not (index / "sessions.csv").is_file():
        raise ManifestError(
            f"{index} holds no sessions.csv: give the folder that xrano index wrote, or one with "
            "a table written by hand (patient_id, session_id, week, rating, T1, ...)"
        )
    sessions = read_sessions(index / "sessions.csv")
    segmentations = pd.DataFrame(columns=list(SEGMENTATION_COLUMNS))
    if (index / "segmentations.csv").is_file():
        segmentations = read_segmentations(index / "segmentations.csv")
    if (index / "pairs.csv").is_file() and not unrated:
        pairs = read_pairs(index / "pairs.csv")
    else:
        pairs, exclusions = build_pairs(sessions, unrated="include" if unrated else "exclude")
        write_table(out / "exclusions.csv", exclusions)
    grid = prepare_cohort(sessions, segmentations, pairs, out, settings, progress=progress)
    return grid, len(pairs)
