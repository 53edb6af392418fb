"""From a cohort on disk to its tables: sessions, segmentations, pairs and exclusions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from xrano.data.datasets.lumiere import read_lumiere
from xrano.data.pairs import build_pairs
from xrano.data.tables import write_table
from xrano.errors import UnknownNameError
from xrano.rano import RESPONSES

DATASETS = ("lumiere",)
"""Layouts that can be indexed; others come as a sessions table written by hand."""


@dataclass(frozen=True)
class IndexSummary:
    """What an index holds: counts, and where the tables lie.

    ``pairs_per_response`` and ``patients_per_response`` have each response as a key, and an empty
    string for unrated pairs if there are any; ``exclusions`` counts sessions per reason, and with
    the pairs they make up all sessions.
    """

    out: Path
    sessions: int
    patients: int
    segmentations: int
    pairs: int
    spans_surgery: int
    pairs_per_response: Mapping[str, int]
    patients_per_response: Mapping[str, int]
    exclusions: Mapping[str, int]

    def describe(self) -> str:
        """The counts as lines of text."""
        lines = [
            f"{self.sessions} sessions of {self.patients} patients, "
            f"{self.segmentations} segmentations",
            f"{self.pairs} pairs, {self.spans_surgery} of them across an operation",
        ]
        for response, count in self.pairs_per_response.items():
            patients = self.patients_per_response[response]
            lines.append(f"  {response or 'unrated':8}{count:5} pairs of {patients} patients")
        lines.append(f"{sum(self.exclusions.values())} sessions without a pair")
        lines += [f"  {reason:22}{count:5}" for reason, count in self.exclusions.items()]
        return "\n".join(lines)


def index_cohort(
    root: str | PathLike[str],
    out: str | PathLike[str],
    *,
    dataset: str = "lumiere",
    duplicates: str = "exclude",
    reference: str = "previous",
    unrated: str = "exclude",
) -> IndexSummary:
    """Read a cohort and write its four tables.

    They are ``sessions.csv``, ``segmentations.csv``, ``pairs.csv`` and ``exclusions.csv``. Nothing
    is written before everything is read, so a bad input leaves nothing behind.

    Args:
        root: the cohort, as for :func:`~xrano.data.datasets.lumiere.read_lumiere`.
        out: folder of the tables; made if need be.
        dataset: a name in :data:`DATASETS`.
        duplicates: as for :func:`~xrano.data.datasets.lumiere.read_lumiere`.
        reference: as for :func:`~xrano.data.pairs.build_pairs`.
        unrated: as for :func:`~xrano.data.pairs.build_pairs`.

    Raises:
        ManifestError: if the cohort or a table of it is missing or wrong.
        UnknownNameError: if one of the names is unknown.
    """
    if dataset not in DATASETS:
        raise UnknownNameError("dataset", dataset, DATASETS)
    sessions, segmentations = read_lumiere(root, duplicates=duplicates)
    pairs, exclusions = build_pairs(sessions, reference=reference, unrated=unrated)
    out = Path(out)
    write_table(out / "sessions.csv", sessions)
    write_table(out / "segmentations.csv", segmentations)
    write_table(out / "pairs.csv", pairs)
    write_table(out / "exclusions.csv", exclusions)
    return _summary(out, sessions, segmentations, pairs, exclusions)


def _summary(
    out: Path,
    sessions: pd.DataFrame,
    segmentations: pd.DataFrame,
    pairs: pd.DataFrame,
    exclusions: pd.DataFrame,
) -> IndexSummary:
    names = [*RESPONSES, *([""] if (pairs["response"] == "").any() else [])]
    of_response = {str(name): pairs[pairs["response"] == name] for name in names}
    return IndexSummary(
        out=out,
        sessions=len(sessions),
        patients=int(sessions["patient_id"].nunique()),
        segmentations=len(segmentations),
        pairs=len(pairs),
        spans_surgery=int(pairs["spans_surgery"].sum()),
        pairs_per_response={name: len(part) for name, part in of_response.items()},
        patients_per_response={
            name: int(part["patient_id"].nunique()) for name, part in of_response.items()
        },
        exclusions={
            str(reason): int(count)
            for reason, count in exclusions["reason"].value_counts().sort_index().items()
        },
    )
