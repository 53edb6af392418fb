"""Pretext task (a): which of eleven organs a small CT volume shows, after OrganMNIST3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from xrano.data.organmnist import ORGANS, OrganImages, read_organmnist
from xrano.training.pretraining.pretext_loop import PretextTask


class OrganDataset(Dataset[tuple[Tensor, int]]):
    """Images as ``((1, i, j, k) float32, class index)``, brought to mean 0 and SD 1.

    Args:
        part: images and labels.
        mean: intensity that becomes 0.
        sd: intensity that becomes 1.
        least: voxels that each axis must have; an image is filled up with black on both sides.
    """

    def __init__(
        self, part: OrganImages, *, mean: float, sd: float, least: tuple[int, int, int]
    ) -> None:
        self._part = part
        self._mean, self._sd = mean, sd
        lacking = [
            max(0, size - edge) for size, edge in zip(least, part.images.shape[1:], strict=True)
        ]
        self._fill = [(missing // 2, missing - missing // 2) for missing in lacking]

    def __len__(self) -> int:
        return len(self._part)

    def set_epoch(self, epoch: int) -> None:
        """Nothing is random here."""

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image: NDArray[np.float32] = np.pad(self._part.images[row], self._fill).astype(np.float32)
        scaled = (image - np.float32(self._mean)) / np.float32(self._sd)
        return torch.from_numpy(scaled[None]), int(self._part.labels[row])


def organ_task(path: Path, least: tuple[int, int, int]) -> PretextTask:
    """The published training part to learn from, the validation part to measure on.

    Args:
        path: the user's ``organmnist3d.npz``.
        least: the smallest grid that the network can take: 28³ voxels end, after four halvings
            and a pooling, before DenseNet121 does.

    Raises:
        VolumeError: if the file is not MedMNIST's.
    """
    parts = read_organmnist(path)
    images = parts.train.images
    mean, sd = float(images.mean(dtype=np.float64)), float(images.std(dtype=np.float64))
    # A file of equal voxels teaches nothing, but must not divide by zero.
    training, held_out = (
        OrganDataset(part, mean=mean, sd=sd or 1.0, least=least)
        for part in (parts.train, parts.val)
    )
    return PretextTask("organmnist3d", len(ORGANS), training, held_out)
