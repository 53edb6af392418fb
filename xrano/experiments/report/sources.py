"""What lies beside a run and belongs to it: scores, maps, faithfulness, and an audit.

A folder that is named must belong to the run. One that is only looked for, where ``xrano demo``
puts it, is left aside if it does not, and the report says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xrano.errors import ManifestError, VolumeError
from xrano.experiments.explained_units import require_whole_units
from xrano.experiments.report.commands import FOLDERS
from xrano.experiments.saved_maps import saved_facts
from xrano.experiments.scored_run import run_facts
from xrano.scoring.report import REPORT_FILE
from xrano.scoring.tables import read_table
from xrano.text_files import read_json
from xrano.training.run import Run

WHAT: Mapping[str, str] = {
    "scores": "Scores of the maps",
    "maps": "Attribution maps",
    "faithfulness": "Faithfulness tests",
    "audit": "Audit of the scores",
}
"""What each folder holds, in words."""

_MARKS = {
    "scores": "scores.csv",
    "faithfulness": "faithfulness_summary.csv",
    "audit": "audit.json",
}
"""The file that a finished folder of a kind holds."""

_IDENTITY = ("name", "network", "sequences", "stem", "task", "epochs", "seed", "protocol", "store")
"""What of :func:`~xrano.experiments.scored_run.run_facts` tells one run from another; folds may be
added to a run."""


@dataclass(frozen=True)
class Found:
    """One folder: its path, ``None`` if there is none of this run, and then why."""

    kind: str
    path: Path | None
    why: str = ""


@dataclass(frozen=True, eq=False)
class Sources:
    """What a report is made of; ``maps``: finished maps of the run by pair."""

    scores: Found
    maps: Found
    faithfulness: Found
    audit: Found
    files: Mapping[str, tuple[Path, ...]]

    def all(self) -> tuple[Found, ...]:
        """The four, in the order of a page."""
        return (self.scores, self.maps, self.faithfulness, self.audit)


def find_sources(
    run: Run,
    *,
    scores: Path | None = None,
    maps: Path | None = None,
    faithfulness: Path | None = None,
    audit: Path | None = None,
) -> Sources:
    """Look for everything, where it is named or else beside the run.

    Raises:
        ManifestError: if a folder that is named holds nothing of its kind, or another run's.
    """
    named = {"scores": scores, "faithfulness": faithfulness, "audit": audit}
    found = {kind: _find(run, kind, path) for kind, path in named.items()}
    place = maps if maps is not None else run.root.parent / FOLDERS["maps"]
    files, why = _maps_of(run, place)
    if why and maps is not None:
        raise ManifestError(f"no map of this run in {maps}: {why}")
    return Sources(
        found["scores"],
        Found("maps", None if why else place, why),
        found["faithfulness"],
        found["audit"],
        files,
    )


def _find(run: Run, kind: str, named: Path | None) -> Found:
    place = named if named is not None else run.root.parent / FOLDERS[kind]
    mark = place / _MARKS[kind]
    if not mark.is_file():
        why = f"{place.name} holds no {_MARKS[kind]}" if place.is_dir() else "not found"
        if named is not None:
            raise ManifestError(f"{place} holds no {_MARKS[kind]}: not a folder of {WHAT[kind]}")
        return Found(kind, None, why)
    lost = _lost_of_scores(place) if kind == "scores" else ""
    if lost:
        why = f"{place.name} holds no whole {lost}: the scoring was stopped, or the file is lost"
        if named is not None:
            raise ManifestError(f"{why} ({place}); run xrano score again")
        return Found(kind, None, why)
    other = "" if kind == "audit" else _other_run(run, kind, place)
    if other and named is not None:
        raise ManifestError(f"{place} is {other}; leave it out, or name the run's own folder")
    return Found(kind, None if other else place, f"{place.name} is {other}" if other else "")


def _lost_of_scores(place: Path) -> str:
    """Of the two files that a scoring writes first and last, one that is not whole.

    A folder of an earlier version has neither.
    """
    names = ("settings.json", REPORT_FILE)
    if not any((place / name).is_file() for name in names):
        return ""
    for name in names:
        try:
            read_json(place / name)
        except (OSError, ValueError):
            return name
    return ""


def _other_run(run: Run, kind: str, place: Path) -> str:
    """What sets the folder's run apart from this one, in words; empty if it is this one's."""
    own = run_facts(run)
    settings = place / "settings.json"
    if settings.is_file():
        try:
            facts = read_json(settings).get("run") or {}
        except (ValueError, AttributeError):
            return f"unreadable: {settings.name} is no JSON object"
        different = [
            name for name in _IDENTITY if name in facts and _plain(facts[name]) != _plain(own[name])
        ]
        if different:
            return _apart(different[0], facts, own)
        return ""
    if kind == "scores":
        try:
            names = set(read_table("scores", place)["run"]) - {""}
        except ManifestError as error:
            return f"unreadable: {error}"
        if names and own["name"] not in names:
            return f"of another run ({', '.join(sorted(names))})"
    return ""


def _apart(name: str, facts: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """What sets two runs apart; of facts with parts the parts alone that differ."""
    theirs, ours = _plain(facts[name]), _plain(own[name])
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        return f"of another run ({name}: {facts[name]}, not {own[name]})"
    parts = [
        f"{part} {theirs[part]}, not {ours[part]}"
        for part in theirs
        if part in ours and theirs[part] != ours[part]
    ]
    if parts:
        return f"of another run ({name}: {'; '.join(parts)})"
    missing = ", ".join(sorted(set(ours) ^ set(theirs)))
    return f"of another version of xrano, which tells other things of the {name} ({missing})"


def _maps_of(run: Run, place: Path) -> tuple[dict[str, tuple[Path, ...]], str]:
    """Maps of this run's trained network by pair; or why there is none."""
    if not place.is_dir():
        return {}, f"{place} is no folder" if place.exists() else "not found"
    try:
        facts = saved_facts(place)
        require_whole_units(place)
    except (ManifestError, VolumeError) as error:
        return {}, str(error).replace(str(place), place.name)
    name = run.root.resolve().name
    known = set(run.pairs()["pair_id"])
    found: dict[str, list[Path]] = {}
    for path, of in facts.items():
        ours = str(of.get("run") or name) == name and of["pair_id"] in known
        if ours and not str(of.get("weights") or "").startswith("random"):
            found.setdefault(str(of["pair_id"]), []).append(path)
    if not found:
        return {}, f"{place.name} holds {len(facts)} maps, none of this run"
    return {pair: tuple(paths) for pair, paths in found.items()}, ""


def _plain(value: Any) -> Any:
    """As JSON has it: tuples as lists."""
    return json.loads(json.dumps(value))
