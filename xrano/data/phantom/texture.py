"""A texture that only one patient has: what a network may learn people by, and nothing else.

It lies in the patient's own anatomy, the same at all visits and in all sequences, so it moves with
the misalignment of a scan, and it knows nothing of the tumour. A network that is tested on other
scans of people it was trained on can tell them by it; on people it never saw it is a nuisance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrano.data.phantom.anatomy import Points

BAND_MM = (18.0, 40.0)
"""Shortest and longest wavelength: 3 voxels or more at the coarsest spacing."""

_WAVES = 4
"""Few, so that every patient has directions and wavelengths of their own, not a phase alone:
moving a scan then does not hide whose it is."""


@dataclass(frozen=True, eq=False)
class PrivateTexture:
    """Plane waves of one patient.

    Attributes:
        waves: (wave, 3) wave vectors in radians per mm.
        phases: (wave,) in radians.
        strength: standard deviation of the logarithm of the texture.
    """

    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    strength: float

    def factors(self, points: Points) -> NDArray[np.float32]:
        """(n,) factors > 0 on the signal at (n, 3) points in patient millimetres.

        Example:
            >>> texture = PrivateTexture(np.array([[np.pi, 0.0, 0.0]]), np.zeros(1), 0.5)
            >>> points = np.array([[0.0, 7.0, 0.0], [1 / 3, 0.0, 0.0], [1.0, 0.0, 3.0]])
            >>> np.log(texture.factors(points).astype(float)).round(3).tolist()
            [0.707, 0.354, -0.707]
        """
        swing = np.cos((points @ self.waves.T + self.phases).astype(np.float32)).sum(axis=1)
        scale = self.strength * np.sqrt(2.0 / len(self.phases))
        return np.asarray(np.exp(scale * swing), dtype=np.float32)


def draw_texture(rng: np.random.Generator, strength: float) -> PrivateTexture:
    """A patient's texture: directions, wavelengths and phases at random, heights all alike."""
    direction = rng.normal(size=(_WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wavelength = rng.uniform(*BAND_MM, (_WAVES, 1))
    return PrivateTexture(
        waves=2.0 * np.pi * direction / wavelength,
        phases=rng.uniform(0.0, 2.0 * np.pi, _WAVES),
        strength=strength,
    )
