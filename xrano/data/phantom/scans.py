"""What tissue looks like in T1, CT1, T2 and FLAIR, and what a scanner does to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.phantom.anatomy import BrainVoxels, Points
from xrano.data.phantom.lesions import TissueState
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.phantom.texture import PrivateTexture

TISSUE_INTENSITIES: dict[str, tuple[float, ...]] = {
    # wm, gm, csf, enhancing, necrosis, oedema, cavity
    "T1": (1.00, 0.74, 0.28, 0.68, 0.45, 0.80, 0.32),
    "CT1": (1.00, 0.80, 0.32, 1.75, 0.48, 0.83, 0.35),
    "T2": (0.55, 0.78, 1.60, 0.95, 1.30, 1.15, 1.55),
    "FLAIR": (0.70, 0.88, 0.25, 1.08, 0.82, 1.28, 0.32),
}
"""Intensity of each tissue, before gain; white matter of T1 is 1."""

# How strongly the T1 template's texture shows, and with which sign.
_DETAIL = {"T1": 1.0, "CT1": 0.9, "T2": -0.7, "FLAIR": -0.4}
_TYPICAL_GAIN = 450.0
_BIAS_WAVES = 4
_TEXTURE_WAVES = 10


@dataclass(frozen=True, eq=False)
class Appearance:
    """One patient's look: intensities (sequence, tissue), and the texture of enhancement."""

    intensities: NDArray[np.float64]
    waves: NDArray[np.float64]
    phases: NDArray[np.float64]

    def texture(self, points: Points) -> NDArray[np.float64]:
        """(n,) relative enhancement, about 1 ± 0.12, fixed in the patient."""
        swing = np.cos(points @ self.waves.T + self.phases).sum(axis=1)
        return np.asarray(1.0 + 0.12 * np.sqrt(2.0 / _TEXTURE_WAVES) * swing)


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """A patient's tissue intensities, each within some 3 % (enhancement 8 %) of the typical."""
    typical = np.array([TISSUE_INTENSITIES[sequence] for sequence in KNOWN_SEQUENCES])
    spread = np.exp(rng.normal(0.0, 0.03, typical.shape))
    spread[1, 3] = np.exp(rng.normal(0.0, 0.08))
    return Appearance(
        typical * spread,
        _wave_vectors(rng, _TEXTURE_WAVES, 9.0, 25.0),
        rng.uniform(0.0, 2.0 * np.pi, _TEXTURE_WAVES),
    )


def render(
    rng: np.random.Generator,
    brain: BrainVoxels,
    tissue: TissueState,
    appearance: Appearance,
    settings: PhantomSettings,
    texture: PrivateTexture | None = None,
) -> dict[str, NDArray[np.float32]]:
    """One visit's scans, sequence to volume (i, j, k); whole numbers ≥ 1 in the brain, 0 outside.

    Gain, bias field and noise are drawn anew for every scan, from ``rng`` alone, so that they
    cannot know the response. A texture lies on the whole brain, lesions included.
    """
    factors = texture.factors(brain.points) if texture is not None else None
    sick = np.stack([tissue.enhancing, tissue.necrosis, tissue.oedema, tissue.cavity])
    healthy = brain.tissues * (1.0 - np.clip(sick.sum(axis=0), 0.0, 1.0))
    shares = np.concatenate([healthy, sick])
    spots = np.flatnonzero(tissue.enhancing)
    shares[3, spots] *= appearance.texture(brain.points[spots])
    scans = {}
    for sequence, intensity in zip(KNOWN_SEQUENCES, appearance.intensities, strict=True):
        signal = intensity.astype(np.float32) @ shares
        signal += _DETAIL[sequence] * brain.detail * healthy.sum(axis=0)
        if factors is not None:
            signal *= factors
        signal *= _bias(rng, brain.points, settings.bias)
        noise = rng.standard_normal(len(signal), dtype=np.float32)
        signal += settings.noise * intensity[0] * noise
        signal *= _TYPICAL_GAIN * np.exp(rng.normal(0.0, settings.gain))
        scans[sequence] = brain.fill(np.maximum(np.rint(signal), 1.0).astype(np.float32))
    return scans


def _bias(rng: np.random.Generator, points: Points, sd: float) -> NDArray[np.float32]:
    waves = _wave_vectors(rng, _BIAS_WAVES, 150.0, 300.0)
    phases = rng.uniform(0.0, 2.0 * np.pi, _BIAS_WAVES)
    swing = np.cos((points @ waves.T + phases).astype(np.float32)).sum(axis=1)
    return np.asarray(np.exp(sd * np.sqrt(2.0 / _BIAS_WAVES) * swing), dtype=np.float32)


def _wave_vectors(
    rng: np.random.Generator, count: int, shortest_mm: float, longest_mm: float
) -> NDArray[np.float64]:
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wavelength = rng.uniform(shortest_mm, longest_mm, (count, 1))
    return np.asarray(2.0 * np.pi * direction / wavelength)
