"""Files in the form of OrganMNIST3D's and MedicalNet's, with random numbers in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from xrano.channels import ChannelLayout
from xrano.models.factory import create_model


def stand_in(kind: str, folder: Path) -> Path:
    """Write a file that the pretraining of this kind reads."""
    return _organs(folder) if kind == "organmnist3d" else _medicalnet(folder)


def _organs(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 22), ("val", 11), ("test", 11)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 28, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 11).astype(np.uint8)[:, None]
    path = folder / "organmnist3d.npz"
    np.savez(path, **arrays)
    return path


def _medicalnet(folder: Path) -> Path:
    network = create_model("resnet18", ChannelLayout(("T1",)), seed=1).backbone
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    state["module.conv1.weight"] = state["module.conv1.weight"][:, :1].clone()
    path = folder / "resnet_18.pth"
    torch.save({"state_dict": state}, path)
    return path
