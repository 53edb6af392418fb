"""Random changes of a training pair that leave its response as it is, by MONAI transforms.

Both scans of a pair get the same flip and the same affine: what moved between them is a sign of
nothing, and what grew still grew. Left-right flips only; brains are not up-side down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import RandGaussianNoise, RandScaleIntensity
from monai.transforms.spatial.array import RandAffine, RandFlip
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class AugmentationConfig:
    """Probabilities and sizes of the random changes.

    ``flip``: probability of a left-right flip. ``scale``: intensities times 1 ± scale.
    ``noise``: SD of added noise, in units of the healthy tissue's SD. ``affine``: probability of
    a rotation up to ``rotation_deg`` and a zoom up to ``zoom``.
    """

    flip: float = 0.5
    scale: float = 0.1
    noise: float = 0.05
    affine: float = 0.2
    rotation_deg: float = 6.0
    zoom: float = 0.05


class Augmentation:
    """The random changes, repeatable: a seed gives the same change on any machine or worker.

    Args:
        config: probabilities and sizes.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        angle = np.deg2rad(config.rotation_deg)
        self._geometry = Compose(
            [
                RandFlip(prob=config.flip, spatial_axis=0),
                RandAffine(
                    prob=config.affine,
                    rotate_range=(angle,) * 3,
                    scale_range=(config.zoom,) * 3,
                    mode="bilinear",
                    padding_mode="zeros",
                ),
                RandScaleIntensity(factors=config.scale, prob=0.9 if config.scale else 0.0),
            ]
        )
        self._noise = RandGaussianNoise(prob=0.9 if config.noise else 0.0, std=config.noise)

    def __call__(self, inputs: NDArray[np.float32], seed: int) -> Tensor:
        """A changed copy of ``(channel, i, j, k)``; background stays exactly zero."""
        self._geometry.set_random_state(seed=seed % 2**32)
        self._noise.set_random_state(seed=(seed + 1) % 2**32)
        moved = _plain(self._geometry(inputs))
        return torch.where(moved != 0, _plain(self._noise(moved)), 0.0)


def _plain(tensor: Any) -> Tensor:
    plain: Tensor = tensor.as_tensor() if hasattr(tensor, "as_tensor") else torch.as_tensor(tensor)
    return plain.float()
