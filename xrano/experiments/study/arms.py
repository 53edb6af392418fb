"""The arms of a study: what each changes of the base, from a list or from a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from xrano.channels import sequence_set
from xrano.errors import ConfigError, UnknownNameError
from xrano.roots import is_path
from xrano.training.config import RunConfig
from xrano.training.config_file import config_from, preset

MOST_ARMS = 1000
"""Arms of one grid; each is trained fold by fold."""

_DEEPEST = 3
_ARM_KEYS = ("approach", "against")
_GRID_KEYS = ("approach", "against", "vary")


@dataclass(frozen=True, eq=False)
class Arm:
    """One arm: a run's settings under a name.

    ``approach``: the question that it belongs to; ``against``: the arm that it is compared with,
    if any; ``settings``: of the run, as plain nested values.
    """

    name: str
    approach: str
    against: str
    settings: Mapping[str, Any]

    def config(self, **changes: Any) -> RunConfig:
        """The run's config with what the study adds (store, folds, seed, splits).

        Raises:
            UnknownNameError: for an unknown setting; the nearest is named.
            ConfigError: for a value out of its range.
        """
        return config_from({**self.settings, **changes}, f"the arm {self.name!r}")


def expand_arms(base: Mapping[str, Any], listed: Any, grids: Any, path: Path) -> tuple[Arm, ...]:
    """All arms of a study, the listed ones first.

    Raises:
        ConfigError: if there is none, two have one name, or something is not what it must be.
        UnknownNameError: for an unknown key or setting.
    """
    if not isinstance(listed, Mapping) or not isinstance(grids, Sequence):
        raise ConfigError(f"{path}: arms must be a mapping by name, and grid a list")
    shared = with_preset(base)
    arms = [_listed(str(name), given, shared, path) for name, given in listed.items()]
    for grid in grids:
        arms += _of_grid(grid, shared, path)
    if not arms:
        raise ConfigError(f"{path} names no arm: fill arms: or grid:")
    names = [arm.name for arm in arms]
    for name in names:
        if set(name) & set("[],"):
            raise ConfigError(f"{path}: the name of an arm has no comma or bracket, got {name!r}")
        if names.count(name) > 1:
            raise ConfigError(f"{path} has two arms of the name {name!r}")
    for arm in arms:
        arm.config()
    return tuple(_with_folder(arm, path.parent) for arm in arms)


def _with_folder(arm: Arm, folder: Path) -> Arm:
    """The arm with its file of weights or images found from the study's own folder."""
    given = arm.settings.get("pretraining") or {}
    if not given.get("path"):
        return arm
    if not is_path(str(given["path"])):
        raise ConfigError(f"the arm {arm.name!r}: pretraining.path is no path of a file")
    resolved = str((folder / str(given["path"])).resolve())
    return replace(arm, settings=merged(arm.settings, {"pretraining": {"path": resolved}}))


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over those of the preset that they name."""
    own = dict(values)
    name = own.pop("preset", None)
    return merged(preset(str(name)) if name else {}, own)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, the second over the first; sets of sequences written out.

    Example:
        >>> merged({"model": {"name": "vit", "stem": "concat"}}, {"model": {"stem": "subtract"}})
        {'model': {'name': 'vit', 'stem': 'subtract'}}
    """
    result = dict(under)
    for key, value in over.items():
        known = result.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            result[key] = merged(known, value)
        elif key in ("sequences", "cases") and isinstance(value, str):
            result[key] = list(sequence_set(value))
        elif isinstance(value, Mapping):
            result[key] = merged({}, value)
        else:
            result[key] = value
    return result


def _listed(name: str, given: Any, shared: Mapping[str, Any], path: Path) -> Arm:
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{path}: the arm {name!r} must be a mapping of settings, got {given!r}")
    changes = {key: value for key, value in given.items() if key not in _ARM_KEYS}
    return Arm(
        name,
        str(given.get("approach", "other")),
        str(given.get("against") or ""),
        merged(shared, with_preset(changes)),
    )


def _of_grid(grid: Any, shared: Mapping[str, Any], path: Path) -> list[Arm]:
    vary = grid.get("vary") if isinstance(grid, Mapping) else None
    if not isinstance(vary, Mapping) or not vary:
        raise ConfigError(f"{path}: an entry of grid needs vary: {{setting: [values]}}")
    for key in grid:
        if key not in _GRID_KEYS:
            raise UnknownNameError(f"key of grid in {path}:", str(key), _GRID_KEYS)
    for setting, values in vary.items():
        if str(setting).count(".") > _DEEPEST:
            raise ConfigError(f"{path}: there is no setting {str(setting)[:80]!r} to vary")
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{path}: vary {setting} needs a list of values, got {values!r}")
    if math.prod(len(values) for values in vary.values()) > MOST_ARMS:
        raise ConfigError(f"{path}: a grid has at most {MOST_ARMS} arms; vary fewer settings")
    arms = []
    for chosen in product(*vary.values()):
        changes: dict[str, Any] = {}
        for setting, value in zip(vary, chosen, strict=True):
            changes = merged(changes, _nested(str(setting), value))
        name = " ".join(_value_name(value) for value in chosen)
        against = str(grid.get("against") or "")
        arms.append(
            Arm(
                name,
                str(grid.get("approach", "other")),
                "" if against == name else against,
                merged(shared, changes),
            )
        )
    return arms


def _nested(setting: str, value: Any) -> dict[str, Any]:
    """``model.stem`` as nested settings."""
    head, _, rest = setting.partition(".")
    return {head: _nested(rest, value) if rest else value}


def _value_name(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
