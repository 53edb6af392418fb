"""Pairs of the tiny run explained by three methods, and how their maps are found."""

from __future__ import annotations

from pathlib import Path

from xrano.attribution.methods import AttributionSettings
from xrano.map_files import find_maps, load_map
from xrano.training.run import Run

METHODS = ("saliency", "gradcam", "ig:prior")
QUICK = AttributionSettings(n_steps=3)


def current_scan(run: Run, pair_id: str) -> Path:
    row = run.pair(pair_id)
    sessions = run.store.sessions.set_index(["patient_id", "session_id"])
    return Path(sessions.loc[(row["patient_id"], row["current_session"])]["CT1"])


def maps_of(out: Path, pair_id: str) -> dict[str, Path]:
    found = {}
    for path in find_maps(out):
        meta = load_map(path).meta
        if meta["pair_id"] == pair_id:
            found[f"{meta['method']}:{meta['baseline']}".strip(":")] = path
    return found
