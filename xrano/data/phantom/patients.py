"""One phantom patient from first scan to last, in memory.

Random streams are separate for the anatomy, the course, each visit's scans and the private texture,
so that nothing but the tumour can know the response.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.data.phantom.anatomy import (
    BrainVoxels,
    PatientAnatomy,
    atlas_grid,
    draw_anatomy,
    draw_misalignment,
    load_template,
)
from xrano.data.phantom.course import (
    Standing,
    draw_response,
    draw_volume,
    holds,
    open_intervals,
)
from xrano.data.phantom.lesions import PlacementMap
from xrano.data.phantom.operations import (
    PREOP_ML,
    operation_chance,
    preop_chance,
    residual_interval,
)
from xrano.data.phantom.repeats import own_response
from xrano.data.phantom.scans import draw_appearance, render
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.phantom.texture import draw_texture
from xrano.data.phantom.tumour_state import (
    Tumour,
    change,
    counted_ml,
    draw_first_tumour,
    operate,
    share_first,
)
from xrano.geometry import Grid, dilate_mm
from xrano.rano import Response, Role, rate_course
from xrano.resampling import resample
from xrano.types import Mask

_PLACING_MM = 4.0
_TRIES_A_RESPONSE = 6


@dataclass(frozen=True, eq=False)
class PhantomSession:
    """One visit: what is known of it, and its images on the atlas grid.

    Attributes:
        patient_id, session_id: as in LUMIERE.
        week: weeks since the first scan.
        role: preop, postop or followup.
        surgery: whether an operation lies between this scan and the one before.
        new_lesion: whether a lesion stands where none was on the scan before.
        volumes_ml: enhancing, necrosis, oedema, as counted in ``labels``.
        rating: the rule's answer for a follow-up; ``None`` around operations.
        images: sequence to float32 (i, j, k), 0 outside the brain.
        labels: uint8 (i, j, k), DeepBraTumIA's labels.
        brain: (i, j, k) brain mask.
        grid: the atlas grid at the settings' spacing.
    """

    patient_id: str
    session_id: str
    week: int
    role: Role
    surgery: bool
    new_lesion: bool
    volumes_ml: tuple[float, float, float]
    rating: Response | None
    images: dict[str, NDArray[np.float32]]
    labels: NDArray[np.uint8]
    brain: Mask
    grid: Grid


@dataclass(frozen=True)
class _Event:
    """A planned scan; ``suffix`` orders scans of one week."""

    role: Role
    week: int
    suffix: int = 0

    @property
    def session_id(self) -> str:
        return f"week-{self.week:03d}" + (f"-{self.suffix}" if self.suffix else "")


def phantom_patient(settings: PhantomSettings, number: int) -> Iterator[PhantomSession]:
    """The sessions of patient ``number`` (from 1), in order of time.

    Example:
        >>> settings = PhantomSettings(spacing_mm=6.0, visits=(1, 1))
        >>> [session.grid.shape for session in phantom_patient(settings, 1)][:1]
        [(31, 37, 31)]
    """
    return _Patient(settings, number).live()


class _Patient:
    """The moving state of one patient's course."""

    def __init__(self, settings: PhantomSettings, number: int) -> None:
        self.settings = settings
        self.number = number
        self.patient_id = f"Patient-{number:03d}"
        self.grid = atlas_grid(settings.spacing_mm)
        self.template = load_template(settings.spacing_mm)
        self.rng = self._stream(1)
        body = self._stream(0)
        self.anatomy = draw_anatomy(body)
        self.appearance = draw_appearance(body)
        strength = settings.texture
        self.texture = draw_texture(self._stream(5), strength) if strength else None
        self.own = own_response(settings, number)
        self.places = _placement_map(self.anatomy)
        # Half a voxel's diagonal, and a misalignment of six standard deviations.
        reach_mm = 4.0 + 6.0 * settings.misalignment_mm
        near = dilate_mm(self.places.brain.mask, self.places.brain.grid.spacing, reach_mm)
        self.surroundings = resample(
            near, self.places.brain.grid, self.grid, order=0, outside="edge"
        )
        self.tumour = draw_first_tumour(self.rng, settings, self.places)
        self.burdens: list[float] = []
        self.surgery: list[bool] = []
        self.new_lesions: list[bool] = []
        self.seen: Counter[Response] = Counter()

    def _stream(self, *words: int) -> np.random.Generator:
        # First words: 0 anatomy, 1 course, 2 scans, 5 texture; 3 and 4 are taken elsewhere, by
        # the raw scans' frames and the demographics.
        return np.random.default_rng([self.settings.seed, self.number, *words])

    def live(self) -> Iterator[PhantomSession]:
        low, high = self.settings.visits
        visits = int(self.rng.integers(low, high + 1))
        week = 0
        yield from self._operation(week, with_preop=self.rng.random() < 0.7)
        since_surgery = 0
        for _ in range(visits):
            burden = self.tumour.burden_ml
            if since_surgery and self._happens(operation_chance(self.settings, burden)):
                week += int(self.rng.integers(6, 21))
                with_preop = self._happens(preop_chance(self.settings, burden))
                yield from self._operation(week, with_preop=with_preop)
                since_surgery = 0
            # At least three months, as after an operation, whatever came before: so the gap
            # cannot know the response.
            week += int(self.rng.integers(13, 21))
            yield self._scan(_Event(Role.FOLLOWUP, week))
            since_surgery += 1

    def _happens(self, chance: float) -> bool:
        # Certain events draw nothing.
        return chance >= 1.0 or bool(self.rng.random() < chance)

    def _operation(self, week: int, *, with_preop: bool) -> Iterator[PhantomSession]:
        if with_preop:
            yield self._scan(_Event(Role.PREOP, week, 1))
        yield self._scan(_Event(Role.POSTOP, week, 2 if with_preop else 0))

    def _scan(self, event: _Event) -> PhantomSession:
        stream = self._stream(2, len(self.burdens))
        pose = draw_misalignment(stream, self.settings.misalignment_mm)
        brain = self.anatomy.scan(self.template, self.grid, pose, self.surroundings)
        operated = event.role is Role.POSTOP and (bool(self.burdens) or event.suffix != 0)
        if event.role is Role.FOLLOWUP:
            self.tumour = self._followed(brain)
        elif event.role is Role.PREOP:
            self.tumour = self._before_operation(brain)
        else:
            self.tumour = self._operated(brain)
        self._record(self.tumour, surgery=operated)
        rating = self._ratings()[-1] if event.role is Role.FOLLOWUP else None
        if rating is not None:
            self.seen[rating] += 1
        tissue = self.tumour.paint(brain)
        return PhantomSession(
            patient_id=self.patient_id,
            session_id=event.session_id,
            week=event.week,
            role=event.role,
            surgery=operated,
            new_lesion=self.tumour.new_lesion,
            volumes_ml=counted_ml(tissue.labels, self.settings),
            rating=rating,
            images=render(stream, brain, tissue, self.appearance, self.settings, self.texture),
            labels=brain.fill(tissue.labels),
            brain=brain.mask,
            grid=self.grid,
        )

    def _record(self, tumour: Tumour, *, surgery: bool) -> None:
        self.burdens.append(tumour.burden_ml)
        self.surgery.append(surgery)
        self.new_lesions.append(tumour.new_lesion)

    def _ratings(self) -> list[Response | None]:
        return rate_course(
            self.burdens,
            surgery=self.surgery,
            new_lesions=self.new_lesions,
            reference=self.settings.reference,
        )

    def _before_operation(self, brain: BrainVoxels) -> Tumour:
        total = draw_volume(self.rng, PREOP_ML)
        if not self.burdens:
            return self.tumour.grown_to(brain, share_first(self.rng, self.tumour, total))
        tumour, wanted = change(
            self.rng, self.settings, self.places, self.tumour, max(total, self.burdens[-1])
        )
        return tumour.grown_to(brain, wanted)

    def _operated(self, brain: BrainVoxels) -> Tumour:
        residual = draw_volume(self.rng, residual_interval(self.settings))
        tumour, wanted = operate(self.rng, self.settings, self.places, self.tumour, residual)
        return tumour.grown_to(brain, wanted)

    def _followed(self, brain: BrainVoxels) -> Tumour:
        opened = open_intervals(self.settings, self._standing())
        own = self.own if self.own and self._happens(self.settings.repeat_ratings) else None
        while True:
            response = own if own in opened else None
            response = response or draw_response(self.rng, self.settings, opened, self.seen)
            for _ in range(_TRIES_A_RESPONSE):
                total = draw_volume(self.rng, opened[response])
                tumour, wanted = change(self.rng, self.settings, self.places, self.tumour, total)
                tumour = tumour.grown_to(brain, wanted)
                if holds(opened[response], tumour.burden_ml):
                    return tumour
            # Voxels are too coarse, or the brain too full, for this response: take another. The
            # response of volume 0 is always open and always holds.
            del opened[response]

    def _standing(self) -> Standing:
        if self.settings.reference == "previous":
            return Standing(self.burdens[-1], self.burdens[-1])
        start = max((i for i, operated in enumerate(self.surgery) if operated), default=0)
        return Standing(self.burdens[start], min(self.burdens[start:]))


def _placement_map(anatomy: PatientAnatomy) -> PlacementMap:
    grid = atlas_grid(_PLACING_MM)
    brain = anatomy.scan(load_template(_PLACING_MM), grid, np.eye(4))
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(brain.mask, 1), sampling=_PLACING_MM))
    return PlacementMap(brain, depth[1:-1, 1:-1, 1:-1][brain.mask].astype(np.float32))
