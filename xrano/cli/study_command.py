"""``xrano study``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xrano.cli.answers import Answer

EXAMPLE = "xrano study studies/phantom.yaml --out study   (an array of jobs: add  --shard 2/8)"
POSITIONAL_HELP = "YAML file of the arms, such as studies/phantom.yaml"

JSON_KEYS = {
    "name": "of the study",
    "arms": "how many",
    "folds": "units of work: an arm, a seed, a fold",
    "waiting": "those that are not trained yet",
    "failures": "arm, seed, fold and error of those that failed now",
    "table": "one entry an arm or reference, as in study.csv; null where nothing was judged",
    "verdicts": "sentences: what was better, worse, not resolved",
    "unfinished": "arms that could not be judged, with the reason",
    "files": "what was written, in the order to look at it",
    "plan": "of --plan: processes, and of the one with most: folds, steps, hours",
}


def run(
    file: Path,
    out: Path,
    arms: tuple[str, ...] = (),
    shard: str = "",
    cohort_only: bool = False,
    collect_only: bool = False,
    plan: bool = False,
    step_seconds: float = 0.0,
    pairs: int = 0,
) -> Answer:
    """Train every arm of a study, beside references, and say which differences are established.

    A study that was stopped goes on where it was; what is trained is not trained again.

    Args:
        file: the study.
        out: folder for runs, tables and figures.
        arms: only these, by name; all, and the 2x2 of the leak, if none is named.
        shard: i/n: train the i-th of n parts only, for an array of jobs; then run once without.
        cohort_only: make phantom and folds, and train nothing.
        collect_only: train nothing, judge what is trained.
        plan: only say what it takes: folds, steps, hours.
        step_seconds: with --plan, of one training step on one of the devices.
        pairs: with --plan, rated pairs of a cohort that is not there yet.
    """
    from xrano.cli.terminal import bar
    from xrano.experiments.study.collect import collect_study
    from xrano.experiments.study.run_study import open_study, require_whole, train_study
    from xrano.experiments.study.study_file import read_study
    from xrano.experiments.study.study_files import (
        approach_verdicts,
        study_table,
        study_text,
        write_study,
    )

    study = read_study(file)
    if plan:
        return _tell_plan(study, out, tuple(arms), step_seconds, pairs)
    opened = open_study(study, out, arms=tuple(arms), sharded=bool(shard), progress=bar)
    units = opened.every_unit
    arms_of_units = {unit.arm.name for unit in units}
    print(
        f"{study.name}: {len(arms_of_units)} arms, {len(units)} folds to train in all, "
        f"{len(opened.splits['folds'])} folds of each"
    )
    failures = [] if collect_only or cohort_only else train_study(opened, shard=shard, say=print)
    waiting = sum(not unit.finished for unit in units)
    values: dict[str, Any] = {
        **dict.fromkeys(JSON_KEYS),
        "name": study.name,
        "arms": len(arms_of_units),
        "folds": len(units),
        "waiting": waiting,
        "failures": [
            {"arm": one.unit.arm.name, "seed": one.unit.seed, "fold": one.unit.fold}
            | {"error": one.error}
            for one in failures
        ],
    }
    if cohort_only:
        return Answer(f"cohort and folds are in {out}", values)
    if shard:
        text = f"shard {shard} is done; {waiting} of {len(units)} folds wait for other shards"
    else:
        result = collect_study(opened, progress=bar)
        command = f"xrano study {file} --out {out}"
        written = write_study(result, out, command=command)
        text = "\n".join([study_text(result), *(f"  {path}" for path in written)])
        values |= {
            "table": study_table(result, {}),
            "verdicts": approach_verdicts(result),
            "unfinished": result.unfinished,
            "files": written,
        }
    return Answer(text, values, lambda: require_whole(failures, out / "failures.csv"))


def _tell_plan(
    study: Any, out: Path, arms: tuple[str, ...], step_seconds: float, pairs: int
) -> Answer:
    """What the study would take on 1, 8 and 64 processes."""
    from xrano.cli.terminal import table_text
    from xrano.errors import ConfigError
    from xrano.experiments.study.study_plan import (
        PROCESSES,
        plan_rows,
        plan_shards,
        study_steps,
    )

    if step_seconds < 0:
        raise ConfigError(f"--step_seconds must be > 0, got {step_seconds}")
    steps = study_steps(study, out, arms=arms, pairs=pairs)
    plans = [plan_shards(steps, count, step_seconds or None) for count in PROCESSES]
    most = max(steps, key=lambda one: one.most)
    lines = [
        f"{study.name}: {len(steps)} folds to train, each of at most {most.most} steps: "
        f"{most.steps} an epoch ({most.pairs} pairs), {most.epochs} epochs",
        table_text(plan_rows(plans)),
        "training may stop early; validation, pretraining and reading come on top"
        if step_seconds
        else "say by --step_seconds what a training step takes, for hours",
    ]
    values = {**dict.fromkeys(JSON_KEYS), "name": study.name, "folds": len(steps), "plan": plans}
    return Answer("\n".join(lines), values)
