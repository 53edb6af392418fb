"""One registration of one file to another, kept on disk so that a killed run repeats no other."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrano.atomic_files import write_json
from xrano.text_files import read_json
from xrano.types import Affine

FORMAT = 1
"""Raised when the same files and settings would give another result."""


@dataclass(frozen=True)
class RegistrationStep:
    """What a registration found, for a page on its quality.

    Attributes:
        moving: the moving file.
        fixed: the fixed file, or the template's name.
        kind: ``rigid`` or ``affine``.
        matrix: rows of the (4, 4) matrix, moving world to fixed world, RAS+ mm.
        mutual_information_before: nats, with the worlds as they were.
        mutual_information_after: nats, with the matrix.
        rotation_deg: angle of the rotation.
        translation_mm: how far the centre of the moving grid moves.
    """

    moving: str
    fixed: str
    kind: str
    matrix: tuple[tuple[float, ...], ...]
    mutual_information_before: float
    mutual_information_after: float
    rotation_deg: float
    translation_mm: float

    @property
    def affine(self) -> Affine:
        """The matrix as an array."""
        return np.array(self.matrix, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class WithinSession:
    """A session by itself: its anchor, and each sequence's world to the anchor's."""

    anchor: str
    matrices: dict[str, Affine]
    steps: dict[str, RegistrationStep]


class StepCache:
    """Results of steps as JSON files in a folder, named by a hash of what they were made from.

    Args:
        folder: where they are kept; ``None`` keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def find(self, made_from: Any) -> RegistrationStep | None:
        """The result kept for these inputs; a file that cannot be read counts as none."""
        if self.folder is None:
            return None
        try:
            found = read_json(self._path(made_from))
            rows = tuple(
                tuple(float(value) for value in row) for row in found["step"].pop("matrix")
            )
            step = RegistrationStep(matrix=rows, **found["step"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        usable = step.affine.shape == (4, 4) and all(map(math.isfinite, step.affine.flat))
        return step if usable else None

    def keep(self, made_from: Any, step: RegistrationStep) -> None:
        """Write a result, whole or not at all."""
        if self.folder is not None:
            write_json(self._path(made_from), {"made_from": made_from, "step": asdict(step)})

    def _path(self, made_from: Any) -> Path:
        text = json.dumps([FORMAT, made_from], sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        return Path(self.folder or ".") / f"{name}.json"
