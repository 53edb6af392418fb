"""Everything that is needed to repeat a run, as plain dataclasses; presets are files of them.

No torch here: the command line reads these signatures before it knows what to do.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from xrano.errors import ConfigError, UnknownNameError
from xrano.tasks import TASKS
from xrano.training.pretraining.config import PretrainingConfig

CHOICES: dict[str, tuple[str, ...]] = {
    "task": tuple(TASKS),
    "grouping": ("patient", "timepoint"),
    "selection": ("inner", "test"),
    "balancing": ("none", "weights", "sampler", "both", "paper"),
    "precision": ("32-true", "bf16-mixed", "16-mixed", "64-true"),
    "schedule": ("cosine", "plateau"),
    "initialisation": ("default", "xavier"),
    "labels": ("hard", "ordinal"),
    "flip_axes": ("left-right", "all"),
}
"""What settings of words may be."""


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
    clinical: bool = False
    """Fuse sex, age, IDH, MGMT and weeks with the image features before the last layer."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    ``balancing`` corrects for rare responses by class weights in the loss, by a balanced sampler,
    by neither, or by both at once; ``paper`` is both with the paper's own sampler.
    """

    epochs: int = 60
    """Most epochs; 0 keeps the random weights (an untrained run)."""
    batch_size: int = 4
    """Pairs in a step."""
    learning_rate: float = 1e-3
    """Of AdamW, at its highest."""
    weight_decay: float = 0.01
    """Of AdamW."""
    balancing: str = "weights"
    """none, weights, sampler, both or paper."""
    labels: str = "hard"
    """hard, or ordinal: soft labels that fall with the distance on CR < PR < SD < PD."""
    ordinal_scale: float = 2.0
    """How fast ordinal labels fall: a neighbour has exp(-scale) of the true class's share."""
    focal_gamma: float = 0.0
    """Exponent of the focal loss; 0 is cross-entropy."""
    confidence: str = ""
    """Column of the sessions table that weighs a pair by the confidence in its rating, 0 to 1."""
    initialisation: str = "default"
    """default (each layer's own) or xavier (normal, biases 1, as in the paper)."""
    schedule: str = "cosine"
    """cosine, or plateau: back to the best epoch and a tenth of the rate, as in the paper."""
    patience: int = 15
    """Epochs without a better validation loss (plateau: training loss) before stopping."""
    warmup_epochs: int = 2
    """Epochs of rising learning rate before its cosine decline."""
    precision: str = "32-true"
    """32-true, bf16-mixed, 16-mixed or 64-true."""
    accelerator: str = "auto"
    """Device kind for Lightning Fabric: auto, cpu, cuda, mps."""
    workers: int = 0
    """Processes that read data beside the training one."""
    flip: float = 0.5
    """Probability of a flip of both scans along each of the flip axes."""
    flip_axes: str = "left-right"
    """left-right, or all three as in the paper."""
    contrast: float = 0.0
    """Probability of a gamma change of both scans."""
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
    Folds grouped by timepoint put scans of one patient on both sides, and a checkpoint chosen on
    the test fold has seen it: both are the paper's protocol, both leak, and results say so.
    """

    store: str = ""
    """Folder that xrano prepare wrote."""
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    task: str = "response"
    """response (CR, PR, SD, PD) or progression (PD or rest)."""
    cases: tuple[str, ...] = ()
    """Sequences that a pair must have beside the network's own, for equal cases among runs."""
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    grouping: str = "patient"
    """What a fold keeps together: patient, or timepoint (the paper's, which leaks)."""
    selection: str = "inner"
    """Where the epoch is chosen: inner, or test (the paper's, which leaks)."""
    n_folds: int = 5
    """How many folds."""
    folds: tuple[int, ...] = ()
    """Which folds to train; all if none is named."""
    validation_fraction: float = 0.2
    """Share of the training pairs set aside to choose the epoch; 0 with selection test."""
    seed: int = 0
    splits: str = ""
    """A splits.json to use in the place of new folds."""

    def __post_init__(self) -> None:
        for part in (self, self.training):
            for item in fields(part):
                if item.name in CHOICES and getattr(part, item.name) not in CHOICES[item.name]:
                    raise UnknownNameError(item.name, getattr(part, item.name), CHOICES[item.name])
        _check_ranges(self.training, training=True)
        _check_ranges(self, training=False)
        for fold in self.folds:
            if not 0 <= fold < self.n_folds:
                raise ConfigError(
                    f"fold {fold} is not one of the {self.n_folds} folds, which count from 0; "
                    "choose another or raise n_folds"
                )
        if not self.validation_fraction and self.selection == "inner":
            raise ConfigError(
                "validation_fraction must be > 0 for selection inner: the epoch needs pairs that "
                "are neither trained on nor tested"
            )
        if self.training.labels == "ordinal" and self.task != "response":
            raise ConfigError(f"ordinal labels need task response, got {self.task}")

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
    "ordinal_scale": 0,
    "focal_gamma": 0,
    "n_folds": 2,
    "seed": 0,
}
_SHARES = {"flip": 1.0, "affine": 1.0, "contrast": 1.0, "validation_fraction": 0.5}


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
        if item.name == "learning_rate" and not value > 0:
            raise ConfigError(f"{where}{item.name} must be > 0, got {value}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
