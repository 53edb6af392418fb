"""An audit from its settings to its finished models, cohort by cohort, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xrano.errors import UnfinishedError, XranoError, is_out_of_memory
from xrano.experiments.audit.audit_files import claim
from xrano.experiments.audit.one_model import (
    Cohort,
    FinishedModel,
    finish_model,
    make_cohort,
    read_model,
)
from xrano.experiments.audit.settings import AuditModel, AuditSettings
from xrano.experiments.shards import Shard, alone_in, of_shard
from xrano.progress import Progress, minutes, quiet

Say = Callable[[str], object]

_ADVICE = "out of memory: use coarser voxels or fewer patients"


@dataclass(frozen=True)
class AuditFailure:
    """A model that could not be finished, and why."""

    model: AuditModel
    error: str


def run_audit(
    settings: AuditSettings,
    out: Path,
    *,
    shard: Shard | None = None,
    say: Say,
    progress: Progress = quiet,
    clock: Callable[[], float] = time.monotonic,
) -> list[AuditFailure]:
    """Train, verify and score every model that is not done yet.

    A shard works on every n-th cohort, so that no two of them make the same phantom.

    Args:
        settings: of the audit.
        out: its folder.
        shard: the part of the cohorts that this process works on; all if not given.
        say: takes a line a model.
        progress: how to show progress within one.
        clock: seconds.

    Returns:
        The models that failed for a reason that their user can mend; the others are done.

    Raises:
        ConfigError: if the folder holds an audit of other settings, or another process works on
            the same shard.
    """
    cohorts = of_shard(settings.cohort_seeds, shard)
    work = [model for model in settings.models() if model.cohort_seed in cohorts]
    with alone_in(out, shard):
        claim(out, settings)
        waiting = [model for model in work if read_model(model, model_folder(out, model)) is None]
        if len(waiting) < len(work):
            say(f"{len(work) - len(waiting)} of {len(work)} models are done already")
        failures: list[AuditFailure] = []
        spent: list[float] = []
        for number, model in enumerate(waiting):
            start = clock()
            found = _attempt(model, settings, out, progress)
            spent.append(clock() - start)
            left = minutes(sum(spent) / len(spent) * (len(waiting) - number - 1))
            if isinstance(found, AuditFailure):
                failures.append(found)
            said = f"failed: {found.error}" if isinstance(found, AuditFailure) else _words(found)
            say(f"[{number + 1}/{len(waiting)}] {model.name}: {said}; {left} left")
            following = waiting[number + 1 :][:1]
            if not following or _scans_of(following[0]) != _scans_of(model):
                # Three planted stores a kind: of all kinds they would fill a disk.
                _cohort_folder(out, model.cohort_seed).clear()
    return failures


def finished_models(settings: AuditSettings, out: Path) -> list[FinishedModel]:
    """The models that are done, in the order of the settings."""
    found = (read_model(model, model_folder(out, model)) for model in settings.models())
    return [one for one in found if one is not None]


def require_all(failures: list[AuditFailure]) -> None:
    """Complain of models that failed.

    Raises:
        UnfinishedError: if any did.
    """
    if failures:
        first = failures[0]
        raise UnfinishedError(
            f"{len(failures)} models of the audit failed, the first ({first.model.name}) with: "
            f"{first.error}; the others are done, and the same command tries these again"
        )


def model_folder(out: Path, model: AuditModel) -> Path:
    """Where a model keeps what it leaves."""
    return out / "models" / model.name


def _attempt(
    model: AuditModel, settings: AuditSettings, out: Path, progress: Progress
) -> FinishedModel | AuditFailure:
    try:
        root = _cohort_folder(out, model.cohort_seed).root
        cohort = make_cohort(model.cohort_seed, settings, root, progress)
        return finish_model(model, settings, cohort, model_folder(out, model), progress=progress)
    except XranoError as error:
        return AuditFailure(model, " ".join(str(error).split()))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return AuditFailure(model, _ADVICE)


def _cohort_folder(out: Path, seed: int) -> Cohort:
    root = out / "cohorts" / f"seed-{seed}"
    return Cohort(root, root / "store", root / "splits.json")


def _scans_of(model: AuditModel) -> tuple[int, str]:
    """Models that agree in these share their planted stores."""
    return model.cohort_seed, model.of.label


def _words(found: FinishedModel) -> str:
    told = found.accuracies
    parts = [f"accuracy {told.own:.2f}"]
    if told.swapped == told.swapped:
        parts.append(f"swapped {told.swapped:.2f}")
    parts.append(f"erased {told.erased:.2f}")
    return f"{', '.join(parts)}: {told.verdict}"
