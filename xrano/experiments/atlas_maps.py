"""Which saved maps go into a class atlas, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xrano.data.tables import records
from xrano.errors import ManifestError, UnknownNameError
from xrano.experiments.saved_maps import saved_facts
from xrano.training.run import Run
from xrano.viz.names import METHOD_NAMES

TARGETS = ("predicted", "response")
"""Whose maps are taken: of the class that the network chose, or of the true one."""


OTHER_TARGET = "of another target class"
"""Reason of maps that explain another class of a pair; its own may be there as well."""


@dataclass(frozen=True, eq=False)
class ChosenMaps:
    """Maps by pair.

    ``methods``: labels in the order of :data:`~xrano.viz.names.METHOD_NAMES`; ``pairs``: rows of
    the pairs table, of one patient and response after another; ``files``: pair_id to method to
    file; ``left_out``: reason to number of maps.
    """

    methods: tuple[str, ...]
    pairs: tuple[Mapping[str, Any], ...]
    files: Mapping[str, Mapping[str, Path]]
    left_out: Counter[str]


def choose_maps(
    run: Run, maps: Path | Sequence[Path], methods: Sequence[str] | None, target: str
) -> ChosenMaps:
    """The maps of rated pairs that span no operation, one a pair and method.

    Raises:
        ManifestError: if nothing is left, or a pair has two maps of one method.
        UnknownNameError: for a method that has no map, or an unknown target.
    """
    if target not in TARGETS:
        raise UnknownNameError("target of an atlas", target, TARGETS)
    facts = _facts(maps)
    known = {str(row["pair_id"]): row for row in records(run.pairs())}
    left_out: Counter[str] = Counter()
    kept: dict[Path, Mapping[str, Any]] = {}
    for path, of in facts.items():
        reason = _reason(run, of, known.get(of["pair_id"]), target)
        if reason:
            left_out[reason] += 1
        else:
            kept[path] = of
    labels = _labels(kept)
    wanted = _wanted(tuple(labels.values()), methods)
    files: dict[str, dict[str, Path]] = {}
    for path, label in labels.items():
        if label in wanted:
            own = files.setdefault(kept[path]["pair_id"], {})
            if label in own:
                raise ManifestError(
                    f"two maps are of {kept[path]['pair_id']} by {label}: {own[label]} and {path}; "
                    "leave one of them out"
                )
            own[label] = path
    if not files:
        raise ManifestError(f"none of {len(facts)} maps can be averaged: {why_left_out(left_out)}")
    pairs = sorted(
        (known[pair_id] for pair_id in files),
        key=lambda row: (row["patient_id"], row["response"], row["pair_id"]),
    )
    return ChosenMaps(wanted, tuple(pairs), files, left_out)


def why_left_out(left_out: Mapping[str, int]) -> str:
    """``3 maps of unrated pairs; 1 map of random weights``.

    Example:
        >>> why_left_out({"of unrated pairs": 3, "of random weights": 1})
        '3 maps of unrated pairs; 1 map of random weights'
    """
    return "; ".join(
        f"{number} map{'s' if number > 1 else ''} {reason}" for reason, number in left_out.items()
    )


def _facts(maps: Path | Sequence[Path]) -> dict[Path, dict[str, Any]]:
    found: dict[Path, dict[str, Any]] = {}
    for place in [maps] if isinstance(maps, (str, Path)) else maps:
        found |= saved_facts(Path(place))
    return found


def _reason(run: Run, of: Mapping[str, Any], pair: Mapping[str, Any] | None, target: str) -> str:
    """Why a map is left out; empty if it is not."""
    if pair is None:
        return "of pairs that the run does not have"
    if not pair["response"]:
        return "of unrated pairs"
    if pair["spans_surgery"]:
        return "of pairs that span an operation"
    if str(of.get("weights") or "").startswith("random"):
        return "of random weights"
    true = run.task.class_of(str(pair["response"]))
    wanted = of.get("predicted") if target == "predicted" else true
    return "" if of.get("target_name") == wanted else OTHER_TARGET


def _labels(kept: Mapping[Path, Mapping[str, Any]]) -> dict[Path, str]:
    """Method, its baseline, and its layer where the maps are of several."""
    plain = {
        path: ":".join(str(of[name]) for name in ("method", "baseline") if of.get(name))
        for path, of in kept.items()
    }
    layers: dict[str, set[str]] = {}
    for path, label in plain.items():
        layers.setdefault(label, set()).add(str(kept[path].get("layer") or ""))
    return {
        path: f"{label}@{kept[path]['layer']}" if len(layers[label]) > 1 else label
        for path, label in plain.items()
    }


def _wanted(labels: Sequence[str], methods: Sequence[str] | None) -> tuple[str, ...]:
    order = list(METHOD_NAMES)

    def key(label: str) -> tuple[int, str]:
        name = label.partition("@")[0].partition(":")[0]
        return (order.index(name) if name in order else len(order), label)

    there = sorted(set(labels), key=key)
    if methods is None:
        return tuple(there)
    found: dict[str, None] = {}
    for name in methods:
        own = [label for label in there if name in (label, *_shorter(label))]
        if not own:
            raise UnknownNameError("method with maps", name, there)
        found |= dict.fromkeys(own)
    return tuple(found)


def _shorter(label: str) -> tuple[str, str]:
    """The label without its layer, and without its baseline as well."""
    plain = label.partition("@")[0]
    return plain, plain.partition(":")[0]
