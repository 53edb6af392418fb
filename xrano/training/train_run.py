"""Train a run: every fold asked for, then the predictions of all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import remove_leftovers, write_json, write_text
from xrano.data.splits import (
    PROTOCOLS,
    UNTRAINED,
    Splits,
    make_folds,
    read_splits,
    restrict_splits,
    unit_column,
    write_splits,
)
from xrano.data.store import Store, open_store
from xrano.data.tables import write_table
from xrano.errors import ConfigError, ManifestError, SplitError, UnknownNameError
from xrano.models.factory import MODELS
from xrano.models.stems import STEMS
from xrano.text_files import is_cut_off
from xrano.training.config import RunConfig
from xrano.training.config_file import dump_config, load_config
from xrano.training.network import new_network, save_network
from xrano.training.one_fold import train_one_fold
from xrano.training.ranks import ALONE, Ranks
from xrano.training.run import Run, fold_folder, open_run, rated, read_predictions, run_pairs

FoldReport = Callable[[int, dict[str, Any], int], None]
"""Called after each epoch with the fold, its line of metrics and the number of epochs."""

Say = Callable[[str], object]
"""Takes a line for the user."""


def _silent(_text: str) -> None:
    pass


def train_run(
    config: RunConfig,
    out: Path,
    *,
    report: FoldReport,
    say: Say = _silent,
    ranks: Ranks = ALONE,
) -> Run:
    """Train every fold asked for and write the out-of-fold predictions.

    A run that was interrupted goes on where it stopped.

    Args:
        config: the run.
        out: its folder.
        report: called after each epoch.
        say: takes lines for the user, such as the fraction of pretrained weights loaded.
        ranks: the processes that share the work; the first of them reports, says and writes.

    Raises:
        ConfigError: if the folder holds a run with other settings.
        SplitError: if there are fewer patients than folds.
        UnknownNameError: for an unknown network or sequence.
    """
    out = Path(out)
    store = open_store(Path(config.store))
    check_names(config, store)
    config = replace(config, store=str(store.root.resolve()))
    pairs, exclusions = run_pairs(config, store)
    pairs = rated(pairs)
    if pairs.empty and config.training.epochs:
        wanted = ", ".join(dict.fromkeys((*config.model.sequences, *config.cases)))
        raise ManifestError(f"{store.root} has no rated pair with {wanted} in both scans")
    splits = ranks.by_first(lambda: _begin(config, out, store, pairs, exclusions))
    if splits is None:
        return open_run(out)
    for fold in config.folds or range(len(splits["folds"])):
        train_one_fold(
            config,
            store,
            pairs,
            splits,
            fold,
            out,
            report=report,
            say=say if ranks.first else _silent,
            ranks=ranks,
        )
    ranks.by_first(lambda: _gather(out))
    return open_run(out)


def _begin(
    config: RunConfig, out: Path, store: Store, pairs: pd.DataFrame, exclusions: pd.DataFrame
) -> Splits | None:
    """Claim the folder and write down what is trained on what; nothing is for an untrained run."""
    # Everything that can be refused is refused before the folder is claimed.
    splits = _splits(config, out, store, pairs) if config.training.epochs else None
    _claim(out, config, store)
    remove_leftovers(out)
    write_table(out / "exclusions.csv", exclusions)
    if splits is None:
        _write_untrained(config, out, store)
    else:
        write_splits(out / "splits.json", splits)
    return splits


def _gather(out: Path) -> None:
    """One table of the predictions of every fold trained."""
    run = open_run(out, growing=True)
    # Of a fold that another process still predicts, or was killed at, the file is not there yet.
    paths = [fold_folder(out, fold) / "predictions.csv" for fold in run.trained_folds]
    tables = [read_predictions(path) for path in paths if path.is_file()]
    write_table(out / "predictions.csv", pd.concat(tables, ignore_index=True))


def check_names(config: RunConfig, store: Store) -> None:
    """Refuse networks and stems that do not exist and sequences that the store does not have.

    Raises:
        UnknownNameError: listing the choices.
    """
    if config.model.name not in MODELS:
        raise UnknownNameError("model", config.model.name, MODELS)
    if config.model.stem not in STEMS:
        raise UnknownNameError("stem", config.model.stem, STEMS)
    for sequence in config.model.sequences:
        if sequence not in store.sequences:
            raise UnknownNameError("sequence", sequence, store.sequences)


def _splits(config: RunConfig, out: Path, store: Store, pairs: pd.DataFrame) -> Splits:
    """The folder's own splits, the ones named, or new ones."""
    if (out / "splits.json").is_file():
        splits = read_splits(out / "splits.json", pairs)
    elif config.splits:
        splits = _named_splits(Path(config.splits), store, pairs)
    else:
        splits = make_folds(pairs, config.n_folds, config.seed, grouping=config.grouping)
    if splits["protocol"] != PROTOCOLS[config.grouping]:
        raise ConfigError(
            f"grouping {config.grouping} needs splits of the protocol "
            f"{PROTOCOLS[config.grouping]}, these are {splits['protocol']}"
        )
    for fold in config.folds:
        if fold >= len(splits["folds"]):
            raise ConfigError(f"fold {fold} is not one of the {len(splits['folds'])} folds")
    return splits


def _named_splits(path: Path, store: Store, pairs: pd.DataFrame) -> Splits:
    """Splits of a file, without those who lack a sequence of this run; strangers are refused."""
    splits = read_splits(path, None)
    known = set(store.pairs[unit_column(splits["protocol"])])
    strangers = sorted({name for fold in splits["folds"] for name in fold["test"]} - known)
    if strangers:
        raise SplitError(
            f"{path} names patients or timepoints without any pair: {', '.join(strangers[:10])}; "
            "make the splits anew for this store"
        )
    return restrict_splits(splits, pairs)


def _write_untrained(config: RunConfig, out: Path, store: Store) -> None:
    """One fold of random weights that no patient has been shown to."""
    folder = fold_folder(out, 0)
    if config.model.clinical:
        raise ConfigError("clinical data are standardised on training patients: epochs must be > 0")
    save_network(folder / "model.safetensors", new_network(config, seed=config.seed), config)
    patients = sorted(set(store.pairs["patient_id"]))
    write_splits(
        out / "splits.json",
        {"protocol": UNTRAINED, "seed": config.seed, "folds": [{"test": patients}]},
    )
    write_json(folder / "fold.json", {"best_epoch": -1, "epochs": 0})


def _claim(out: Path, config: RunConfig, store: Store) -> None:
    """Write the config, or refuse a folder that holds a run of other settings or another store.

    Which folds are trained is not a setting: folds may be added to a run.
    """
    path, mark = out / "config.yaml", out / "store.sha256"
    fingerprint = store.fingerprint()
    if path.is_file():
        known = load_config(path)
        if replace(known, folds=()) != replace(config, folds=()):
            raise ConfigError(
                f"{out} already holds a run with other settings (see its config.yaml); choose "
                "another --out, or delete it"
            )
        # A mark that is cut off is written anew, as one that is missing.
        marked = mark.is_file() and not is_cut_off(mark)
        if marked and mark.read_text(encoding="utf-8").strip() != fingerprint:
            raise ConfigError(
                f"{out} was trained on the store {config.store} before that was prepared anew; "
                "choose another --out, or delete it"
            )
        if known.folds and config.folds:
            config = replace(config, folds=tuple(sorted({*known.folds, *config.folds})))
    elif config.folds:
        # The file was lost, and with it which folds there are.
        names = [mark.parent.name[5:] for mark in out.glob("fold-*/fold.json")]
        trained = {int(name) for name in names if re.fullmatch("[0-9]+", name)}
        config = replace(config, folds=tuple(sorted({*trained, *config.folds})))
    write_text(path, dump_config(config))
    write_text(mark, fingerprint + "\n")
