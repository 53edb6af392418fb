"""What an index holds, in numbers and in lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from xrano.data.pairing.pair_references import REFERENCES
from xrano.data.pairing.pairs import build_pairs
from xrano.data.pairing.region_coverage import COVERAGE_COLUMNS, region_coverage
from xrano.data.quality.segmenter_agreement import describe_agreement
from xrano.data.table_columns import sequence_columns
from xrano.rano import RESPONSES


@dataclass(frozen=True)
class ReferenceCount:
    """How many pairs a reference would give, of how many patients, and how many span surgery."""

    reference: str
    pairs: int
    patients: int
    spans_surgery: int


@dataclass(frozen=True)
class IndexSummary:
    """What an index holds: counts, and where the tables lie.

    ``pairs_per_response`` and ``patients_per_response`` have each response as a key, and an empty
    string for unrated pairs if there are any; ``exclusions`` counts sessions per reason, and with
    the pairs they make up all sessions. ``references`` lacks those that the cohort has no volumes
    for. ``sequences`` counts the sessions that have each. ``coverage`` is a table of
    :data:`~xrano.data.pairing.region_coverage.COVERAGE_COLUMNS`, judged by the volumes of
    ``volume_source``; both are empty without volumes. ``flags`` counts the words of the pairs'
    column of that name; ``notes`` says in words what is odd about the cohort.
    """

    out: Path
    dataset: str
    reference: str
    sessions: int
    patients: int
    segmentations: int
    sequences: Mapping[str, int]
    pairs: int
    spans_surgery: int
    pairs_per_response: Mapping[str, int]
    patients_per_response: Mapping[str, int]
    exclusions: Mapping[str, int]
    patients_per_exclusion: Mapping[str, int]
    references: Sequence[ReferenceCount] = ()
    coverage: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=list(COVERAGE_COLUMNS))
    )
    volume_source: str = ""
    flags: Mapping[str, int] = field(default_factory=dict)
    agreement: str = ""
    notes: Sequence[str] = ()

    def describe(self) -> str:
        """The counts as lines of text."""
        lines = [
            f"{self.sessions} sessions of {self.patients} patients, "
            f"{self.segmentations} segmentations ({self.dataset})",
            "sequences: " + ", ".join(f"{name} in {n}" for name, n in self.sequences.items()),
            f"{self.pairs} pairs with reference {self.reference}, {self.spans_surgery} of them "
            "across an operation",
        ]
        for response, count in self.pairs_per_response.items():
            patients = self.patients_per_response[response]
            lines.append(
                f"  {response or 'unrated':8}{count:5} pair{'s' if count != 1 else ''} of "
                f"{patients} patient{'s' if patients != 1 else ''}"
            )
        lines += [f"  flag {word:17}{count:5}" for word, count in self.flags.items()]
        lines.append(f"{sum(self.exclusions.values())} sessions without a pair")
        for reason, count in self.exclusions.items():
            patients = self.patients_per_exclusion[reason]
            lines.append(f"  {reason:22}{count:5} of {patients} patients")
        lines += [*self._reference_lines(), *self._coverage_lines()]
        lines += [self.agreement] if self.agreement else []
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _reference_lines(self) -> list[str]:
        if not self.references:
            return []
        lines = ["pairs that each reference gives"]
        for count in self.references:
            lines.append(
                f"  {count.reference:16}{count.pairs:5} of {count.patients} patients, "
                f"{count.spans_surgery} across an operation"
            )
        told = {count.reference for count in self.references}
        lines += [f"  {name:16}    - needs volumes" for name in REFERENCES if name not in told]
        if self.dataset == "lumiere":
            lines.append(
                "  LUMIERE ships no dates of radiotherapy: baseline is the first rated scan after "
                "surgery"
            )
        return lines

    def _coverage_lines(self) -> list[str]:
        if self.coverage.empty:
            return []
        lines = [
            f"regions by volume ({self.volume_source}), in pairs across no operation: there on the "
            "prior or current scan, vanished or smaller (shrunk), larger (grown)",
            "  response  region       pairs  prior  current  vanished  shrunk  grown",
        ]
        for row in self.coverage.sort_values("response", key=_by_response, kind="stable").to_dict(
            "records"
        ):
            lines.append(
                f"  {row['response']:10}{row['region']:11}{row['pairs']:7}{row['prior']:7}"
                f"{row['current']:9}{row['vanished']:10}{row['shrunk']:8}{row['grown']:7}"
            )
        return lines


def _by_response(names: pd.Series) -> pd.Series:
    order = [str(response) for response in RESPONSES]
    return names.map(order.index)


def summarise_index(
    out: Path,
    dataset: str,
    reference: str,
    sessions: pd.DataFrame,
    segmentations: pd.DataFrame,
    pairs: pd.DataFrame,
    exclusions: pd.DataFrame,
    *,
    volumes: pd.DataFrame | None = None,
    volume_source: str = "",
    unrated: str = "exclude",
    notes: Sequence[str] = (),
) -> IndexSummary:
    """Count everything that ``xrano index`` tells.

    Args:
        out: where the tables are.
        dataset: name of the reader.
        reference: what the pairs were made with.
        sessions: the sessions table.
        segmentations: the segmentations table.
        pairs: the pairs table.
        exclusions: the exclusions table.
        volumes: volumes of one source, if there are any.
        volume_source: its name.
        unrated: as the pairs were made, for the pairs of the other references.
        notes: what is odd about the cohort, in words.
    """
    names = [*RESPONSES, *([""] if (pairs["response"] == "").any() else [])]
    of_response = {str(name): pairs[pairs["response"] == name] for name in names}
    by_reason = exclusions.groupby("reason")["patient_id"]
    flags = pairs["flags"] if "flags" in pairs else pd.Series(dtype="str")
    words = flags[flags != ""].str.split(";").explode().value_counts().sort_index()
    return IndexSummary(
        out=out,
        dataset=dataset,
        reference=reference,
        sessions=len(sessions),
        patients=int(sessions["patient_id"].nunique()),
        segmentations=len(segmentations),
        sequences={name: int((sessions[name] != "").sum()) for name in sequence_columns(sessions)},
        pairs=len(pairs),
        spans_surgery=int(pairs["spans_surgery"].sum()),
        pairs_per_response={name: len(part) for name, part in of_response.items()},
        patients_per_response={
            name: int(part["patient_id"].nunique()) for name, part in of_response.items()
        },
        exclusions={str(reason): len(part) for reason, part in by_reason},
        patients_per_exclusion={str(reason): int(part.nunique()) for reason, part in by_reason},
        references=_reference_counts(sessions, volumes, unrated),
        **({} if volumes is None else {"coverage": region_coverage(pairs, volumes)}),
        volume_source=volume_source,
        flags={str(word): int(count) for word, count in words.items()},
        agreement=describe_agreement(sessions),
        notes=tuple(notes),
    )


def _reference_counts(
    sessions: pd.DataFrame, volumes: pd.DataFrame | None, unrated: str
) -> tuple[ReferenceCount, ...]:
    counts = []
    for reference in REFERENCES:
        if reference == "nadir" and volumes is None:
            continue
        pairs, _ = build_pairs(sessions, reference=reference, volumes=volumes, unrated=unrated)
        counts.append(
            ReferenceCount(
                reference,
                len(pairs),
                int(pairs["patient_id"].nunique()),
                int(pairs["spans_surgery"].sum()),
            )
        )
    return tuple(counts)
