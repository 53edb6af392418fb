"""``xrano audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xrano.cli.answers import Answer

EXAMPLE = "xrano audit --out audit   (then:  xrano audit --out audit --run RUN --scores SCORES)"

JSON_KEYS = {
    "verdict": "in words, a paragraph a line; of a run that is placed, the placing",
    "audit": "what audit.json holds: models, separation of each score; null for a part or a run",
    "placed": "of a run: one entry a score, as in own_run.csv; null otherwise",
    "part": "i and n of a shard; null without one",
    "failures": "model and error of those that failed now",
    "files": "what was written, in the order to look at it",
}


def run(
    out: Path,
    full: bool = False,
    kinds: tuple[str, ...] = (),
    cohorts: tuple[int, ...] = (),
    epochs: int = 0,
    patients: int = 0,
    methods: tuple[str, ...] = (),
    shard: str = "",
    jobs: int = 0,
    collect_only: bool = False,
    run: Path | None = None,
    scores: Path | None = None,
) -> Answer:
    """Which scores tell models that read the tumour from models that cheat; and where yours lies.

    Trains phantom models whose cause is known, verifies each on held-out patients, and says for
    every method and score how well it parts honest from cheating ones. What was stopped goes on
    where it was.

    Args:
        out: folder of the audit.
        full: eight models of every kind instead of three of three kinds; hours instead of minutes.
        kinds: of models instead of the form's: honest, a mark (noise, blur, bias, texture, edge,
            tag), a mark that tells every other session (noise@0.5) or nothing (noise@0).
        cohorts: seeds of the phantoms instead of the form's; one model a kind in each.
        epochs: of training instead of the form's.
        patients: of each phantom instead of the form's.
        methods: attribution methods instead of the form's.
        shard: i/n: the i-th of n parts of the cohorts only; in a job of several (torchrun, SLURM)
            its own. Then run once without.
        jobs: models that are trained at once, each on one thread and in about 1.5 GB; 0 for one a
            core.
        collect_only: train nothing, judge what is there.
        run: place this run on the scale of the audit in --out; nothing is trained.
        scores: what xrano score wrote of that run.
    """
    from xrano.cli.terminal import bar
    from xrano.errors import ConfigError
    from xrano.experiments.audit.audit_files import audit_json, write_audit
    from xrano.experiments.audit.audit_result import audit_result
    from xrano.experiments.audit.cohort_probe import probe_cohorts
    from xrano.experiments.audit.run_audit import finished_models, require_all, run_audit
    from xrano.experiments.audit.verdict import verdict_text
    from xrano.experiments.shards import shard_of

    if run is not None or scores is not None:
        if run is None or scores is None:
            raise ConfigError("to place a run give both: --run RUN --scores SCORES")
        return _placed(out, run, scores)
    settings = _settings(
        full,
        kinds=kinds,
        cohort_seeds=cohorts,
        epochs=epochs,
        patients=patients,
        methods=methods,
    )
    part = shard_of(shard)
    models = settings.models()
    what = "quick form, for a sign only" if settings.quick else "full form"
    print(f"audit ({what}): {len(models)} models in {len(settings.cohort_seeds)} cohorts")
    failures = []
    if not collect_only:
        failures = run_audit(settings, out, shard=part, jobs=jobs, say=_say, progress=bar)
    values: dict[str, Any] = {
        **dict.fromkeys(JSON_KEYS),
        "part": part,
        "failures": [{"model": one.model.name, "error": one.error} for one in failures],
        "files": [],
    }
    if part is not None:
        text = f"part {part[0]} of {part[1]} is done; after all parts run once without shard"
        values["verdict"] = [text]
    else:
        probes = probe_cohorts(settings, out, progress=bar)
        result = audit_result(settings, finished_models(settings, out), probes)
        written = write_audit(result, out)
        verdict = verdict_text(result)
        text = "\n".join([verdict, *(f"  {path}" for path in written)])
        values |= {"verdict": verdict.splitlines(), "audit": audit_json(result, verdict)}
        values["files"] = written
    return Answer(text, values, lambda: require_all(failures))


def _settings(full: bool, **changes: Any) -> Any:
    """The form asked for, with what was asked for otherwise."""
    from dataclasses import replace

    from xrano.experiments.audit.settings import FULL, QUICK

    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, (list, tuple)) else value
        for name, value in changes.items()
        if value
    }
    return replace(FULL if full else QUICK, **given)


def _placed(out: Path, run: Path, scores: Path) -> Answer:
    from xrano.experiments.audit.audit_files import read_audit
    from xrano.experiments.audit.own_run import own_run_text, place_run, run_notes
    from xrano.scoring.table_files import write_frame
    from xrano.training.run import open_run

    audit = read_audit(out)
    opened = open_run(run)
    notes = run_notes(opened, scores, audit)
    placed = place_run(audit, scores)
    write_frame(placed, out / "own_run.csv")
    text = own_run_text(placed, opened.root.resolve().name, notes=notes)
    file = out / "own_run.csv"
    values = {
        **dict.fromkeys(JSON_KEYS),
        "verdict": text.splitlines(),
        "placed": placed,
        "failures": [],
        "files": [file],
    }
    return Answer(f"{text}\n  {file}", values)


def _say(text: str) -> None:
    print(text, flush=True)
