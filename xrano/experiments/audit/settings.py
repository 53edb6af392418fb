"""What an audit trains: kinds of model, cohorts, and how long; and its two forms.

A *model* is (kind, strength, cohort seed, model seed), the unit of everything that an audit says.
Kinds are written ``honest`` (no mark in any scan: only the tumour tells), ``noise`` (a mark of
that kind that always tells), ``noise@0.5`` (*mixed*: it tells every other session) or ``noise@0``
(a *decoy*: the marks are there and tell nothing, so that only the tumour does, in scans that look
like those of a cheat).

The headline score and the rule of verification were named before any model was trained. Whoever
would change them tries that on the cohorts of :data:`DEVELOPMENT_SEEDS`; an audit that is reported
uses others, as both forms do. The stem was chosen there: after twelve epochs honest models with a
siamese stem reached a balanced accuracy of 0.88 in two cohorts, with plain concatenation 0.67 after
sixteen, and a model that hardly reads the tumour is a poor example of one that does.

No torch here: the command line reads this before it knows what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from xrano.data.planting.plan import NO_MARK, SHORTCUTS, PlantingPlan, Tumour
from xrano.errors import ConfigError, UnknownNameError, XranoError

HONEST = "honest"

DEVELOPMENT_SEEDS = (900, 901, 902)
"""Cohorts to make choices on. Results from them are not reported as findings."""

MANY_MODELS = 8
"""Models on a side from which on an audit's verdict is more than a sign."""


@dataclass(frozen=True)
class ModelKind:
    """What a model is trained on: the mark, and how often it tells.

    Example:
        >>> ModelKind.parse("noise@0.5").assigned, ModelKind.parse("honest").label
        ('mixed', 'honest')
    """

    kind: str = NO_MARK
    strength: float = 1.0

    @staticmethod
    def parse(text: str) -> ModelKind:
        """A kind as it is written.

        Raises:
            UnknownNameError: if there is no such kind.
            ConfigError: if the strength is no number from 0 to 1.
        """
        name, at, strength = text.strip().partition("@")
        if name not in (HONEST, *SHORTCUTS):
            raise UnknownNameError("kind of model", name, (HONEST, *SHORTCUTS))
        try:
            value = float(strength) if at else 1.0
        except ValueError:
            value = -1.0
        if not 0.0 <= value <= 1.0 or (name == HONEST and at):
            raise ConfigError(
                f"a kind is written honest, noise or noise@0.5 with a strength from 0 to 1, got "
                f"{text!r}"
            )
        return ModelKind(NO_MARK if name == HONEST else name, value)

    @property
    def label(self) -> str:
        """As it is written."""
        if self.kind == NO_MARK:
            return HONEST
        return self.kind if self.strength == 1.0 else f"{self.kind}@{self.strength:g}"

    @property
    def assigned(self) -> str:
        """What a model is meant to be: ``honest``, ``cheat`` or ``mixed``."""
        if self.kind == NO_MARK or self.strength == 0.0:
            return HONEST
        return "cheat" if self.strength == 1.0 else "mixed"

    @property
    def decoy(self) -> bool:
        """Whether there are marks that tell nothing."""
        return self.kind != NO_MARK and self.strength == 0.0


@dataclass(frozen=True)
class AuditModel:
    """One model of an audit."""

    of: ModelKind
    cohort_seed: int
    model_seed: int

    @property
    def name(self) -> str:
        """Its folder, and its name in every table.

        Example:
            >>> AuditModel(ModelKind("edge", 0.5), 3, 0).name
            'edge@0.5-cohort3-seed0'
        """
        return f"{self.of.label}-cohort{self.cohort_seed}-seed{self.model_seed}"

    def plan(self, *, swap: bool = False, tumour: Tumour = "kept") -> PlantingPlan:
        """What is planted into its cohort; its marks are drawn anew for each cohort."""
        return PlantingPlan(
            self.of.kind, self.of.strength, swap=swap, tumour=tumour, seed=self.cohort_seed
        )


@dataclass(frozen=True)
class AuditSettings:
    """Everything that decides an audit.

    ``kinds``: as they are written; ``cohort_seeds``: one phantom each, in which every kind has one
    model for each of ``model_seeds``; ``hold_out``: one of so many parts of the patients is kept
    for verifying and scoring; ``quick``: whether the form calls itself one.
    """

    kinds: tuple[str, ...]
    cohort_seeds: tuple[int, ...]
    model_seeds: tuple[int, ...] = (0,)
    patients: int = 48
    spacing_mm: float = 5.0
    hold_out: int = 4
    epochs: int = 12
    stem: str = "siamese"
    methods: tuple[str, ...] = ("saliency", "gradcam", "ig:zero", "ig:prior")
    copies: int = 1
    n_steps: int = 6
    n_resamples: int = 2000
    quick: bool = False

    def __post_init__(self) -> None:
        for name in ("kinds", "cohort_seeds", "model_seeds", "methods"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{name} of an audit needs values, each once, got {values!r}")
        labels = [kind.label for kind in self.parsed]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"kinds of an audit must differ, got {', '.join(self.kinds)}")
        least = {"patients": 4, "hold_out": 2, "epochs": 1, "copies": 0, "n_steps": 1}
        for name, value in {**least, "n_resamples": 1}.items():
            if getattr(self, name) < value:
                raise ConfigError(
                    f"{name} of an audit must be ≥ {value}, got {getattr(self, name)}"
                )

    @property
    def parsed(self) -> tuple[ModelKind, ...]:
        """The kinds."""
        return tuple(ModelKind.parse(text) for text in self.kinds)

    def models(self) -> list[AuditModel]:
        """All models by cohort, then kind: those that share scans follow each other."""
        return [
            AuditModel(kind, cohort, seed)
            for cohort in self.cohort_seeds
            for kind in self.parsed
            for seed in self.model_seeds
        ]

    @property
    def of_one_model(self) -> dict[str, Any]:
        """The settings that decide each model; the others only say which models there are."""
        which = ("kinds", "cohort_seeds", "model_seeds", "n_resamples", "quick")
        return {name: value for name, value in self.to_json().items() if name not in which}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def settings_from_json(values: Mapping[str, Any], path: Path) -> AuditSettings:
    """The settings of an audit's ``settings.json``.

    Raises:
        ConfigError: if they are not those of an audit.
    """
    known = {item.name for item in fields(AuditSettings)}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} holds no settings of an audit")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in known
    }
    try:
        return AuditSettings(**given)
    except XranoError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ConfigError(f"{path} holds no settings of an audit ({error})") from error


QUICK = AuditSettings(kinds=(HONEST, "noise", "edge"), cohort_seeds=(4, 5, 6), quick=True)
"""Nine models: some 15 minutes on two cores. A sign of what the full form would say. Cohort 1 was
looked at while the rule of verification was written."""

FULL = AuditSettings(
    kinds=(HONEST, *SHORTCUTS, "noise@0", "noise@0.5"),
    cohort_seeds=(*QUICK.cohort_seeds, 11, 12, 13, 14, 15),
)
"""Eight models a kind, each in a cohort of its own; with decoys and a mixed kind. Its models are
trained like those of the quick form, which it goes on from in the same folder."""
