"""The registrations of one patient, made one by one or found where they were kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.data.registration.brain_masks import brain_on, mask_identity
from xrano.data.registration.file_identity import file_identity
from xrano.data.registration.linear import SEED, LinearRegistration, register
from xrano.data.registration.motion import inverse, mean_displacement_mm, rotation_degrees
from xrano.data.registration.sessions import (
    LoadedScan,
    ScanSource,
    SessionScans,
    most_isotropic,
)
from xrano.data.registration.settings import AlignmentSettings, Kind
from xrano.data.registration.steps import RegistrationStep, StepCache, WithinSession
from xrano.data.registration.template import Template
from xrano.errors import VolumeError
from xrano.geometry import Grid
from xrano.types import Affine, Mask

_CORRECTIONS = ("n4", "denoise")
"""Settings that change what a source loads."""


class Registrar:
    """Makes steps or finds them, and holds the fixed image that the next step may need again.

    Args:
        template: the common space, if there is one.
        settings: kind of the step to the template, and how sources are corrected.
        cache: where steps are kept.
        threads: as for :func:`~xrano.data.registration.linear.register`.
    """

    def __init__(
        self,
        template: Template | None,
        settings: AlignmentSettings,
        cache: StepCache,
        threads: int | None,
    ) -> None:
        self.template = template
        self.settings = settings
        self.cache = cache
        self.threads = threads
        self.fixed: LoadedScan | None = None

    def within(self, session: SessionScans) -> WithinSession:
        """Every sequence of a session to its anchor."""
        anchor = most_isotropic(session.scans)
        matrices: dict[str, Affine] = {name: np.eye(4) for name in session.scans}
        steps = {}
        if session.space == "native":
            for name in (name for name in session.scans if name != anchor):
                steps[name] = self._to_scan(session.scans[name], session.scans[anchor])
                matrices[name] = steps[name].affine
        return WithinSession(anchor, matrices, steps)

    def to_first(
        self,
        session: SessionScans,
        within: WithinSession,
        first: SessionScans,
        first_within: WithinSession,
        first_to_common: Affine,
    ) -> tuple[Affine, list[RegistrationStep]]:
        """A session's anchor world to the common world, by way of the patient's first session."""
        moving, fixed = _between(session, within.anchor, first, first_within.anchor)
        source, target = session.scans[moving], first.scans[fixed]
        made_from = {
            **self._made_from(source, "rigid"),
            "fixed": file_identity(target.path),
            "masks": [mask_identity(session, within), mask_identity(first, first_within)],
        }
        step = self.cache.find(made_from)
        if step is None:
            scan, there = source(), self._fixed(target)
            step = self._register(
                scan,
                scan.data,
                str(there.path),
                there.data,
                there.grid,
                "rigid",
                moving_mask=brain_on(session, within, moving, scan),
                fixed_mask=brain_on(first, first_within, fixed, there),
            )
            self.cache.keep(made_from, step)
        to_first_anchor = (
            first_within.matrices[fixed] @ step.affine @ inverse(within.matrices[moving])
        )
        return first_to_common @ to_first_anchor, [step]

    def to_template(
        self, session: SessionScans, within: WithinSession
    ) -> tuple[Affine, list[RegistrationStep]]:
        """A session's anchor world to the template's."""
        if self.template is None:
            return np.eye(4), []
        source, kind = session.scans[within.anchor], self.settings.kind
        made_from = {
            **self._made_from(source, kind),
            "template": self.template.identity,
            "mask": mask_identity(session, within),
        }
        step = self.cache.find(made_from)
        if step is None:
            scan = source()
            brain = brain_on(session, within, within.anchor, scan)
            data = scan.data if brain is None else np.where(brain, scan.data, np.float32(0))
            step = self._register(
                scan, data, self.template.name, self.template.data, self.template.grid, kind
            )
            self.cache.keep(made_from, step)
        return step.affine, [step]

    def _to_scan(self, moving: ScanSource, fixed: ScanSource) -> RegistrationStep:
        made_from = {**self._made_from(moving, "rigid"), "fixed": file_identity(fixed.path)}
        step = self.cache.find(made_from)
        if step is None:
            scan, there = moving(), self._fixed(fixed)
            step = self._register(scan, scan.data, str(there.path), there.data, there.grid, "rigid")
            self.cache.keep(made_from, step)
        return step

    def _fixed(self, source: ScanSource) -> LoadedScan:
        if self.fixed is None or self.fixed.path != source.path:
            self.fixed = source()
        return self.fixed

    def _made_from(self, moving: ScanSource, kind: Kind) -> dict[str, Any]:
        corrected = {
            name: value for name, value in asdict(self.settings).items() if name in _CORRECTIONS
        }
        return {"moving": file_identity(moving.path), "kind": kind, "seed": SEED, **corrected}

    def _register(
        self,
        scan: LoadedScan,
        data: NDArray[np.float32],
        fixed_name: str,
        fixed: NDArray[np.float32],
        fixed_grid: Grid,
        kind: Kind,
        *,
        moving_mask: Mask | None = None,
        fixed_mask: Mask | None = None,
    ) -> RegistrationStep:
        try:
            found = register(
                data,
                scan.grid,
                fixed,
                fixed_grid,
                kind=kind,
                moving_mask=moving_mask,
                fixed_mask=fixed_mask,
                threads=self.threads,
            )
        except VolumeError as error:
            raise VolumeError(
                f"{scan.path} cannot be registered to {fixed_name}: {error}"
            ) from error
        return _described(found, scan, fixed_name, kind)


def _described(
    found: LinearRegistration, scan: LoadedScan, fixed_name: str, kind: Kind
) -> RegistrationStep:
    centre = scan.grid.world((np.array(scan.grid.shape) - 1) / 2)
    return RegistrationStep(
        moving=str(scan.path),
        fixed=fixed_name,
        kind=kind,
        matrix=tuple(tuple(row) for row in found.matrix.tolist()),
        mutual_information_before=found.before,
        mutual_information_after=found.after,
        rotation_deg=rotation_degrees(found.matrix),
        translation_mm=mean_displacement_mm(found.matrix, centre[None]),
    )


def _between(
    session: SessionScans, anchor: str, first: SessionScans, first_anchor: str
) -> tuple[str, str]:
    """The sequence of a session and that of the first session to register it to."""
    if first_anchor in session.scans:
        return first_anchor, first_anchor
    both = {name: scan for name, scan in first.scans.items() if name in session.scans}
    if both:
        name = most_isotropic(both)
        return name, name
    return anchor, first_anchor
