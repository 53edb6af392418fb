"""A run's config as a file, and as the plain values that a study writes.

No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from xrano.errors import ConfigError, UnknownNameError
from xrano.text_files import read_yaml
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
        if _is_cut_off(path):
            raise ValueError(f"its last line {_END.strip()!r} is missing, so it is cut off")
        values = read_yaml(path)
    except ValueError as error:
        raise ConfigError(f"{path} is not YAML of settings: {error}") from error
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
    values: dict[str, Any] = read_yaml(PRESETS / f"{name}.yaml")
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
    """The YAML text of a run's config, as a document with a start and an end.

    What is not named has its default, so that half a file would pass for another config.
    """
    return yaml.safe_dump(
        config.to_dict(),
        sort_keys=False,
        allow_unicode=True,
        explicit_start=True,
        explicit_end=True,
    )


_START, _END = "---\n", "...\n"


def _is_cut_off(path: Path) -> bool:
    """Whether a file has the start that :func:`dump_config` gives it and not the end."""
    content = path.read_bytes()
    return content.startswith(_START.encode()) and not content.endswith(_END.encode())


def _build(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    known = {item.name: item for item in fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise UnknownNameError(f"setting in {where}:", str(name), known)
        require_kind(name, value, str(known[name].type), where)
    tuples = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return kind(**tuples)


_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
    "tuple": ((list, tuple), "a list"),
}
"""The words of a dataclass's annotations: what a value may be, and that in words."""


def require_kind(name: str, value: Any, annotation: str, where: str) -> None:
    """Refuse a value that is not what the annotation of a setting says.

    Args:
        name: of the setting.
        value: plain, as YAML gives it.
        annotation: such as ``int`` or ``tuple[str, ...]``; of others nothing is known.
        where: the file, for the message.

    Raises:
        ConfigError: naming the setting, the value and what is needed.

    Example:
        >>> require_kind("epochs", "many", "int", "config.yaml")
        Traceback (most recent call last):
        ...
        xrano.errors.ConfigError: config.yaml: epochs must be a whole number, got 'many'
    """
    outer, _, inner = annotation.partition("[")
    if outer not in _KINDS:
        return
    kinds, words = _KINDS[outer]
    # To Python, True is a whole number.
    if not isinstance(value, kinds) or (isinstance(value, bool) and outer != "bool"):
        raise ConfigError(f"{where}: {name} must be {words}, got {repr(value)[:80]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {name} must be a finite number, got {value}")
    if isinstance(value, (list, tuple)):
        parts = [part.strip() for part in inner.rstrip("]").split(",")]
        if len(set(parts) - {"..."}) == 1:
            for part in value:
                require_kind(f"each of {name}", part, parts[0], where)
