"""``xrano index``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

EXAMPLE = "xrano index /data/LUMIERE --out index"
POSITIONAL_HELP = "the cohort's folder, at, above or below Imaging/"


def run(
    tree: Path,
    out: Path,
    dataset: str = "lumiere",
    duplicates: Literal["exclude", "first", "last"] = "exclude",
    reference: str = "previous",
    unrated: Literal["exclude", "include"] = "exclude",
) -> None:
    """List a cohort: sessions.csv, segmentations.csv, pairs.csv, exclusions.csv.

    Args:
        tree: the cohort's folder.
        out: folder for the tables.
        dataset: which reader: lumiere.
        duplicates: of two different ratings of one session take the first, the last, or neither.
        reference: the prior scan of a pair: previous.
        unrated: whether sessions without a rating get a pair too, to be explained.
    """
    from xrano.data.index import index_cohort

    summary = index_cohort(
        tree,
        out,
        dataset=dataset,
        duplicates=duplicates,
        reference=reference,
        unrated=unrated,
    )
    print(summary.describe())
    print(f"tables in {out}; next:  xrano prepare {out} --out store")
