"""A study's YAML file: the cohort, what all arms share, the arms, and what each is held against.

::

    store: ../lumiere-store            # or  phantom: {patients: 72, seed: 21}
    base: {preset: laptop, training: {epochs: 30}}
    seeds: [0, 1]
    n_folds: 5
    same_cases: true
    arms:
      T1+T2+FLAIR: {approach: sequences, model: {sequences: T1+T2+FLAIR}}
      subtract: {approach: subtraction, against: T1+T2+FLAIR, model: {stem: subtract}}
    grid:
      - {approach: architectures, against: T1+T2+FLAIR, vary: {model.name: [densenet121, vit]}}
    references: true
    leak: {phantom: {leaking: true, patients: 30, seed: 5}, seeds: [0]}

Everything is read and checked before anything is made. Paths are relative to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xrano.channels import sequence_set
from xrano.data.phantom.leaking import leaking_settings
from xrano.data.phantom.settings import PhantomSettings
from xrano.errors import ConfigError, UnknownNameError
from xrano.experiments.study.arms import Arm, expand_arms
from xrano.roots import is_path
from xrano.text_files import read_yaml
from xrano.training.config_file import require_kind

APPROACHES = (
    "subtraction",
    "sequences",
    "architectures",
    "pretraining",
    "clinical",
    "labels",
    "task",
    "other",
)
"""The paper's five approaches, and further ones."""

_KEYS = (
    *("name", "store", "phantom", "base", "seeds", "n_folds", "fold_seed", "same_cases"),
    *("arms", "grid", "references", "leak", "n_resamples", "n_permutations"),
)
_LEAK_KEYS = ("store", "phantom", "base", "seeds", "n_folds")


@dataclass(frozen=True)
class CohortSource:
    """Where the pairs come from: a prepared store, or a phantom that the study makes."""

    store: Path | None = None
    phantom: PhantomSettings | None = None


@dataclass(frozen=True)
class LeakPlan:
    """The 2×2 of grouping and selection: its cohort, settings and seeds."""

    cohort: CohortSource
    base: Mapping[str, Any]
    seeds: tuple[int, ...]
    n_folds: int


@dataclass(frozen=True)
class Study:
    """A study, checked."""

    name: str
    cohort: CohortSource
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0,)
    n_folds: int = 5
    fold_seed: int = 0
    same_cases: bool = True
    references: bool = True
    leak: LeakPlan | None = None
    n_resamples: int = 2000
    n_permutations: int = 2000
    names: tuple[str, ...] = field(default=())

    def arm(self, name: str) -> Arm:
        """An arm by name.

        Raises:
            UnknownNameError: if there is none.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise UnknownNameError("arm", name, [arm.name for arm in self.arms])


def read_study(path: Path) -> Study:
    """Read and check a study's file.

    Raises:
        ConfigError: if the file is missing, no YAML, has no arm, or a value makes no sense.
        UnknownNameError: for an unknown key, arm, approach or preset; the nearest is named.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} does not exist: a study's YAML file is needed")
    try:
        values = read_yaml(path)
    except ValueError as error:
        raise ConfigError(f"{path} is not YAML of a study: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping; see xrano study --help for an example")
    known_keys(values, _KEYS, f"key in {path}:")
    arms = expand_arms(
        _mapping(values, "base"), values.get("arms") or {}, values.get("grid") or [], path
    )
    for arm in arms:
        if arm.approach not in APPROACHES:
            raise UnknownNameError(f"approach of {arm.name}:", arm.approach, APPROACHES)
    study = Study(
        name=str(values.get("name") or path.stem),
        cohort=_cohort(values, path),
        arms=arms,
        seeds=_seeds(values, path),
        n_folds=_integer(values, "n_folds", 5, 2, path),
        fold_seed=_integer(values, "fold_seed", 0, 0, path),
        same_cases=_flag(values, "same_cases", True, path),
        references=_flag(values, "references", True, path),
        leak=_leak(values, path),
        n_resamples=_integer(values, "n_resamples", 2000, 1, path),
        n_permutations=_integer(values, "n_permutations", 2000, 1, path),
    )
    for arm in study.arms:
        if arm.against:
            study.arm(arm.against)
    return study


def union_of_sequences(study: Study) -> tuple[str, ...]:
    """All sequences that some arm sees."""
    names: dict[str, None] = {}
    for arm in study.arms:
        sequences = arm.settings.get("model", {}).get("sequences", ())
        names.update(dict.fromkeys(as_sequences(sequences)))
    return tuple(names)


def as_sequences(value: Any) -> tuple[str, ...]:
    """Sequences of a list, or of a set's name such as ``T1+T2+FLAIR``."""
    return sequence_set(value) if isinstance(value, str) else tuple(value)


def known_keys(values: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Refuse a key that is none of the known ones.

    Raises:
        UnknownNameError: naming the nearest.
    """
    for key in values:
        if key not in known:
            raise UnknownNameError(where, str(key), known)


def _cohort(values: Mapping[str, Any], path: Path) -> CohortSource:
    store, phantom = values.get("store"), values.get("phantom")
    if (store is None) == (phantom is None):
        raise ConfigError(
            f"{path} needs one of store: (a folder of xrano prepare) and phantom: (settings)"
        )
    if store is not None:
        if not is_path(str(store)):
            raise ConfigError(f"{path}: store is no path: {str(store)[:80]!r}")
        return CohortSource(store=(path.parent / str(store)).resolve())
    if not isinstance(phantom, dict):
        raise ConfigError(f"{path}: phantom must be a mapping of settings, got {phantom!r}")
    settings = dict(phantom)
    leaking = settings.pop("leaking", False)
    known_keys(
        settings, tuple(item.name for item in fields(PhantomSettings)), f"phantom setting in {path}"
    )
    kinds = {item.name: str(item.type) for item in fields(PhantomSettings)}
    for name, value in settings.items():
        require_kind(name, value, kinds[name], f"{path}, phantom")
    make = (
        leaking_settings if _flag({"leaking": leaking}, "leaking", False, path) else PhantomSettings
    )
    try:
        return CohortSource(phantom=make(**settings))
    except (TypeError, OverflowError) as error:
        raise ConfigError(f"{path}: a phantom cannot be made of {settings} ({error})") from error


def _leak(values: Mapping[str, Any], path: Path) -> LeakPlan | None:
    given = values.get("leak")
    if not given:
        return None
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: leak must be a mapping, got {given!r}")
    known_keys(given, _LEAK_KEYS, f"key of leak in {path}:")
    own = "store" in given or "phantom" in given
    return LeakPlan(
        cohort=_cohort(given if own else values, path),
        base=given.get("base") or _mapping(values, "base"),
        seeds=_seeds({"seeds": given.get("seeds", values.get("seeds"))}, path),
        n_folds=_integer(given, "n_folds", int(values.get("n_folds", 5)), 2, path),
    )


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key) or {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"{key} must be a mapping of settings, got {found!r}")
    return found


def _seeds(values: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    seeds = values.get("seeds")
    seeds = [0] if seeds is None else seeds
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(f"{path}: seeds must list whole numbers ≥ 0, each once, got {seeds!r}")
    return tuple(seeds)


def _integer(values: Mapping[str, Any], key: str, default: int, least: int, path: Path) -> int:
    value = values.get(key, default)
    if type(value) is not int or value < least:
        raise ConfigError(f"{path}: {key} must be a whole number ≥ {least}, got {value!r}")
    return value


def _flag(values: Mapping[str, Any], key: str, default: bool, path: Path) -> bool:
    value = values.get(key, default)
    if not isinstance(value, bool):
        raise ConfigError(f"{path}: {key} must be true or false, got {value!r}")
    return value
