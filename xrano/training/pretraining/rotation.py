"""Pretext task (c): which way up a head lies, on single scans that need no rating.

After Gidaris et al. 2018 (arXiv:1803.07728) in 3D, with the six classes of the paper
(arXiv:2504.18268): the turns that bring the top of the head to each of the six sides of a cube.
Whichever way the head lies, its voxels are the scanner's own: quarter turns of a cube move voxels
and interpolate nothing. A scan's grid is made that cube first: voxels of equal edges where the
store's differ (or the stretch would tell the turn), then zeros on both sides of the shorter axes.
Zero is what the normalised scan holds outside of the brain, so that the filling tells nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from xrano.data.normalisation import SequenceStatistics, normalise
from xrano.data.store import Store, read_details, read_prepared
from xrano.errors import SplitError, VolumeError
from xrano.training.pretraining.pretext_loop import PretextTask

TURNS: tuple[tuple[int, tuple[int, int]], ...] = (
    (0, (1, 2)),
    (1, (1, 2)),
    (2, (1, 2)),
    (3, (1, 2)),
    (1, (0, 2)),
    (3, (0, 2)),
)
"""Class index to quarter turns and the plane (axes of ``numpy.rot90``) that they turn in."""

HELD_OUT_SHARE = 0.2
"""Share of the training patients whose scans only measure the accuracy."""


@dataclass(frozen=True, order=True)
class SingleScan:
    """One sequence of one session."""

    patient_id: str
    session_id: str
    sequence: str


def turned(cube: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """A cube ``(s, s, s)`` turned as class ``turn`` says.

    Example:
        >>> cube = np.zeros((2, 2, 2), dtype=np.float32)
        >>> cube[0, 0, 1] = 1.0
        >>> [tuple(int(n) for n in np.argwhere(turned(cube, turn))[0]) for turn in range(6)]
        [(0, 0, 1), (0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 0), (1, 0, 1)]
    """
    times, axes = TURNS[turn]
    return np.ascontiguousarray(np.rot90(cube, times, axes))


def as_cube(
    volume: NDArray[np.float32], spacing: tuple[float, float, float]
) -> NDArray[np.float32]:
    """A scan ``(i, j, k)`` on a cube of voxels with equal edges.

    Voxels whose edges (mm) differ by more than a hundredth are interpolated to the cube of their
    own volume first; then zeros fill the shorter axes on both sides.

    Example:
        >>> as_cube(np.ones((4, 6, 5), dtype=np.float32), (1.0, 1.0, 1.0)).shape
        (6, 6, 6)
        >>> as_cube(np.ones((4, 4, 2), dtype=np.float32), (1.0, 1.0, 8.0)).shape
        (8, 8, 8)
    """
    if max(spacing) > 1.01 * min(spacing):
        edge = float(np.prod(spacing)) ** (1 / 3)
        shape = [
            max(1, round(size * step / edge))
            for size, step in zip(volume.shape, spacing, strict=True)
        ]
        batch = torch.from_numpy(np.ascontiguousarray(volume))[None, None]
        volume = F.interpolate(batch, size=shape, mode="trilinear", align_corners=False)[
            0, 0
        ].numpy()
    side = max(volume.shape)
    lacking = [side - size for size in volume.shape]
    return np.pad(volume, [(missing // 2, missing - missing // 2) for missing in lacking])


class TurnedScans(Dataset[tuple[Tensor, int]]):
    """Scans as ``((1, s, s, s) float32, turn)``, each turn equally often in an epoch.

    A scan is brought to mean 0 and SD 1 of its own brain. That leaks how ill a brain is, but here
    is no response to be learnt.

    Args:
        store: an opened store.
        scans: which of its scans.
        seed: with the epoch, decides the turns.
    """

    def __init__(self, store: Store, scans: Sequence[SingleScan], *, seed: int) -> None:
        self._store = store
        self._scans = tuple(scans)
        self._seed = seed
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self._scans)

    def set_epoch(self, epoch: int) -> None:
        """Draw the turns of this epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        self._turns = rng.permutation(np.arange(len(self._scans)) % len(TURNS))

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        turn = int(self._turns[row])
        cube = as_cube(_normalised(self._store, self._scans[row]), self._store.grid.spacing)
        return torch.from_numpy(turned(cube, turn)[None]), turn


def _normalised(store: Store, scan: SingleScan) -> NDArray[np.float32]:
    path = store.session_path(scan.patient_id, scan.session_id)
    session = read_prepared(path, (scan.sequence,))
    volume = session.sequences[scan.sequence].astype(np.float32)
    inside = volume[session.brain]
    spread = float(inside.std()) if inside.size else 0.0
    if not spread > 0:
        raise VolumeError(f"{path}: {scan.sequence} does not vary inside the brain; prepare again")
    return normalise(volume, SequenceStatistics(float(inside.mean()), spread), session.brain)


def single_scans(
    store: Store,
    sequences: Sequence[str],
    training_patients: Collection[str],
    held_out_patients: Collection[str],
) -> tuple[SingleScan, ...]:
    """Every scan of the training patients, whether a session is rated, in a pair, or neither.

    Args:
        store: an opened store.
        sequences: wanted; a session gives those that it has.
        training_patients: whose scans may be seen.
        held_out_patients: whose scans must not be.

    Raises:
        SplitError: if a patient is both, or there is no scan.
    """
    wanted, forbidden = set(training_patients), set(held_out_patients)
    both = sorted(wanted & forbidden)
    if both:
        raise SplitError(
            f"pretraining would read scans of {len(both)} patients who are held out "
            f"({', '.join(both[:5])}); give the training patients without them"
        )
    scans = []
    for patient_id, session_id in _sessions(store, wanted):
        path = store.session_path(patient_id, session_id)
        # A session that failed in preparation stays in the table without a file.
        if path.is_file():
            there = set(read_details(path)["sequences"]) & set(sequences)
            scans += [SingleScan(patient_id, session_id, name) for name in there]
    if not scans:
        raise SplitError(
            f"pretraining rotation finds no scan of {', '.join(sequences)} of {len(wanted)} "
            f"training patients in {store.root}; with folds by timepoint nearly every patient is "
            "held out: group them by patient, or choose another kind of pretraining"
        )
    return tuple(sorted(scans))


def _sessions(store: Store, patients: Collection[str]) -> list[tuple[str, str]]:
    """Every session of the patients, in the table's order."""
    table = store.sessions
    names = zip(table["patient_id"].astype(str), table["session_id"].astype(str), strict=True)
    return [(patient_id, session_id) for patient_id, session_id in names if patient_id in patients]


def rotation_task(store: Store, scans: Sequence[SingleScan], *, seed: int) -> PretextTask:
    """Scans of most patients to learn from, those of a fifth of them to measure on.

    With one patient there is nothing to measure on.
    """
    patients = sorted({scan.patient_id for scan in scans})
    aside: set[str] = set()
    if len(patients) > 1:
        count = max(1, round(HELD_OUT_SHARE * len(patients)))
        order = np.random.default_rng(seed).permutation(len(patients))
        aside = {patients[index] for index in order[:count]}
    training = [scan for scan in scans if scan.patient_id not in aside]
    measured = [scan for scan in scans if scan.patient_id in aside]
    return PretextTask(
        "rotation",
        len(TURNS),
        TurnedScans(store, training, seed=seed),
        TurnedScans(store, measured, seed=seed + 1) if measured else None,
    )
