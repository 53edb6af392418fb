"""Everything that is needed to repeat a run, as plain dataclasses; presets are files of them.

No torch here: the command line reads these signatures before it knows what to do.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from xrano.errors import ConfigError, UnknownNameError

BALANCINGS = ("none", "weights", "sampler", "both")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")


@dataclass(frozen=True)
class ModelConfig:
    """Which network sees which sequences."""

    name: str = "densenet121"
    """Network: one that xrano models lists."""
    sequences: tuple[str, ...] = ("T1", "CT1", "T2", "FLAIR")
    """Sequences, of the prior and of the current scan each."""
    stem: str = "concat"
    """How the scans come in: concat, subtract, concat+subtract or siamese."""
    checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    ``balancing`` corrects for rare responses by class weights in the loss, by a balanced sampler,
    by neither, or by both at once (as the paper does).
    """

    epochs: int = 60
    """Most epochs; 0 keeps the random weights (an untrained run)."""
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    balancing: str = "weights"
    """none, weights, sampler or both."""
    patience: int = 15
    """Epochs without a better validation loss before stopping."""
    warmup_epochs: int = 2
    """Epochs of rising learning rate before its cosine decline."""
    precision: str = "32-true"
    """32-true, bf16-mixed, 16-mixed or 64-true."""
    accelerator: str = "auto"
    """Device kind for Lightning Fabric: auto, cpu, cuda, mps."""
    workers: int = 0
    """Processes that read data beside the training one."""
    flip: float = 0.5
    """Probability of a left-right flip of both scans."""
    scale: float = 0.1
    """Intensities times 1 ± scale."""
    noise: float = 0.0
    """SD of added noise, in units of healthy tissue's SD."""
    affine: float = 0.2
    """Probability of a small rotation and zoom of both scans."""
    shift: int = 2
    """Whole voxels by which both scans may be moved along each axis."""


@dataclass(frozen=True)
class RunConfig:
    """A run: data, folds, network, training.

    ``splits`` is a splits.json to use; folds are made and written beside the run otherwise.
    """

    store: str = ""
    """Folder that xrano prepare wrote."""
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    n_folds: int = 5
    """Folds grouped by patient."""
    folds: tuple[int, ...] = ()
    """Which folds to train; all if none is named."""
    validation_fraction: float = 0.2
    """Share of the training patients that choose the epoch."""
    seed: int = 0
    splits: str = ""
    """A splits.json to use in the place of new folds."""

    def __post_init__(self) -> None:
        training = self.training
        if training.balancing not in BALANCINGS:
            raise UnknownNameError("balancing", training.balancing, BALANCINGS)
        if training.precision not in PRECISIONS:
            raise UnknownNameError("precision", training.precision, PRECISIONS)
        _check_ranges(training, training=True)
        _check_ranges(self, training=False)
        for fold in self.folds:
            if not 0 <= fold < self.n_folds:
                raise ConfigError(f"fold {fold} is not one of the {self.n_folds} folds")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, tuples as lists."""
        values: dict[str, Any] = _plain(asdict(self))
        return values


_LEAST: dict[str, float] = {
    "epochs": 0,
    "batch_size": 1,
    "patience": 1,
    "weight_decay": 0,
    "warmup_epochs": 0,
    "workers": 0,
    "scale": 0,
    "noise": 0,
    "shift": 0,
    "n_folds": 2,
    "seed": 0,
}
_SHARES = {"flip": 1.0, "affine": 1.0, "validation_fraction": 0.5}


def _check_ranges(config: Any, *, training: bool) -> None:
    where = "training." if training else ""
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name in _LEAST and not value >= _LEAST[item.name]:
            raise ConfigError(f"{where}{item.name} must be ≥ {_LEAST[item.name]:g}, got {value}")
        if item.name in _SHARES and not 0 <= value <= _SHARES[item.name]:
            raise ConfigError(
                f"{where}{item.name} lies between 0 and {_SHARES[item.name]:g}, got {value}"
            )
        if item.name in ("learning_rate", "validation_fraction") and not value > 0:
            raise ConfigError(f"{where}{item.name} must be > 0, got {value}")


def load_config(path: Path) -> RunConfig:
    """Read a run's ``config.yaml``.

    Raises:
        ConfigError: if the file is missing, broken, or names unknown settings.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} does not exist: a run's config.yaml is needed")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of settings")
    model = _build(ModelConfig, values.pop("model", {}), path)
    training = _build(TrainingConfig, values.pop("training", {}), path)
    config: RunConfig = _build(RunConfig, {**values, "model": model, "training": training}, path)
    return config


def dump_config(config: RunConfig) -> str:
    """The YAML text of a run's config."""
    return yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)


def _build(kind: Any, values: dict[str, Any], path: Path) -> Any:
    known = [item.name for item in fields(kind)]
    for name in values:
        if name not in known:
            raise UnknownNameError(f"setting in {path}:", name, known)
    tuples = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return kind(**tuples)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
