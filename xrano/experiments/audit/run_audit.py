"""An audit from its settings to its finished models, several at a time, with the time left."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from xrano.data.preparation.jobs import worker_count
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

_ADVICE = "out of memory: use coarser voxels, fewer patients or fewer jobs"


@dataclass(frozen=True)
class AuditFailure:
    """A model that could not be finished, and why."""

    model: AuditModel
    error: str


Attempt: TypeAlias = FinishedModel | AuditFailure


def run_audit(
    settings: AuditSettings,
    out: Path,
    *,
    shard: Shard | None = None,
    jobs: int = 1,
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
        jobs: processes, each with a model of its own; 0 for one a core. The numbers do not depend
            on it: a model has one thread in any case.
        say: takes a line a model.
        progress: how to show progress in making phantoms, and within a model if there is one job.
        clock: seconds.

    Returns:
        The models that failed for a reason that their user can mend; the others are done.

    Raises:
        ConfigError: if the folder holds an audit of other settings, another process works on the
            same shard, or ``jobs`` is negative.
    """
    cohorts = of_shard(settings.cohort_seeds, shard)
    work = [model for model in settings.models() if model.cohort_seed in cohorts]
    with alone_in(out, shard):
        claim(out, settings)
        waiting = [model for model in work if read_model(model, model_folder(out, model)) is None]
        if len(waiting) < len(work):
            say(f"{len(work) - len(waiting)} of {len(work)} models are done already")
        for seed in dict.fromkeys(model.cohort_seed for model in waiting):
            # What is wrong with a cohort is said of each of its models.
            with suppress(XranoError):
                make_cohort(seed, settings, _cohort_folder(out, seed).root, progress)
        failures: list[AuditFailure] = []
        start = clock()
        for number, found in enumerate(_attempts(waiting, settings, out, jobs, progress), start=1):
            left = minutes((clock() - start) / number * (len(waiting) - number))
            if isinstance(found, AuditFailure):
                failures.append(found)
            said = f"failed: {found.error}" if isinstance(found, AuditFailure) else _words(found)
            say(f"[{number}/{len(waiting)}] {found.model.name}: {said}; {left} left")
    return failures


def _attempts(
    waiting: Sequence[AuditModel],
    settings: AuditSettings,
    out: Path,
    jobs: int,
    progress: Progress,
) -> Iterator[Attempt]:
    """The models as they are done; those that share planted scans are one job's, in turn."""
    batches = [list(group) for _, group in groupby(waiting, key=_scans_of)]
    count = min(worker_count(jobs), len(batches))
    if count <= 1:
        for batch in batches:
            yield from _finish(batch, settings, out, progress)
        return
    from joblib import Parallel, delayed

    finished = Parallel(n_jobs=count, return_as="generator_unordered")(
        delayed(_finish_all)(batch, settings, out) for batch in batches
    )
    with warnings.catch_warnings():
        # A worker that has grown by training is replaced between models; no result is lost.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        for found in finished:
            yield from found


def _finish_all(batch: Sequence[AuditModel], settings: AuditSettings, out: Path) -> list[Attempt]:
    return list(_finish(batch, settings, out, quiet))


def _finish(
    batch: Sequence[AuditModel], settings: AuditSettings, out: Path, progress: Progress
) -> Iterator[Attempt]:
    for model in batch:
        yield _attempt(model, settings, out, progress)
    # Three planted stores a kind: of all kinds they would fill a disk.
    _cohort_folder(out, batch[0].cohort_seed).clear(batch[0].plan())


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


def _attempt(model: AuditModel, settings: AuditSettings, out: Path, progress: Progress) -> Attempt:
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
