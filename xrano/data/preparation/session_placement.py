"""Where every session lies in the cohort's common world: told by its space, or registered.

Space ``atlas`` is the common world. Sessions in space ``session`` or ``native`` are registered,
patient by patient (:mod:`xrano.data.registration.alignment`); the result is a matrix a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xrano.data.nifti_files import read_grid
from xrano.data.preparation.jobs import Outcome, attempt, run_jobs
from xrano.data.preparation.placed_session import ToCommon, read_session, same_world, world_of
from xrano.data.preparation.prepare_settings import MNI152, NO_TEMPLATE, PrepareSettings
from xrano.data.volumes import read_mask, read_scan
from xrano.errors import ConfigError, VolumeError, XranoError
from xrano.geometry import Grid, inverse, moved_by, ras_grid
from xrano.progress import Progress, quiet

if TYPE_CHECKING:
    from xrano.data.registration.alignment import SessionAlignment
    from xrano.data.registration.sessions import SessionScans

ALIGNMENT_FOLDER = "alignment"
TRANSFORM_FOLDER = "transforms"


@dataclass(frozen=True, eq=False)
class Placement:
    """Matrices (4, 4) from the worlds of a session's files to the common world, and their story."""

    to_common: ToCommon
    alignment: Mapping[str, Any]


def place_sessions(
    rows: Sequence[Mapping[str, Any]],
    names: tuple[str, ...],
    settings: PrepareSettings,
    out: Path,
    jobs: int = 1,
    progress: Progress = quiet,
) -> list[Outcome[Placement]]:
    """The placement of each session, or why there is none; in the order of the rows.

    What registration finds is kept below ``out``, so that an interrupted run goes on.

    Raises:
        ConfigError: if the settings need antspyx, which is not installed, or a template and name
            none.
        VolumeError: if the template cannot be read.
    """
    in_place = all(row["space"] == "atlas" for row in rows)
    if settings.n4 or settings.denoise or not in_place:
        _require_ants()
    if in_place:
        return [Outcome(Placement(same_world(names), {}), None) for _ in rows]
    _require_template(settings)
    patients: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        patients.setdefault(row["patient_id"], []).append(index)
    work = [
        _PatientJob([rows[index] for index in indices], names, settings, out)
        for indices in patients.values()
    ]
    found: dict[int, Outcome[Placement]] = {}
    outcomes = run_jobs(_align_patient, work, jobs=jobs, progress=progress, what="registering")
    for indices, outcome in zip(patients.values(), outcomes, strict=True):
        failed: Outcome[Placement] = Outcome(None, outcome.error, outcome.remarks)
        each = outcome.value if outcome.value is not None else [failed] * len(indices)
        found.update(zip(indices, each, strict=True))
    return [found[index] for index in range(len(rows))]


def _require_ants() -> None:
    """One refusal for all, before any session is read; loading it here would cost seconds."""
    if find_spec("ants") is None:
        from xrano.data.registration.ants_images import load_ants

        load_ants()


def _require_template(settings: PrepareSettings) -> None:
    if settings.template == NO_TEMPLATE and settings.chain == "atlas":
        raise ConfigError("chain 'atlas' needs a template; name one, or take chain 'patient'")
    if settings.template not in (NO_TEMPLATE, MNI152):
        read_scan(settings.template)


def base_grid(
    rows: Sequence[Mapping[str, Any]],
    placed: Mapping[tuple[str, str], Placement],
    names: tuple[str, ...],
    settings: PrepareSettings,
) -> Grid:
    """The RAS+ grid that the common grid is cut from: the template's, or that of the first scan.

    Raises:
        VolumeError: if no scan of any session can be opened, or the template.
    """
    if rows[0]["space"] != "atlas" and settings.template != NO_TEMPLATE:
        from xrano.data.registration.template import load_template

        template = load_template(settings.template)
        if template is not None:
            return ras_grid(template.grid)
    errors: list[XranoError] = []
    for row in rows:
        to_common = placed[row["patient_id"], row["session_id"]].to_common
        for name in names:
            if row[name]:
                try:
                    grid = read_grid(row[name], affine_from=settings.affine_from)
                except VolumeError as error:
                    errors.append(error)
                    continue
                return ras_grid(moved_by(grid, to_common[name]))
    raise (
        errors[0]
        if errors
        else VolumeError(
            f"{rows[0]['patient_id']} {rows[0]['session_id']} has neither an image of "
            f"{', '.join(names) or 'any sequence'} nor a brain mask"
        )
    )


@dataclass(frozen=True, eq=False)
class _PatientJob:
    rows: list[Mapping[str, Any]]
    names: tuple[str, ...]
    settings: PrepareSettings
    out: Path


def _align_patient(job: _PatientJob) -> list[Outcome[Placement]]:
    """Register one patient's sessions; one that fails is left out, not the others."""
    from xrano.data.registration.alignment import align_patient
    from xrano.data.registration.settings import AlignmentSettings
    from xrano.data.registration.template import load_template

    outcomes = [attempt(partial(_scans_of, job), row) for row in job.rows]
    readable = [outcome.value for outcome in outcomes if outcome.value is not None]
    settings = AlignmentSettings(
        kind=job.settings.registration, chain=job.settings.chain, template=job.settings.template
    )
    cache = job.out / ALIGNMENT_FOLDER / job.rows[0]["patient_id"]
    aligned = {}
    failures: dict[str, VolumeError] = {}
    if readable:
        template = load_template(settings.template)
        # One thread: with more, two runs of ANTs end some 0.1 mm apart.
        aligned = align_patient(readable, template, settings, cache, threads=1, failures=failures)
    found: list[Outcome[Placement]] = []
    for row, outcome in zip(job.rows, outcomes, strict=True):
        error = outcome.error or failures.get(row["session_id"])
        placement = None
        if error is None:
            alignment = aligned[row["session_id"]]
            _write_transforms(job.out, row, alignment.to_common)
            placement = Placement(alignment.to_common, _story(alignment))
        found.append(Outcome(placement, error, outcome.remarks))
    return found


def _scans_of(job: _PatientJob, row: Mapping[str, Any]) -> SessionScans:
    """A session for registration, after a look at whether its files can be used."""
    from xrano.data.registration.sessions import ScanSource, SessionScans

    affine_from = job.settings.affine_from
    read_session(row, job.names, same_world(job.names), affine_from)
    load = partial(read_scan, affine_from=affine_from)
    present = [name for name in job.names if row[name]]
    mask_lies_with = ""
    if row["brain_mask"]:
        mask = read_mask(row["brain_mask"], affine_from=affine_from)
        told = str(row.get("brain_mask_sequence") or "")
        mask_lies_with = world_of(mask, row, present, told, "brain_mask_sequence", affine_from)
    return SessionScans(
        session_id=row["session_id"],
        space=row["space"],
        scans={name: ScanSource(Path(row[name]), load, affine_from) for name in present},
        brain_mask=Path(row["brain_mask"]) if row["brain_mask"] else None,
        brain_mask_sequence=mask_lies_with,
        load_mask=partial(read_mask, affine_from=affine_from),
    )


def _story(alignment: SessionAlignment) -> dict[str, Any]:
    """What a session file keeps of its alignment."""
    return {
        "anchor": alignment.anchor,
        "steps": [
            {**asdict(step), "moving": Path(step.moving).name, "fixed": Path(step.fixed).name}
            for step in alignment.steps
        ],
    }


def _write_transforms(out: Path, row: Mapping[str, Any], to_common: ToCommon) -> None:
    """The matrices as ITK files, for ITK-SNAP, ANTs and SimpleITK."""
    from xrano.data.registration.itk_transforms import write_itk_transform

    folder = out / TRANSFORM_FOLDER / row["patient_id"] / row["session_id"]
    for name, matrix in to_common.items():
        # ITK's direction is that of resampling: from points of the result to those of the scan.
        write_itk_transform(folder / f"{name}_to_common.txt", inverse(matrix))
