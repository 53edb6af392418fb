"""Which share of an epoch's time does training wait for data?

    python -m benchmarks.data_waiting [--presets demo laptop] [--patients 12] [--epochs 3]

The preset ``demo`` on the phantom at 4 mm, the preset ``laptop`` (DenseNet121) on the phantom at
2 mm. What the loop iterates over is wrapped, so the wait is exactly the time between asking for a
batch and having it; the first batch of an epoch cannot be fetched ahead. The first epoch reads
every pair from the store; later ones find in memory what fits there (0.8 GB: all of a cohort at
4 mm, some forty pairs at 2 mm). ``--cache_gb 0`` reads every pair anew in every epoch, as with a
cohort that does not fit. Needed: less than 5 %.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import xrano
import xrano.data.dataset as dataset_module
import xrano.training.loop as loop_module
import xrano.training.run as run_module
from xrano.data.augmentation import Augmentation
from xrano.data.phantom.settings import PhantomSettings
from xrano.experiments.phantom_store import make_store
from xrano.progress import quiet
from xrano.training.config_file import load_config

SPACING_MM = {"demo": 4.0, "laptop": 2.0}
TARGET = 0.05


class Stopwatch:
    """Seconds spent on named work since the last reset."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.start = time.perf_counter()

    def time(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time added up under a name."""

        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                self.seconds[name] += time.perf_counter() - start

        return timed

    def lap(self) -> tuple[float, dict[str, float]]:
        """Seconds since the last lap, and what was spent on each work; both start anew."""
        now = time.perf_counter()
        found = now - self.start, dict(self.seconds)
        self.seconds.clear()
        self.start = now
        return found


def waited_for(batches: Iterable[Any], watch: Stopwatch) -> Iterator[Any]:
    """The same batches; the time between asking for one and having it is added up."""
    advance = watch.time("waiting", lambda: next(source, None))
    source = iter(batches)
    while (batch := advance()) is not None:
        yield batch


def instrument(watch: Stopwatch) -> None:
    """Time the waits of the training loop, and in this process the two parts of reading."""
    make_loaders, prefetched = loop_module._loaders, loop_module.prefetched

    def timed_loaders(*args: Any) -> tuple[Any, Any]:
        # Setting up is not waiting: the first lap starts here.
        loaders = make_loaders(*args)
        watch.lap()
        return loaders

    loop_module._loaders = timed_loaders
    loop_module.prefetched = lambda batches, ahead: waited_for(
        prefetched(batches, ahead=ahead), watch
    )
    dataset_module.load_pair = watch.time("reading", dataset_module.load_pair)
    Augmentation.__call__ = watch.time(  # type: ignore[method-assign]
        "augmenting", Augmentation.__call__
    )


def measure(preset: str, arguments: argparse.Namespace, watch: Stopwatch) -> None:
    """Train one fold of a preset for some epochs and print the share of each."""
    presets = Path(xrano.__file__).parent / "presets"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        spacing_mm = SPACING_MM[preset]
        settings = PhantomSettings(patients=arguments.patients, seed=11, spacing_mm=spacing_mm)
        make_store(root, settings, quiet)
        config = load_config(presets / f"{preset}.yaml")
        training = replace(
            config.training, epochs=arguments.epochs, workers=arguments.workers, accelerator="auto"
        )
        config = replace(
            config, store=str(root / "store"), training=training, folds=(0,), n_folds=3
        )
        run_module.CACHE_GB = arguments.cache_gb

        def report(_fold: int, line: dict[str, Any], _epochs: int) -> None:
            total, spent = watch.lap()
            parts = ", ".join(
                f"{name} {spent.get(name, 0.0):.2f} s" for name in ("reading", "augmenting")
            )
            share = spent["waiting"] / total
            verdict = "ok" if share < TARGET else "over 5 %"
            print(
                f"  {preset} epoch {line['epoch']}: waits {spent['waiting']:.2f} of {total:.1f} s "
                f"= {share:.1%} ({verdict}); a thread spent on {parts}",
                flush=True,
            )

        run_module.train_run(config, root / "run", report=report)


def main() -> None:
    """Measure every preset asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", choices=SPACING_MM, default=list(SPACING_MM))
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--cache_gb", type=float, default=run_module.CACHE_GB)
    arguments = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "processor"
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    watch = Stopwatch()
    instrument(watch)
    for preset in arguments.presets:
        measure(preset, arguments, watch)


if __name__ == "__main__":
    main()
