"""Explain two sessions that belong to no cohort, by a run's network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.attribution.methods import AttributionSettings
from xrano.data.datasets.lumiere_layout import read_session_directory
from xrano.data.pair_volumes import (
    PairVolumes,
    assemble_pair,
    session_pair_statistics,
    unpack_statistics,
)
from xrano.data.pairing.pairs import pair_id as make_pair_id
from xrano.data.preparation.prepare_session import prepare_session
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.preparation.session_placement import place_sessions
from xrano.data.privacy import cohort_findings, privacy_note
from xrano.data.store import PreparedSession
from xrano.data.tables import segmentation_table
from xrano.errors import ConfigError, ManifestError, UnknownNameError, VolumeError, XranoWarning
from xrano.experiments.explained_pairs import explainers_by_fold, write_explanation
from xrano.experiments.scan_place import place_in_session
from xrano.training.run import Run


def explain_outside(
    run: Run,
    prior: Path,
    current: Path,
    methods: Sequence[str],
    out: Path,
    *,
    target: str = "predicted",
    settings: AttributionSettings | None = None,
    save_maps: bool = True,
    panel: dict[str, Any] | None = None,
    scan: str = "",
) -> Path:
    """Explain two session folders; the patient must not be one that the network has seen.

    For a store of images in an atlas they must lie in that atlas (LUMIERE's for a LUMIERE run);
    for a store of scans as they came from the scanner they are registered as its own were. A
    warning names the files whose header or name looks as if it told who the patient is.

    Args:
        run: the run.
        prior: folder of the earlier session (LUMIERE's layout, or flat files ``T1.nii.gz`` …).
        current: folder of the later one.
        methods: methods, with baselines.
        out: output folder.
        target: a name in :data:`xrano.target_words.TARGET_CHOICES`, except ``response``.
        settings: of the methods.
        save_maps: whether to write maps besides the panel.
        panel: options of :func:`xrano.viz.panel.case_panel`.
        scan: as for :func:`~xrano.experiments.explained_pairs.explain_pairs`.

    Returns:
        The panel.

    Raises:
        UnknownNameError: if the network has no sequence ``scan``.
        VolumeError: if a sequence that the network needs is missing or cannot be used.
        ManifestError: if the brain does not lie in the field of view of the run's store, or it
            cannot be told in which scan's world a mask lies.
        SplitError: if a scan is of the cohort, and of a patient whose own fold was not trained.
    """
    if scan and scan not in run.layout.sequences:
        raise UnknownNameError("sequence", scan, run.layout.sequences)
    patient = _patient(run, prior, current)
    rows = [_row(run, Path(folder), patient) for folder in (prior, current)]
    if rows[0]["session_id"] == rows[1]["session_id"]:
        rows[0]["session_id"] += "-prior"
    if target == "response":
        raise ConfigError("two sessions outside a cohort have no response to explain")
    if run.config.model.clinical:
        raise ConfigError(
            "the network of this run needs clinical data, which scans outside of its cohort do "
            "not have; index and prepare them, or name a pair of the cohort"
        )
    note = privacy_note(cohort_findings(pd.DataFrame(rows), segmentation_table([])))
    if note:
        warnings.warn(note, XranoWarning, stacklevel=2)
    # Registration takes minutes: what can be refused before it is.
    named = "_".join([patient, *(row["session_id"] for row in rows)])
    asked = {"patient_id": patient, "pair_id": named}
    explainers = explainers_by_fold(run, [asked], methods, settings)
    sessions = _sessions(run, rows, Path(out))
    pair, statistics = _pair(run, sessions[0], sessions[1])
    return write_explanation(
        pair,
        next(iter(explainers.values())),
        out,
        place=place_in_session(
            sessions[1],
            rows[1],
            statistics["current"],
            scan or run.layout.sequences[0],
            PrepareSettings(**run.store.settings).affine_from,
        ),
        target=target,
        settings=settings or AttributionSettings(),
        save_maps=save_maps,
        panel={**(panel or {}), **({"scan": scan} if scan else {})},
    )


def _patient(run: Run, prior: Path, current: Path) -> str:
    """The patient: of the run's cohort if a scan is one of it, else the folder above ``current``.

    A scan of the cohort must be explained by the network that never saw its patient, under
    whatever name its folder is given.
    """
    known = {
        str(Path(row[name]).resolve()): row["patient_id"]
        for row in run.store.sessions.to_dict("records")
        for name in run.store.sequences
        if row[name]
    }
    found = {
        known[str(Path(path).resolve())]
        for folder in (prior, current)
        for path in _files(run, Path(folder)).values()
        if str(Path(path).resolve()) in known
    }
    if len(found) > 1:
        raise ConfigError(f"the two folders are of different patients: {', '.join(sorted(found))}")
    return found.pop() if found else Path(current).resolve().parent.name or "patient"


def _files(run: Run, folder: Path) -> dict[str, str]:
    files = read_session_directory(folder, space=_space(run))
    missing = [name for name in run.layout.sequences if not files["sequences"].get(name)]
    if missing:
        raise VolumeError(
            f"{folder} lacks {', '.join(missing)}; this network was trained on "
            f"{', '.join(run.layout.sequences)}"
        )
    return {name: str(path) for name, path in files["sequences"].items()}


def _row(run: Run, folder: Path, patient: str) -> dict[str, Any]:
    """The folder as a row of a sessions table, with its segmentation beside."""
    files = read_session_directory(folder, space=_space(run))
    return {
        # All that the store knows: the cohort's own sessions were registered with all of theirs.
        **dict.fromkeys(run.store.sequences, ""),
        **_files(run, folder),
        "patient_id": patient,
        "session_id": folder.resolve().name,
        "brain_mask": files["brain_mask"],
        "brain_mask_sequence": files["brain_mask_sequence"],
        "space": _space(run),
        "segmentation": files["segmentation"],
        "segmentation_sequence": files["segmentation_sequence"],
        "scheme": files["scheme"],
    }


def _space(run: Run) -> str:
    return str(run.store.sessions["space"].iloc[0])


def _sessions(run: Run, rows: list[dict[str, Any]], out: Path) -> list[PreparedSession]:
    settings = PrepareSettings(**run.store.settings)
    names = run.store.sequences
    sessions = []
    for row, outcome in zip(rows, place_sessions(rows, names, settings, out), strict=True):
        if outcome.value is None:
            raise outcome.error or VolumeError(f"{row['session_id']} could not be registered")
        labelled: list[dict[Any, Any]] = []
        if row["segmentation"]:
            labelled = [
                {
                    "source": "segmentation",
                    "scheme": row["scheme"],
                    "path": row["segmentation"],
                    "sequence": row["segmentation_sequence"],
                }
            ]
        session, _ = prepare_session(
            row,
            labelled,
            names,
            run.store.grid,
            to_common=outcome.value.to_common,
            alignment=outcome.value.alignment,
            settings=settings,
        )
        if session.brain.mean() < 0.05:
            raise ManifestError(
                f"{row['session_id']}: hardly any brain lies in the field of view of the run's "
                "store; the images must be in the same space as those that the network was "
                "trained on"
            )
        sessions.append(session)
    return sessions


def _pair(
    run: Run, prior: PreparedSession, current: PreparedSession
) -> tuple[PairVolumes, dict[str, Any]]:
    """The pair, and the statistics that it was normalised by."""
    settings = run.store.settings
    statistics = session_pair_statistics(
        prior,
        current,
        run.store.grid.spacing,
        normalisation=settings["normalisation"],
        margin_mm=settings["margin_mm"],
    )
    pair = assemble_pair(
        prior,
        current,
        run.layout,
        run.store.grid,
        unpack_statistics(statistics),
        normalised_by=str(statistics["region"]),
        pair_id=make_pair_id(current.patient_id, prior.session_id, current.session_id),
    )
    return pair, statistics
