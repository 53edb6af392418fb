"""Random changes of a training pair that leave its response as it is, by MONAI transforms.

Both scans of a pair get the same flip and the same affine: what moved between them is a sign of
nothing, and what grew still grew. Left-right flips only, unless asked: brains are not up-side down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.croppad.array import RandSpatialCrop
from monai.transforms.intensity.array import (
    RandAdjustContrast,
    RandGaussianNoise,
    RandScaleIntensity,
)
from monai.transforms.spatial.array import RandAffine, RandFlip
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class AugmentationConfig:
    """Probabilities and sizes of the random changes.

    ``flip``: probability of a flip along each of ``flip_axes`` (0 is left-right). ``contrast``:
    probability of a gamma change, exponent 0.5 to 4.5. ``scale``: intensities times 1 ± scale.
    ``noise``: SD of added noise, in units of the healthy tissue's SD. ``affine``: probability of
    a rotation up to ``rotation_deg`` and a zoom up to ``zoom``. ``shift``: whole voxels by which
    both scans may be moved along each axis.
    """

    flip: float = 0.5
    scale: float = 0.1
    noise: float = 0.05
    affine: float = 0.2
    rotation_deg: float = 6.0
    zoom: float = 0.05
    shift: int = 0
    flip_axes: tuple[int, ...] = (0,)
    contrast: float = 0.0


class Augmentation:
    """The random changes, repeatable: a seed gives the same change on any machine or worker.

    Args:
        config: probabilities and sizes.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        angle = np.deg2rad(config.rotation_deg)
        self._shift = config.shift
        affine = RandAffine(
            prob=config.affine,
            rotate_range=(angle,) * 3,
            scale_range=(config.zoom,) * 3,
            mode="bilinear",
            padding_mode="zeros",
        )
        self._geometry = Compose(
            [
                *(RandFlip(prob=config.flip, spatial_axis=axis) for axis in config.flip_axes),
                # A MONAI transform of probability 0 still costs a copy.
                *([affine] if config.affine else []),
                RandScaleIntensity(factors=config.scale, prob=0.9 if config.scale else 0.0),
                *([RandAdjustContrast(prob=config.contrast)] if config.contrast else []),
            ]
        )
        self._noise = RandGaussianNoise(prob=0.9, std=config.noise) if config.noise else None

    def __call__(self, inputs: NDArray[np.float32], seed: int) -> Tensor:
        """A changed copy of ``(channel, i, j, k)``; background stays exactly zero."""
        self._geometry.set_random_state(seed=seed % 2**32)
        moved = _plain(self._geometry(inputs))
        if self._shift:
            moved = self._shifted(moved, (seed + 2) % 2**32)
        if self._noise is None:
            # Where the draw was to do nothing, MONAI hands the input itself back.
            return moved.clone() if np.may_share_memory(moved.numpy(), inputs) else moved
        self._noise.set_random_state(seed=(seed + 1) % 2**32)
        return torch.where(moved != 0, _plain(self._noise(moved)), 0.0)

    def _shifted(self, inputs: Tensor, seed: int) -> Tensor:
        """Moved by up to ``shift`` voxels along each axis, zeros moving in."""
        # A draw of RandSpatialCrop from the padded scan; padding itself would copy everything.
        shape = inputs.shape[1:]
        crop = RandSpatialCrop(roi_size=shape, random_size=False)
        crop.set_random_state(seed=seed)
        crop.randomize([size + 2 * self._shift for size in shape])
        steps = [part.start - self._shift for part in crop._slices]
        source = [
            slice(max(0, step), size + min(0, step))
            for step, size in zip(steps, shape, strict=True)
        ]
        target = [
            slice(max(0, -step), size - max(0, step))
            for step, size in zip(steps, shape, strict=True)
        ]
        moved = torch.zeros_like(inputs)
        moved[:, *target] = inputs[:, *source]
        return moved


def _plain(tensor: Any) -> Tensor:
    plain: Tensor = tensor.as_tensor() if hasattr(tensor, "as_tensor") else torch.as_tensor(tensor)
    return plain.float()
