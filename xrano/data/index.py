"""From a cohort on disk to its tables: sessions, segmentations, pairs and exclusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.catalogue import dataset_reader, detect_dataset
from xrano.data.datasets.lumiere_cohort_tables import lumiere_selection_tables
from xrano.data.datasets.lumiere_measures import (
    VOLUME_COLUMNS,
    lumiere_native_masks,
    lumiere_volumes,
)
from xrano.data.datasets.manifest import write_index
from xrano.data.image_roots import named_images, outside_note, outside_of, require_images
from xrano.data.index_summary import IndexSummary, summarise_index
from xrano.data.label_schemes import REGIONS
from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.pairing.pair_references import REFERENCES
from xrano.data.pairing.pair_rows import exclusion_row, exclusion_table
from xrano.data.pairing.pairs import UNRATED, build_pairs
from xrano.data.pairing.paper_selection import PAPER, SELF_PAIR, paper_pairs
from xrano.data.pairing.region_coverage import main_source
from xrano.data.privacy import cohort_findings, privacy_note, privacy_table
from xrano.data.quality.segmenter_agreement import add_agreement
from xrano.data.table_columns import sequence_notes
from xrano.data.tables import write_table
from xrano.errors import ConfigError, ManifestError, UnknownNameError
from xrano.progress import Progress, quiet
from xrano.roots import is_file_name

AUTO = "auto"
"""Find out whose layout it is."""

LUMIERE = "lumiere"
MANIFEST = "manifest"

PRIVACY_TABLE = "privacy.csv"
"""Files whose header or name looks as if it told who a patient is (:mod:`xrano.data.privacy`)."""


def index_cohort(
    root: str | PathLike[str],
    out: str | PathLike[str],
    *,
    dataset: str = AUTO,
    image_source: str = "atlas",
    duplicates: str = "exclude",
    reference: str = "previous",
    unrated: str = "exclude",
    paper: bool = False,
    sequences: Sequence[str] = (),
    agreement: bool = False,
    measure: bool = False,
    rate_by_rule: bool = False,
    rule_reference: str = "rano",
    allow_outside: bool = False,
    progress: Progress = quiet,
) -> IndexSummary:
    """Read a cohort and write its tables.

    They are ``sessions.csv``, ``segmentations.csv``, ``pairs.csv``, ``exclusions.csv``,
    ``volumes.csv`` where volumes are known without reading images (LUMIERE), and ``privacy.csv``
    where a header or a name looks as if it told who a patient is. Nothing is written before
    everything is read, so a bad input leaves nothing behind.

    Args:
        root: the cohort, as its reader wants it.
        out: folder of the tables; made if need be.
        dataset: whose layout it is, or ``auto``.
        image_source: of LUMIERE; as for :func:`~xrano.data.datasets.lumiere.read_lumiere`.
        duplicates: of LUMIERE; likewise.
        reference: as for :func:`~xrano.data.pairing.pairs.build_pairs`.
        unrated: as for :func:`~xrano.data.pairing.pairs.build_pairs`.
        paper: of LUMIERE; select pairs as :mod:`~xrano.data.pairing.paper_selection` does.
        sequences: with ``paper``, what both scans must have; LUMIERE's four if empty.
        agreement: of LUMIERE; read both tools' masks and add how far they agree to the sessions.
        measure: read every segmentation of which no volume is known and measure its regions.
        rate_by_rule: rate unrated sessions by their volumes, measured if need be; see
            :mod:`~xrano.data.pairing.rule_ratings`.
        rule_reference: with ``rate_by_rule``, ``rano`` or ``previous``.
        allow_outside: of tables written by hand; whether images may lie outside their folder.
        progress: how to show progress.

    Raises:
        ManifestError: if the cohort or a table of it is missing or wrong, or what lies outside of
            its folder, links followed, is no image.
        UnknownNameError: if one of the names is unknown.
        ConfigError: if options do not go together.
    """
    root, out = Path(root), Path(out)
    if reference not in REFERENCES:
        raise UnknownNameError("reference", reference, REFERENCES)
    if unrated not in UNRATED:
        raise UnknownNameError("way with unrated sessions", unrated, UNRATED)
    _require_fitting(paper, reference, unrated, sequences)
    dataset = detect_dataset(root) if dataset == AUTO else dataset_reader(dataset).name
    options = {"image_source": image_source, "duplicates": duplicates}
    sessions, segmentations = _read(
        root,
        dataset,
        options,
        {"paper": paper, "agreement": agreement},
        allow_outside=allow_outside,
    )
    _require_file_names(root, sessions)
    home = root.parent if root.is_file() else root
    outside = outside_of(home, named_images(sessions, segmentations))
    require_images(home, outside)
    notes = [*sessions.attrs.pop("notes", ()), *sequence_notes(sessions)]
    notes += [note] if (note := outside_note(home, outside)) else []
    volumes = _volumes(root, dataset, segmentations, measure=measure or rate_by_rule)
    if agreement:
        masks = lumiere_native_masks(root)
        sessions, failures = add_agreement(sessions, masks, progress=progress)
        notes += failures
    source = main_source(volumes)
    measured = volumes[volumes["source"] == source] if source else None
    if rate_by_rule:
        sessions = _rated(sessions, measured, rule_reference)
    if paper:
        pairs, exclusions = _paper_selection(root, sessions, tuple(sequences) or KNOWN_SEQUENCES)
        notes += _self_pairs(pairs)
        reference = PAPER
    else:
        pairs, exclusions = build_pairs(
            sessions, reference=reference, volumes=measured, unrated=unrated
        )
    findings = cohort_findings(sessions, segmentations)
    notes += [note] if (note := privacy_note(findings, PRIVACY_TABLE)) else []
    summary = summarise_index(
        out,
        dataset,
        reference,
        sessions,
        segmentations,
        pairs,
        exclusions,
        volumes=measured,
        volume_source=source,
        unrated=unrated,
        notes=notes,
    )
    _write_or_remove(out / "volumes.csv", volumes)
    _write_or_remove(out / PRIVACY_TABLE, privacy_table(findings))
    write_index(
        out,
        sessions,
        segmentations,
        root=root,
        dataset=dataset,
        settings=options,
        more={"pairs.csv": pairs, "exclusions.csv": exclusions},
    )
    return summary


def _write_or_remove(path: Path, table: pd.DataFrame) -> None:
    """Write a table that has rows; what an earlier index left would be taken for this one's."""
    if len(table):
        write_table(path, table)
    else:
        path.unlink(missing_ok=True)


_DEFAULTS = {"image_source": "atlas", "duplicates": "exclude", "paper": False, "agreement": False}


def _read(
    root: Path,
    dataset: str,
    options: Mapping[str, str],
    extras: Mapping[str, bool],
    *,
    allow_outside: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables; what LUMIERE or tables written by hand alone offer is refused for others."""
    if allow_outside and dataset != MANIFEST:
        raise ConfigError(
            f"allow_outside: an option of tables written by hand alone, but {root} is read as "
            f"{dataset}; leave it out"
        )
    if dataset == LUMIERE:
        return dataset_reader(dataset).read(root, **options)
    given = [name for name, value in {**options, **extras}.items() if value != _DEFAULTS[name]]
    if given:
        raise ConfigError(
            f"{', '.join(given)}: an option of lumiere alone, but {root} is read as {dataset}; "
            "leave it out"
        )
    reader = dataset_reader(dataset)
    return reader.read(root, allow_outside=True) if allow_outside else reader.read(root)


def _require_file_names(root: Path, sessions: pd.DataFrame) -> None:
    """Refuse identifiers that a table of the cohort gave and no file could be called by."""
    for column in ("patient_id", "session_id"):
        for name in sessions[column]:
            if not is_file_name(name):
                raise ManifestError(
                    f"{root}: a table names the {column} {name[:80]!r}; files are named by it, so "
                    "it has at most 200 bytes and no / or \\"
                )


def _volumes(
    root: Path, dataset: str, segmentations: pd.DataFrame, *, measure: bool
) -> pd.DataFrame:
    """Volumes that are known without an image, then those that are measured if asked for."""
    known = (
        lumiere_volumes(root) if dataset == LUMIERE else pd.DataFrame(columns=list(VOLUME_COLUMNS))
    )
    if not measure:
        return known
    from xrano.data.pairing.rule_ratings import measure_volumes

    missing = segmentations[~segmentations["source"].isin(known["source"])]
    measured = measure_volumes(missing, REGIONS)
    return measured if known.empty else pd.concat([known, measured], ignore_index=True)


def _rated(sessions: pd.DataFrame, volumes: pd.DataFrame | None, reference: str) -> pd.DataFrame:
    from xrano.data.pairing.rule_ratings import rate_by_rule

    if volumes is None:
        raise ManifestError("no session has a segmentation to measure, so none can be rated by it")
    return rate_by_rule(sessions, volumes, reference=reference)


def _require_fitting(paper: bool, reference: str, unrated: str, sequences: Sequence[str]) -> None:
    if not paper and sequences:
        raise ConfigError(
            "sequences are chosen with paper alone; otherwise pairs that lack one are left out "
            "when a network is trained on them"
        )
    if paper and (reference, unrated) != ("previous", "exclude"):
        raise ConfigError("the paper's selection has its own prior scans and no unrated pairs")
    for name in sequences:
        if name not in KNOWN_SEQUENCES:
            raise UnknownNameError("sequence", name, KNOWN_SEQUENCES)


def _paper_selection(
    root: Path, sessions: pd.DataFrame, sequences: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The paper's pairs; sessions that neither of its tables names are excluded too."""
    ratings, completeness = lumiere_selection_tables(root, sequences)
    pairs, exclusions = paper_pairs(ratings, completeness, sequences)
    named = {
        *zip(pairs["patient_id"], pairs["current_session"], strict=True),
        *zip(exclusions["patient_id"], exclusions["session_id"], strict=True),
    }
    unnamed = [
        exclusion_row(
            {"patient_id": key[0], "session_id": key[1]},
            ExclusionReason.NO_RATING,
            "in neither table",
        )
        for key in zip(sessions["patient_id"], sessions["session_id"], strict=True)
        if key not in named
    ]
    return pairs, pd.concat([exclusions, exclusion_table(unnamed)], ignore_index=True)


def _self_pairs(pairs: pd.DataFrame) -> list[str]:
    return [
        f"{patient} {session} is paired with itself: it was rated twice, and the paper's code "
        f"takes the row before, which is the same session (flag {SELF_PAIR})"
        for patient, session in pairs.loc[
            pairs["flags"] == SELF_PAIR, ["patient_id", "current_session"]
        ].to_numpy()
    ]
