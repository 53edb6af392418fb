"""``xrano evaluate``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano evaluate runs/first"
POSITIONAL_HELP = "folder that xrano train wrote"


def run(run_dir: Path, n_resamples: int = 2000, seed: int = 0, store: Path | None = None) -> None:
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
    print(evaluate_run(opened, n_resamples=n_resamples, seed=seed).text())
    print(f"all numbers in {run_dir / 'evaluation.json'}; 95 % intervals by patients")
