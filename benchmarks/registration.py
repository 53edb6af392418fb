"""How exact is the registration? Real scans with given transforms, and a phantom moved on purpose.

    python -m benchmarks.registration [--data ../shared/data] [--seeds 1 2 3]

Errors are mean displacements over the brain's voxels, in mm. The real scans are one multiple
sclerosis patient at two visits (Lesjak et al. 2016), whose database gives ITK transforms: an ITK
transform named "T1W to FLAIR" takes points of the FLAIR to points of the T1W, and "FLAIR to common
space" takes points of the common space to points of the FLAIR.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from xrano.data.phantom import PhantomSettings, phantom_patient
from xrano.data.phantom.anatomy import rigid
from xrano.data.registration.alignment import SessionAlignment, align_patient
from xrano.data.registration.itk_transforms import read_itk_transform
from xrano.data.registration.linear import register
from xrano.data.registration.motion import inverse, mean_displacement_mm, rotation_degrees
from xrano.data.registration.sessions import ScanSource, SessionScans
from xrano.data.registration.settings import AlignmentSettings
from xrano.data.volumes import MaskVolume, Scan, read_mask, read_scan
from xrano.geometry import Grid
from xrano.resampling import resample
from xrano.types import Affine

PATIENT = "ms-longitudinal-patient01"
STUDIES = (1, 2)
WITHIN_MM, BETWEEN_MM, DICE, SYNTHETIC_MM = 0.6, 0.5, 0.97, 0.5
POINTS = 20_000


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    before: float
    after: float
    needed: str
    seconds: float | None = None

    def __str__(self) -> str:
        seconds = "–" if self.seconds is None else f"{self.seconds:.0f} s"
        return f"| {self.what} | {self.before:.3f} | {self.after:.3f} | {self.needed} | {seconds} |"


class GivenTransforms:
    """The scans of the real patient, and where the database says that they lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.brain: MaskVolume = read_mask(folder / "brainmask.nii.gz")
        inside = np.argwhere(self.brain.mask)
        chosen = np.random.default_rng(0).choice(len(inside), POINTS, replace=False)
        self.points = self.brain.grid.world(inside[chosen])

    def path(self, study: int, sequence: str) -> Path:
        """The file of a scan."""
        return self.folder / f"study{study}_{sequence}.nii.gz"

    def scan(self, study: int, sequence: str) -> Scan:
        """A scan."""
        return read_scan(self.path(study, sequence))

    def from_common(self, study: int, sequence: str) -> Affine:
        """Common world to the world of a scan."""
        name = f"study{study}_FLAIR_to_common_space.txt"
        matrix = read_itk_transform(self.folder / name)
        if sequence == "FLAIR":
            return matrix
        within = self.folder / f"study{study}_{sequence}_intrastudy_to_FLAIR.txt"
        return np.asarray(read_itk_transform(within) @ matrix)

    def errors(
        self, matrix: Affine, moving: tuple[int, str], fixed: tuple[int, str]
    ) -> tuple[float, float]:
        """Error of the worlds as they are, and of a matrix from moving to fixed world."""
        truth = self.from_common(*fixed) @ inverse(self.from_common(*moving))
        points = apply_affine(self.from_common(*moving), self.points)
        return (
            mean_displacement_mm(np.eye(4), points, truth),
            mean_displacement_mm(matrix, points, truth),
        )

    def dice(self, matrix: Affine) -> tuple[float, float]:
        """Dice, on the first FLAIR's grid, of its brain and the second's, before and after."""
        grid = self.scan(1, "FLAIR").grid

        def brain(to_first: Affine) -> NDArray[np.bool_]:
            placed = Grid(self.brain.grid.shape, to_first @ self.brain.grid.affine)
            return resample(self.brain.mask, placed, grid, order=0)

        first, second = self.from_common(1, "FLAIR"), self.from_common(2, "FLAIR")
        reference = brain(first)
        found = []
        for carried in (brain(second), brain(matrix @ second)):
            both = np.count_nonzero(reference & carried)
            found.append(2 * both / (np.count_nonzero(reference) + np.count_nonzero(carried)))
        return found[0], found[1]


def two_at_a_time(given: GivenTransforms) -> Iterator[Row]:
    """One registration a row: within each study, and between the studies."""
    tasks = [((study, name), (study, "FLAIR")) for study in STUDIES for name in ("T1W", "T2W")]
    for moving, fixed in [*tasks, ((2, "FLAIR"), (1, "FLAIR"))]:
        a, b = given.scan(*moving), given.scan(*fixed)
        start = time.perf_counter()
        found = register(a.data, a.grid, b.data, b.grid)
        seconds = time.perf_counter() - start
        needed = WITHIN_MM if moving[0] == fixed[0] else BETWEEN_MM
        before, after = given.errors(found.matrix, moving, fixed)
        yield Row(f"{_name(moving)} → {_name(fixed)}", before, after, f"≤ {needed}", seconds)


def as_a_patient(given: GivenTransforms, *, masked: bool) -> Iterator[Row]:
    """The same through the common space that ``align_patient`` makes of all six scans.

    The database has one brain mask, in its common space; ``masked`` places it on each FLAIR by
    the given transform, as a mask of that scan. That chooses where to look, not what is found.
    """
    sessions = [
        SessionScans(
            f"study{study}",
            "native",
            {name: ScanSource(given.path(study, name)) for name in ("T1W", "T2W", "FLAIR")},
            brain_mask=given.folder / "brainmask.nii.gz" if masked else None,
            brain_mask_sequence="FLAIR",
            load_mask=partial(_placed, given.from_common(study, "FLAIR")),
        )
        for study in STUDIES
    ]
    by = "common space, brain between visits" if masked else "common space, no mask"
    start = time.perf_counter()
    aligned = align_patient(sessions, None, AlignmentSettings(template="none"))
    seconds = time.perf_counter() - start
    for study in STUDIES:
        for name in ("T1W", "T2W"):
            yield _chained(given, aligned, (study, name), (study, "FLAIR"), WITHIN_MM, by)
    yield _chained(given, aligned, (2, "FLAIR"), (1, "FLAIR"), BETWEEN_MM, by)
    between = _relative(aligned, (2, "FLAIR"), (1, "FLAIR"))
    before, after = given.dice(between)
    yield Row(f"Dice of the brains of both visits, {by}", before, after, f"≥ {DICE}")
    anchors = ", ".join(f"{key} {value.anchor}" for key, value in aligned.items())
    print(f"all six scans by align_patient, {by}: {seconds:.0f} s; anchors: {anchors}", flush=True)


def _placed(matrix: Affine, path: Path) -> MaskVolume:
    mask = read_mask(path)
    return MaskVolume(mask.mask, Grid(mask.grid.shape, matrix @ mask.grid.affine), path)


def _chained(
    given: GivenTransforms,
    aligned: dict[str, SessionAlignment],
    moving: tuple[int, str],
    fixed: tuple[int, str],
    needed: float,
    by: str,
) -> Row:
    before, after = given.errors(_relative(aligned, moving, fixed), moving, fixed)
    return Row(f"{_name(moving)} → {_name(fixed)}, {by}", before, after, f"≤ {needed}")


def _relative(
    aligned: dict[str, SessionAlignment], moving: tuple[int, str], fixed: tuple[int, str]
) -> Affine:
    to_common = aligned[f"study{moving[0]}"].to_common[moving[1]]
    return inverse(aligned[f"study{fixed[0]}"].to_common[fixed[1]]) @ to_common


def _name(scan: tuple[int, str]) -> str:
    return f"study {scan[0]} {scan[1]}"


def moved_phantom(seed: int) -> Row:
    """A phantom's T1 at 1 mm, turned and shifted, back to its own FLAIR."""
    settings = PhantomSettings(patients=1, spacing_mm=1.0, seed=seed)
    session = next(iter(phantom_patient(settings, 1)))
    truth = known_transform(seed)
    # The head moves in the scanner; the grid stays.
    placed = Grid(session.grid.shape, truth @ session.grid.affine)
    moved = resample(session.images["T1"], placed, session.grid)
    start = time.perf_counter()
    found = register(moved, session.grid, session.images["FLAIR"], session.grid)
    seconds = time.perf_counter() - start
    points = apply_affine(truth, session.grid.world(np.argwhere(session.brain)))
    back = inverse(truth)
    what = f"phantom, seed {seed}: {rotation_degrees(truth):.1f}°, shift {_shift_mm(truth):.1f} mm"
    before = mean_displacement_mm(np.eye(4), points, back)
    after = mean_displacement_mm(found.matrix, points, back)
    return Row(what, before, after, f"≤ {SYNTHETIC_MM}", seconds)


def known_transform(seed: int) -> Affine:
    """A turn of 5 to 10 degrees about a random axis and a shift of 5 to 15 mm."""
    rng = np.random.default_rng([seed, 77])
    # Small angles about x, y, z add up to one turn of nearly their length.
    return rigid(_vector(rng, 5.0, 9.9), _vector(rng, 5.0, 15.0))


def _vector(rng: np.random.Generator, low: float, high: float) -> NDArray[np.float64]:
    direction = rng.normal(size=3)
    return np.asarray(direction * rng.uniform(low, high) / np.linalg.norm(direction))


def _shift_mm(matrix: Affine) -> float:
    from xrano.data.phantom.anatomy import BRAIN_CENTRE_MM

    return mean_displacement_mm(matrix, BRAIN_CENTRE_MM[None])


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--seeds", type=int, nargs="*", default=(1, 2, 3))
    arguments: Any = parser.parse_args()
    print("| registration | before, mm | after, mm | needed | time |\n|---|---|---|---|---|")
    folder = arguments.data / PATIENT
    if folder.is_dir():
        given = GivenTransforms(folder)
        for row in chain(
            two_at_a_time(given),
            as_a_patient(given, masked=True),
            as_a_patient(given, masked=False),
        ):
            print(row, flush=True)
    else:
        print(f"real scans are not there: {folder}")
    for seed in arguments.seeds:
        print(moved_phantom(seed), flush=True)


if __name__ == "__main__":
    main()
