"""All scans of one patient into one common space, by a chain of registrations.

In a native session every sequence goes rigidly to the session's *anchor*, its most isotropic
sequence. Each session goes rigidly to the patient's first, by a sequence that both have (the
first one's anchor if possible). The first one's anchor goes to the template. A matrix of a scan is
the product of those steps, so its voxels are interpolated once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xrano.data.registration.registrar import Registrar
from xrano.data.registration.sessions import SessionScans
from xrano.data.registration.settings import AlignmentSettings
from xrano.data.registration.steps import RegistrationStep, StepCache, WithinSession
from xrano.data.registration.template import Template
from xrano.errors import ConfigError, ManifestError, VolumeError
from xrano.types import Affine


@dataclass(frozen=True, eq=False)
class SessionAlignment:
    """Where the scans of a session lie in the common space.

    Attributes:
        session_id: as in the sessions table.
        anchor: the sequence that the session's others were brought to.
        to_common: sequence to (4, 4), world of its file to common world, RAS+ mm.
        steps: the registrations made for this session, in order; empty where none was needed.
    """

    session_id: str
    anchor: str
    to_common: dict[str, Affine]
    steps: tuple[RegistrationStep, ...]


def align_patient(
    scans: Sequence[SessionScans],
    template: Template | None,
    settings: AlignmentSettings,
    cache: Path | None = None,
    *,
    threads: int | None = None,
    failures: dict[str, VolumeError] | None = None,
) -> dict[str, SessionAlignment]:
    """Align all sessions of one patient.

    Args:
        scans: the sessions in order of time. The first one is what the others go to. Where there
            are brain masks, only the brain counts between sessions (scalp and neck move by half
            a millimetre against it) and only the brain is shown to the template.
        template: defines the common world. ``None``: the world of the first session's anchor is
            the common one. Sessions of space ``atlas`` are there already.
        settings: kind and chain. ``n4`` and ``denoise`` say what the sources' ``load`` does;
            nothing is corrected here, so that it is done once.
        cache: folder for the results of the steps, by files (path, size, time of change) and
            settings. A step found there is not made again, nor are its images read.
        threads: threads for ITK, if it is not loaded yet; 1 by default.
        failures: takes the errors of sessions that cannot be read or registered, by session id,
            and the others go on; without it the first such error is raised.

    Returns:
        Session id to its alignment.

    Raises:
        ManifestError: if two sessions have one id, or only some are in atlas space.
        ConfigError: if sessions should go to the atlas and there is no template, or antspyx is
            not installed.
        VolumeError: if an image cannot be read or registered; the message names both files.
    """
    _require_alignable(scans, template, settings)
    if all(session.space == "atlas" for session in scans):
        return {session.session_id: _in_atlas(session) for session in scans}
    registrar = Registrar(template, settings, StepCache(cache), threads)
    aligned: dict[str, SessionAlignment] = {}
    first: tuple[SessionScans, WithinSession, Affine] | None = None
    for session in scans:
        try:
            within = registrar.within(session)
            if settings.chain == "atlas" or first is None:
                to_common, more = registrar.to_template(session, within)
                first = first or (session, within, to_common)
            else:
                to_common, more = registrar.to_first(session, within, *first)
        except VolumeError as error:
            if failures is None:
                raise
            failures[session.session_id] = error
            continue
        steps = list(within.steps.values())
        aligned[session.session_id] = SessionAlignment(
            session.session_id,
            within.anchor,
            {name: to_common @ matrix for name, matrix in within.matrices.items()},
            (*steps, *more),
        )
    return aligned


def _require_alignable(
    scans: Sequence[SessionScans], template: Template | None, settings: AlignmentSettings
) -> None:
    names = [session.session_id for session in scans]
    if len(set(names)) != len(names):
        raise ManifestError(f"sessions of one patient must have different ids, got {names}")
    spaces = {session.space for session in scans}
    if "atlas" in spaces and len(spaces) > 1:
        raise ManifestError(
            f"sessions {', '.join(names)} of one patient lie in {', '.join(sorted(spaces))} space; "
            "take the raw scans of all of them, or the atlas images of all of them"
        )
    if settings.chain == "atlas" and template is None and spaces - {"atlas"}:
        raise ConfigError("chain 'atlas' needs a template; name one, or take chain 'patient'")


def _in_atlas(session: SessionScans) -> SessionAlignment:
    matrices: dict[str, Affine] = {name: np.eye(4) for name in session.scans}
    return SessionAlignment(session.session_id, next(iter(session.scans)), matrices, ())
