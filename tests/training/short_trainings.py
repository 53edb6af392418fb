"""Short trainings of the phantom cohort: their settings, their metrics, and a part of the store."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd

from xrano.data.store import Store, open_store
from xrano.training.config import RunConfig
from xrano.training.run import Run


def quiet(*_: object) -> None:
    pass


def settings(config: RunConfig, **changes: object) -> RunConfig:
    return replace(config, training=replace(config.training, **changes))


def lines(run: Run, fold: int = 0) -> list[dict[str, float]]:
    text = (run.root / f"fold-{fold}" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def copy_store(store: Store, root: Path, keep) -> Store:
    """A store of some of the pairs only."""
    shutil.copytree(store.root, root)
    pairs = pd.read_csv(root / "pairs.csv", dtype=str, keep_default_na=False)
    pairs[[keep(row) for row in pairs.to_dict("records")]].to_csv(root / "pairs.csv", index=False)
    return open_store(root)
