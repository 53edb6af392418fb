"""A run's config as a file, and as the plain values that a study writes.

No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from xrano.errors import ConfigError, UnknownNameError
from xrano.training.config import ModelConfig, RunConfig, TrainingConfig
from xrano.training.pretraining.config import PretrainingConfig

PARTS = {"model": ModelConfig, "training": TrainingConfig, "pretraining": PretrainingConfig}
"""The nested parts of a config."""


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
    return config_from(values, str(path))


PRESETS = Path(__file__).parent.parent / "presets"


def preset(name: str) -> dict[str, Any]:
    """The settings of a preset that comes with xrano.

    Raises:
        UnknownNameError: if there is none of the name.

    Example:
        >>> preset("demo")["model"]["name"]
        'densenet_small'
    """
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if name not in known:
        raise UnknownNameError("preset", name, known)
    values: dict[str, Any] = yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    return values


def config_from(values: Mapping[str, Any], where: str) -> RunConfig:
    """A run's config from plain values; what is not named has its default.

    A config of an earlier version lacks the settings that came later, whose defaults are what
    that version did.

    Args:
        values: settings, with the parts ``model``, ``training`` and ``pretraining`` nested.
        where: the file, for messages.

    Raises:
        UnknownNameError: for a setting that does not exist; the nearest is named.
        ConfigError: for a part that is no mapping or a value out of its range.
    """
    parts: dict[str, Any] = {}
    for name, kind in PARTS.items():
        given = values.get(name) or {}
        if not isinstance(given, Mapping):
            raise ConfigError(f"{where}: {name} must be a mapping of settings, got {given!r}")
        parts[name] = _build(kind, given, f"{where}, {name}")
    config: RunConfig = _build(RunConfig, {**values, **parts}, where)
    return config


def dump_config(config: RunConfig) -> str:
    """The YAML text of a run's config."""
    return yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)


def _build(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    known = [item.name for item in fields(kind)]
    for name in values:
        if name not in known:
            raise UnknownNameError(f"setting in {where}:", str(name), known)
    tuples = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return kind(**tuples)
