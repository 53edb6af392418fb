"""Does a run's map tell the truth about its network? Every test on some held-out pairs.

Each pair is explained by the network that never saw its patient, for the class that it predicts.
A *part* is one test of one pair, written whole when it is done: a run that was stopped, or asked
for more pairs or tests, makes the parts that are missing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import remove_leftovers, write_json, write_text
from xrano.data.pair_volumes import load_pair
from xrano.experiments.faithfulness_case import Case
from xrano.experiments.faithfulness_files import tidy_rows
from xrano.experiments.faithfulness_networks import FoldNetworks, seed_runs
from xrano.experiments.faithfulness_settings import FaithfulnessSettings, chosen_pairs
from xrano.experiments.pair_faithfulness import run_test
from xrano.experiments.scored_run import run_facts
from xrano.experiments.shards import alone_in
from xrano.progress import Progress, quiet
from xrano.text_files import read_json
from xrano.training.run import Run

_FORMAT = 1
"""Of the parts: files of another are made anew."""

_READ_BY = {
    "perturbation": ("methods", "attribution", "seed", "steps", "orders", "blocks", "noisy"),
    "interventions": ("seed", "dilation_mm", "controls"),
    "randomisation": ("methods", "attribution", "seed", "draws"),
    "agreement": ("methods", "attribution", "copies"),
    "misalignment": ("methods", "attribution", "directions"),
}
"""The settings that each test reads: others may change and its parts still hold."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a run of the tests found.

    ``pairs``: rows of the pairs table, in the order in which they were chosen; ``rows``: see
    :data:`xrano.experiments.faithfulness_files.ROW_COLUMNS`; ``answers``: what was predicted
    before and after each intervention, with all logits.
    """

    pairs: list[dict[str, Any]]
    rows: pd.DataFrame
    answers: pd.DataFrame


def measure_faithfulness(
    run: Run,
    out: Path,
    settings: FaithfulnessSettings | None = None,
    *,
    seeds: Sequence[Path] = (),
    progress: Progress = quiet,
) -> Measured:
    """Run the tests on the pairs that :func:`chosen_pairs` names.

    Args:
        run: a trained run.
        out: folder for the parts and ``settings.json``.
        settings: methods, tests, pairs, effort.
        seeds: other runs of the same network with other seeds; the ``seed-…`` folders beside the
            run's own if not given.
        progress: how to show progress; an item is one test of one pair.

    Raises:
        ManifestError: if there is no pair to test.
        UnknownNameError: for an unknown method or baseline.
        ModelError: if a method does not fit the network.
        ConfigError: if another process works in the folder, or a run of another network is named
            among the seeds.
    """
    settings = settings or FaithfulnessSettings()
    pairs = chosen_pairs(run, settings.pairs, settings.seed)
    others = seed_runs(run, seeds) if "agreement" in settings.tests else []
    # Fold by fold, so that only one fold's networks are held.
    work = [
        (record, test)
        for record in sorted(pairs, key=run.fold_of)
        for test in dict.fromkeys(settings.tests)
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    told: dict[str, list[dict[str, Any]]] = {}
    case: Case | None = None
    with alone_in(out, None):
        remove_leftovers(out)
        _write_facts(run, settings, pairs, others, out)
        for record, test in progress(work, "testing maps"):
            case = _case(run, record, settings, others, case)
            part = _part(case, test, out)
            found.setdefault(case.pair.pair_id, []).extend(part["rows"])
            told.setdefault(case.pair.pair_id, []).extend(part["answers"])
    ids = [str(record["pair_id"]) for record in pairs]
    return Measured(
        pairs,
        tidy_rows([row for name in ids for row in found[name]]),
        pd.DataFrame([row for name in ids for row in told[name]]),
    )


def _case(
    run: Run,
    record: dict[str, Any],
    settings: FaithfulnessSettings,
    others: Sequence[Run],
    before: Case | None,
) -> Case:
    """The pair's case; the one before, or its networks, where they are the same."""
    if before is not None and before.pair.pair_id == record["pair_id"]:
        return before
    fold = run.fold_of(record)
    networks = None if before is None else before.networks
    if networks is None or networks.fold != fold:
        networks = FoldNetworks(run, fold, settings, others)
    return Case(load_pair(run.store, record, run.layout), record, networks, settings)


def _part(case: Case, test: str, out: Path) -> dict[str, list[dict[str, Any]]]:
    """One test of one pair: as it was written before, if of the same things, or made now."""
    path, key = out / "parts" / case.pair.pair_id / f"{test}.json", _key(case, test)
    try:
        content = read_json(path)
        if content["key"] == key:
            return {"rows": content["rows"], "answers": content["answers"]}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    made = {name: [_plain(row) for row in rows] for name, rows in run_test(test, case).items()}
    write_text(path, json.dumps({"key": key, **made}, allow_nan=False))
    return made


def _key(case: Case, test: str) -> str:
    asked = case.settings.asked()
    networks = [case.networks.trained]
    if test == "agreement":
        networks += [*case.networks.of_folds(), *case.networks.of_seeds(case.record)]
    text = json.dumps(
        [
            _FORMAT,
            test,
            {name: asked[name] for name in _READ_BY[test]},
            case.pair.content_hash(),
            case.networks.trained.clinical_vector(case.pair),
            [explainer.weights_sha256 for explainer in networks],
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row for JSON: undefined numbers ``None``."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _write_facts(
    run: Run,
    settings: FaithfulnessSettings,
    pairs: Sequence[dict[str, Any]],
    others: Sequence[Run],
    out: Path,
) -> None:
    content = {
        "run": run_facts(run),
        "settings": settings.asked(),
        "pairs": [str(record["pair_id"]) for record in pairs],
        "seeds": [other.config.seed for other in others],
    }
    write_json(out / "settings.json", content)
