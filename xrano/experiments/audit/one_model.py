"""One model of an audit, from its cohort to its numbers: trained, verified, explained and scored.

A model's folder holds ``run/`` (a run as ``xrano train`` leaves it), ``model.json`` and
``pair_values.csv``. ``model.json`` is written last and marks the model as done. The scores of
single maps are thrown away once the values of the pairs are read from them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import DataLoader

from xrano.atomic_files import write_json
from xrano.attribution.methods import AttributionSettings
from xrano.data.dataset import PairDataset
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.planting.plan import NO_MARK, PlantingPlan
from xrano.data.planting.planted_store import planted_store
from xrano.data.splits import make_folds, write_splits
from xrano.data.store import Store, open_store
from xrano.errors import ConfigError
from xrano.evaluation.classification import balanced_accuracy
from xrano.experiments.audit.score_table import pair_values, read_pair_values
from xrano.experiments.audit.settings import AuditModel, AuditSettings
from xrano.experiments.audit.verification import Accuracies, accuracies_from_json
from xrano.experiments.cohort import CohortSettings, score_cohort
from xrano.experiments.phantom_store import make_store
from xrano.progress import Progress, quiet
from xrano.scoring.table_files import write_frame
from xrano.text_files import read_json
from xrano.training.config import RunConfig
from xrano.training.config_file import config_from, preset
from xrano.training.prediction import predict_all, prediction_table
from xrano.training.run import Run, rated
from xrano.training.train_run import train_run

BASE_PRESET = "demo"
"""What models are trained like, but for the audit's own settings."""

_FOLD = 0


@dataclass(frozen=True, eq=False)
class FinishedModel:
    """What is known of one model.

    ``seconds``: it took; ``pairs``: of :func:`~xrano.experiments.audit.score_table.pair_values`.
    """

    model: AuditModel
    accuracies: Accuracies
    seconds: float
    pairs: pd.DataFrame


@dataclass(frozen=True)
class Cohort:
    """The phantom of one seed: its honest store, the folds, and where planted stores go."""

    root: Path
    store: Path
    splits: Path

    def planted(self, plan: PlantingPlan, progress: Progress) -> Store:
        """The store of a plan, made if it is not there; the honest one where nothing changes."""
        if plan.changes_nothing:
            return open_store(self.store)
        name = f"{_marks(plan)}-{plan.tumour}{'-swapped' if plan.swap else ''}"
        return open_store(planted_store(self.store, self.root / name, plan, progress=progress))

    def clear(self, plan: PlantingPlan) -> None:
        """Remove the stores with the marks of a plan, which can be planted again."""
        for table in self.root.glob(f"{_marks(plan)}-*/marks.csv"):
            shutil.rmtree(table.parent)


def _marks(plan: PlantingPlan) -> str:
    return f"{plan.kind}-{plan.strength:g}"


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread: how sums are divided changes what a network learns."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_cohort(seed: int, settings: AuditSettings, root: Path, progress: Progress) -> Cohort:
    """The phantom of a seed, indexed, prepared and divided, unless it is there."""
    phantom = PhantomSettings(patients=settings.patients, seed=seed, spacing_mm=settings.spacing_mm)
    store = make_store(root, phantom, progress, jobs=0)
    splits = root / "splits.json"
    if not splits.is_file():
        pairs = rated(open_store(store).pairs)
        write_splits(splits, make_folds(pairs, settings.hold_out, seed))
    return Cohort(root, store, splits)


def run_config(model: AuditModel, settings: AuditSettings, store: Path, splits: Path) -> RunConfig:
    """How a model is trained: the preset ``demo`` with the audit's epochs and stem."""
    values = preset(BASE_PRESET)
    training = {**values["training"], "epochs": settings.epochs, "patience": settings.epochs}
    return config_from(
        {
            **values,
            "model": {**values["model"], "stem": settings.stem},
            "training": training,
            "store": str(store.resolve()),
            "splits": str(splits.resolve()),
            "n_folds": settings.hold_out,
            "folds": [_FOLD],
            # Models of one seed would otherwise start from the same weights in every cohort.
            "seed": 1000 * model.model_seed + model.cohort_seed,
        },
        f"the audit's model {model.name}",
    )


def finish_model(
    model: AuditModel,
    settings: AuditSettings,
    cohort: Cohort,
    folder: Path,
    *,
    progress: Progress = quiet,
) -> FinishedModel:
    """Train, verify and score a model, going on where it was.

    Args:
        model: which.
        settings: of the audit.
        cohort: its cohort.
        folder: its own.
        progress: how to show progress.

    Raises:
        XranoError: whatever training, planting and scoring complain of.
    """
    known = read_model(model, folder)
    if known is not None:
        return known
    with one_thread():
        return _finished(model, settings, cohort, folder, progress)


def _finished(
    model: AuditModel, settings: AuditSettings, cohort: Cohort, folder: Path, progress: Progress
) -> FinishedModel:
    start = time.monotonic()
    own = cohort.planted(model.plan(), progress)
    config = run_config(model, settings, own.root, cohort.splits)
    run = train_run(config, folder / "run", report=lambda *_: None)
    accuracies = verify(run, model, cohort, progress)
    scores = folder / "scores"
    asked = CohortSettings(
        methods=settings.methods,
        copies=settings.copies,
        attribution=AttributionSettings(n_steps=settings.n_steps),
    )
    score_cohort(run, scores, asked, progress=progress)
    write_frame(pair_values(scores), folder / "pair_values.csv")
    seconds = time.monotonic() - start
    write_json(
        folder / "model.json",
        {"name": model.name, "accuracies": accuracies.to_json(), "seconds": round(seconds, 1)},
    )
    shutil.rmtree(scores)
    return FinishedModel(model, accuracies, seconds, read_pair_values(folder / "pair_values.csv"))


def read_model(model: AuditModel, folder: Path) -> FinishedModel | None:
    """A model that is done; ``None`` for one that is not.

    Raises:
        ConfigError: if the folder is another model's.
    """
    path = folder / "model.json"
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        name, told = found["name"], found.get("accuracies", {})
        if name == model.name:
            seconds, told = float(found["seconds"]), dict(told)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}); delete it to train this model again"
        ) from error
    if name != model.name:
        raise ConfigError(
            f"{path} is of the model {name!r}, not {model.name}; choose another --out"
        )
    return FinishedModel(
        model,
        accuracies_from_json(told),
        seconds,
        read_pair_values(folder / "pair_values.csv"),
    )


def verify(run: Run, model: AuditModel, cohort: Cohort, progress: Progress = quiet) -> Accuracies:
    """What a model says of the same held-out patients with the mark changed or the tumour gone."""
    marked = model.of.kind != NO_MARK
    own = held_out_accuracy(run, run.store)
    erased = held_out_accuracy(run, cohort.planted(model.plan(tumour="erased"), progress))
    if not marked:
        return Accuracies(own, float("nan"), own, erased)
    return Accuracies(
        own,
        held_out_accuracy(run, cohort.planted(model.plan(swap=True), progress)),
        held_out_accuracy(run, open_store(cohort.store)),
        erased,
    )


def held_out_accuracy(run: Run, store: Store) -> float:
    """Balanced accuracy of a run's network on its held-out pairs, as another store has them."""
    network = run.model(_FOLD)
    pairs = rated(run.pairs())
    pairs = pairs[run.is_tested(pairs, _FOLD)].reset_index(drop=True)
    dataset = PairDataset(store, pairs, network.layout, task=run.task)
    loader = DataLoader(dataset, batch_size=run.config.training.batch_size)
    logits, _ = predict_all(network, loader)
    table = prediction_table(pairs, logits, _FOLD, run.task)
    return balanced_accuracy(list(table["response"]), list(table["predicted"]), run.task.classes)
