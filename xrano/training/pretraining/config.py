"""Which weights a network starts from. No torch here: the command line reads these settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xrano.errors import ConfigError, UnknownNameError

KINDS: Mapping[str, str] = {
    "none": "random weights",
    "organmnist3d": "supervised on the organs of OrganMNIST3D, from the user's .npz",
    "medicalnet": "weights of a file, such as MedicalNet's for resnet18",
    "rotation": "self-supervised on the turned sessions of the training patients",
}
"""Name to what it does."""

WITH_FILE = ("organmnist3d", "medicalnet")
"""Kinds that read ``path``."""


@dataclass(frozen=True)
class PretrainingConfig:
    """What a network learns before, and how long.

    Raises:
        UnknownNameError: if there is no such kind.
        ConfigError: if a number is out of its range, or the kind and the path do not fit.

    Example:
        >>> PretrainingConfig(kind="rotation", epochs=3).path
        ''
    """

    kind: str = "none"
    """none, organmnist3d, medicalnet or rotation."""
    path: str = ""
    """The .npz of organmnist3d, or the weights of medicalnet (.pth, .pt or .safetensors)."""
    epochs: int = 20
    """Epochs of organmnist3d and rotation."""
    batch_size: int = 16
    """Images in a step of organmnist3d and rotation, at least 2."""
    learning_rate: float = 1e-3
    """Of organmnist3d and rotation."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of pretraining", self.kind, KINDS)
        if self.kind in WITH_FILE and not self.path:
            raise ConfigError(f"pretraining {self.kind} needs a file: give pretraining.path")
        if self.path and self.kind not in WITH_FILE:
            raise ConfigError(
                f"pretraining {self.kind} reads no file, but pretraining.path is {self.path}; "
                f"choose a kind that does ({', '.join(WITH_FILE)}), or leave the path out"
            )
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if not getattr(self, name) >= least:
                raise ConfigError(
                    f"pretraining.{name} must be ≥ {least}, got {getattr(self, name)}"
                )
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigError(
                f"pretraining.learning_rate must be a number > 0, got {self.learning_rate}"
            )
