"""Explain a cohort while it is killed at random moments, and compare with an undisturbed run.

    python -m benchmarks.kills [--kills 20] [--seed 0] [--run RUN]

``xrano explain RUN --all`` on a small phantom run (or on the run named) is killed by SIGKILL and
started again. In the end every file must equal, byte for byte, that of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.experiments.killed_runs import digests, kill_again_and_again
from xrano.data.index import index_cohort
from xrano.data.phantom import PhantomSettings, write_phantom
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.training.config import ModelConfig, RunConfig, TrainingConfig
from xrano.training.train_run import train_run

METHODS = ("saliency", "gradcam", "ig:prior")


def make_run(root: Path) -> Path:
    """A small phantom cohort and a network trained on it for two epochs; the run's folder."""
    settings = PhantomSettings(patients=9, visits=(3, 4), seed=3, spacing_mm=6.0)
    write_phantom(root / "phantom", settings)
    index_cohort(root / "phantom", root / "index")
    prepare_index(root / "index", root / "store", PrepareSettings())
    config = RunConfig(
        store=str(root / "store"),
        model=ModelConfig("densenet_small", ("CT1", "FLAIR")),
        training=TrainingConfig(epochs=2, batch_size=4, learning_rate=2e-3, accelerator="cpu"),
        n_folds=3,
        folds=(0, 1),
    )
    return train_run(config, root / "run", report=lambda *_: None).root


def main() -> int:
    """Kill, start again, compare; the exit status is 1 if a file differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run = arguments.run or make_run(root)
        command = [
            *(sys.executable, "-m", "xrano.cli.main", "explain", str(run), "--all"),
            *("--methods", *METHODS, "--n-steps", "4", "--out"),
        ]
        start = time.monotonic()
        quiet = subprocess.DEVNULL
        subprocess.run([*command, str(root / "whole")], check=True, stdout=quiet)
        expected = digests(root / "whole")
        print(f"undisturbed: {len(expected)} files in {time.monotonic() - start:.0f} s")
        found = kill_again_and_again(
            [*command, str(root / "killed")],
            root / "killed",
            expected,
            kills=arguments.kills,
            seed=arguments.seed,
        )
    moments = found.moments
    print(
        f"killed {len(moments)} times, {min(moments):.1f} to {max(moments):.1f} s after the start "
        f"(median {statistics.median(moments):.1f} s); finished between kills and begun anew: "
        f"{found.rounds} times"
    )
    print(f"temporary files left in the last round: {found.leftovers} (hidden, read by nobody)")
    if found.different:
        print(f"DIFFERENT: {', '.join(found.different)}")
        return 1
    print("every file equals that of the undisturbed run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
