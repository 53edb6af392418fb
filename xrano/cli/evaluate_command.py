"""``xrano evaluate``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano evaluate runs/first"
POSITIONAL_HELP = "folder that xrano train wrote"

JSON_KEYS = {
    "run": "the folder",
    "evaluations": "the network and each reference: counts, and value, low and high of each score",
    "notes": "what to say beside the numbers, such as that they leak",
    "file": "evaluation.json, with the same numbers",
}


def run(run_dir: Path, n_resamples: int = 2000, seed: int = 0, store: Path | None = None) -> Answer:
    """Judge the out-of-fold predictions; writes evaluation.json into the run's folder.

    Args:
        run_dir: the run.
        n_resamples: resamples of patients behind each 95 % interval.
        seed: of the resampling.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.experiments.evaluated_run import evaluate_run
    from xrano.training.run import open_run

    opened = open_run(run_dir, store=store)
    judged = evaluate_run(opened, n_resamples=n_resamples, seed=seed)
    file = run_dir / "evaluation.json"
    return Answer(
        f"{judged.text()}\nall numbers in {file}; 95 % intervals by patients",
        {"run": run_dir, "evaluations": judged.found, "notes": judged.notes, "file": file},
    )
