"""What a class atlas holds: mean maps by method and response class, on one grid.

Terms: *times a uniform map* is relevance divided by what every voxel of the brain would get if the
same relevance were spread evenly over it; *share* of a tumour is how much of the patients have the
region there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrano.errors import GridMismatchError, ManifestError
from xrano.geometry import Grid
from xrano.types import Mask, Volume


@dataclass(frozen=True, eq=False)
class AtlasMap:
    """The mean map of one method over the pairs of one class.

    ``mean``: (i, j, k) float32, times a uniform map, averaged within each patient and then over
    patients.
    """

    mean: Volume
    n_pairs: int
    n_patients: int


@dataclass(frozen=True, eq=False)
class AtlasTumour:
    """Where the tumours of one class lie.

    ``share``: (i, j, k) float32 in [0, 1], averaged within each patient and then over patients.
    """

    share: Volume
    n_pairs: int
    n_patients: int


@dataclass(frozen=True, eq=False)
class ClassAtlas:
    """Mean attribution maps per response class, one row a method.

    Args:
        grid: grid of every array here, in the common world of the store.
        brain: (i, j, k) boolean: what at least half of the pairs call brain.
        background: (i, j, k) float32, drawn in grey; 0 is black.
        background_name: what it is, in words.
        classes: response classes, in the order of the columns.
        methods: methods as in tables of scores (``ig:prior``), in the order of the rows.
        maps: (method, class) to its mean; a pair of names without maps is missing.
        tumours: class to where its tumours lie; a class without segmentations is missing.
        region: the region of prior ∪ current that ``tumours`` is of.
        notes: what was left out and why, in sentences.

    Raises:
        GridMismatchError: if an array does not have the grid's shape.
        ManifestError: if there is no method or no class.
    """

    grid: Grid
    brain: Mask
    background: Volume
    background_name: str
    classes: tuple[str, ...]
    methods: tuple[str, ...]
    maps: Mapping[tuple[str, str], AtlasMap]
    tumours: Mapping[str, AtlasTumour]
    region: str = "core"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.methods or not self.classes:
            raise ManifestError("a class atlas needs at least one method and one response class")
        arrays = {"brain": self.brain, "background": self.background}
        arrays |= {f"map of {method}, {name}": m.mean for (method, name), m in self.maps.items()}
        arrays |= {f"tumour of {name}": tumour.share for name, tumour in self.tumours.items()}
        for what, array in arrays.items():
            if array.shape != self.grid.shape:
                raise GridMismatchError(
                    f"the {what} has shape {array.shape}, the atlas's grid {self.grid.shape}"
                )

    @property
    def tumour_mass(self) -> Volume:
        """(i, j, k) share of tumour, each class weighing the same; zero without segmentations."""
        total = np.zeros(self.grid.shape, dtype=np.float32)
        for tumour in self.tumours.values():
            total += tumour.share / len(self.tumours)
        return total
