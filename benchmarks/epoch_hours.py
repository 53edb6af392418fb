"""Hours that an epoch of the presets ``laptop`` and ``paper`` takes on this machine.

    python -m benchmarks.epoch_hours [--presets laptop paper] [--pairs 254]
    python -m benchmarks.epoch_hours --presets paper --accelerator cuda --precision bf16-mixed

One training step (forward, backward) of the preset's network on its grid is measured and multiplied
by the pairs of an epoch; on a GPU a whole batch of the preset. The default is LUMIERE's: 397 rated
sessions, four fifths of them in a fold's training part, a fifth of those set aside to choose the
epoch by. Reading the data comes on top (``benchmarks.data_waiting``: a few per cent).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from xrano.training.config_file import config_from, preset
from xrano.training.step_time import estimate_epoch_seconds

GRIDS = {"laptop": (80, 91, 73), "paper": (240, 240, 155)}
"""LUMIERE's brains at 2 mm, cropped, and the paper's own grid."""

PAIRS = 254


def measure(name: str, pairs: int, accelerator: str, precision: str) -> str:
    """One preset, in words."""
    config = config_from({**preset(name), "store": "store"}, f"the preset {name}")
    # Without it a step of the paper's network takes twice the memory, on a CPU at little gain.
    model = replace(config.model, checkpointing=name == "paper")
    shape = GRIDS[name]
    batch = config.training.batch_size
    seconds = estimate_epoch_seconds(
        model,
        shape,
        pairs=pairs,
        batch_size=1 if (name, accelerator) == ("paper", "cpu") else batch,
        accelerator=accelerator,
        precision=precision,
    )
    size = "×".join(str(length) for length in (2 * len(model.sequences), *shape))
    return (
        f"{name}: {model.name} at {size}, {seconds / pairs:.2f} s a pair, "
        f"{seconds / pairs * batch:.2f} s a step of {batch}, "
        f"{seconds / 3600:.2f} h an epoch of {pairs} pairs"
    )


def main() -> None:
    """Measure the presets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", choices=GRIDS, default=list(GRIDS))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--accelerator", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    arguments = parser.parse_args()
    print(
        f"torch {torch.__version__}, {arguments.accelerator}, {torch.get_num_threads()} threads, "
        f"{arguments.precision}"
    )
    for name in arguments.presets:
        print(
            measure(name, arguments.pairs, arguments.accelerator, arguments.precision), flush=True
        )


if __name__ == "__main__":
    main()
