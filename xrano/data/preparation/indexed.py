"""A folder of tables as the input of preparation: written by ``xrano index`` or by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from xrano.data.datasets.manifest import read_index, recorded_roots
from xrano.data.image_roots import covering_roots, named_images
from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.pairing.pairs import build_pairs
from xrano.data.preparation.prepare import prepare_cohort
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.preparation.prepared_cohort import PreparedCohort
from xrano.data.table_columns import EXCLUSION_COLUMNS, sequence_columns
from xrano.data.tables import read_exclusions, read_pairs
from xrano.errors import ManifestError
from xrano.progress import Progress, quiet


def prepare_index(
    index: Path,
    out: Path,
    settings: PrepareSettings,
    *,
    unrated: bool = False,
    allow_outside: bool = False,
    jobs: int = 1,
    progress: Progress = quiet,
) -> PreparedCohort:
    """Prepare what a folder of tables lists.

    Pairs with a session without any image (LUMIERE has sessions of raw scans only) are left out;
    the store's ``exclusions.csv`` says so, beside what the index excluded.

    Args:
        index: folder with ``sessions.csv``, perhaps ``segmentations.csv`` and ``pairs.csv``.
        out: the store's folder.
        settings: spacing and normalisation.
        unrated: make the pairs anew, those of unrated sessions included.
        allow_outside: whether images may lie outside of the folder (and of the data's root that
            the index names).
        jobs: how many processes; 0 for one a core.
        progress: how to show progress.

    Returns:
        What was prepared; its ``require_whole`` complains of what was not.

    Raises:
        ManifestError: if there is no sessions table, or no pair, or an image lies outside.
        UnfinishedError: if no pair could be prepared.
    """
    index, out = Path(index), Path(out)
    if not (index / "sessions.csv").is_file():
        raise ManifestError(
            f"{index} holds no sessions.csv: give the folder that xrano index wrote, or one with "
            "a table written by hand (patient_id, session_id, week, rating, T1, ...)"
        )
    sessions, segmentations = read_index(index, allow_outside=allow_outside)
    known = [index.resolve(), *([] if allow_outside else recorded_roots(index))]
    roots = covering_roots(named_images(sessions, segmentations), known)
    if (index / "pairs.csv").is_file() and not unrated:
        pairs = read_pairs(index / "pairs.csv")
        exclusions = pd.DataFrame(columns=list(EXCLUSION_COLUMNS))
        if (index / "exclusions.csv").is_file():
            exclusions = read_exclusions(index / "exclusions.csv")
    else:
        pairs, exclusions = build_pairs(sessions, unrated="include" if unrated else "exclude")
    pairs, imageless = _with_images(pairs, sessions)
    if pairs.empty:
        raise ManifestError(_no_pair(index, pd.concat([exclusions, imageless]), unrated))
    cohort = prepare_cohort(
        sessions,
        segmentations,
        pairs,
        out,
        settings,
        excluded=pd.concat([exclusions, imageless], ignore_index=True),
        roots=roots,
        jobs=jobs,
        progress=progress,
    )
    outside = [root for root in roots if not root.is_relative_to(known[0])]
    return replace(cohort, roots=tuple(outside))


def _no_pair(index: Path, exclusions: pd.DataFrame, unrated: bool) -> str:
    counts = exclusions["reason"].value_counts()
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    way = "" if unrated else "; sessions without a rating are paired with --unrated"
    return f"{index} gives no pair to prepare: sessions by reason: {reasons or 'none'}{way}"


def _with_images(pairs: pd.DataFrame, sessions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pairs of which both sessions have some image, and the exclusions of the others."""
    names = sequence_columns(sessions)
    imaged = {
        (row["patient_id"], row["session_id"])
        for row in sessions.to_dict("records")
        if any(row[name] for name in names)
    }
    known = set(zip(sessions["patient_id"], sessions["session_id"], strict=True))
    keep, exclusions = [], []
    for pair in pairs.to_dict("records"):
        lacking = [
            f"{role} {pair[f'{role}_session']} has no image"
            for role in ("prior", "current")
            if (pair["patient_id"], pair[f"{role}_session"]) in known - imaged
        ]
        keep.append(not lacking)
        if lacking:
            exclusions.append(
                {
                    "patient_id": pair["patient_id"],
                    "session_id": pair["current_session"],
                    "detail": "; ".join(lacking),
                    "reason": str(ExclusionReason.MISSING_SEQUENCE),
                }
            )
    kept = pairs[pd.Series(keep, index=pairs.index, dtype=bool)].reset_index(drop=True)
    return kept, pd.DataFrame(exclusions, columns=list(EXCLUSION_COLUMNS))
