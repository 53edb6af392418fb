"""Does the demo's network learn what the phantom says? Five cohorts never used while developing.

    python -m benchmarks.phantom [--patients 96] [--seeds 2001 2002 2003 2004 2005]

Each seed is a new cohort, new folds and new weights; the network is the preset ``demo``, the
balanced accuracy that of held-out patients.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from xrano.data.phantom.settings import PhantomSettings
from xrano.evaluation.evaluate import evaluate_predictions
from xrano.experiments.demo import demo_config
from xrano.experiments.phantom_store import make_store
from xrano.progress import quiet
from xrano.training.train_run import train_run

SEEDS = (2001, 2002, 2003, 2004, 2005)


def measure(seed: int, patients: int) -> float:
    """Balanced accuracy on the held-out patients of one new cohort."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        settings = PhantomSettings(patients=patients, seed=seed)
        make_store(Path(folder), settings, quiet)
        made = time.perf_counter()
        run = train_run(
            demo_config(Path(folder) / "store", seed),
            Path(folder) / "run",
            report=lambda _fold, _line, _epochs: None,
        )
        trained = time.perf_counter()
        found = evaluate_predictions(run.predictions)
    value, low, high = found["balanced_accuracy"]
    recall = ", ".join(f"{name} {estimate[0]:.2f}" for name, estimate in found["recall"].items())
    print(
        f"seed {seed}: balanced accuracy {value:.3f} [{low:.3f}, {high:.3f}] on "
        f"{found['n_pairs']} pairs of {found['n_patients']} patients; recall {recall}; "
        f"cohort {made - start:.0f} s, training {trained - made:.0f} s",
        flush=True,
    )
    return float(value)


def main() -> None:
    """Measure every seed and print the mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    arguments = parser.parse_args()
    print(f"phantom with a margin of {PhantomSettings().margin:.0%} at each threshold")
    values = [measure(seed, arguments.patients) for seed in arguments.seeds]
    print(f"mean of {len(values)} cohorts: {statistics.mean(values):.3f} (needed: ≥ 0.85)")


if __name__ == "__main__":
    main()
