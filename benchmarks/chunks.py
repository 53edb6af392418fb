"""How many points of integrated gradients should run at once on a processor.

    python -m benchmarks.chunks [--model densenet_small] [--shape 45 54 45] [--sizes 1 2 4 8 16]
        [--steps 17] [--repeats 5]

Four sequences of both scans, all four classes. The sizes take turns, and who goes first changes,
so that a busy machine slows all alike; each is told beside the first as the median over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from xrano.attribution.methods import AttributionSettings, MethodRequest, attribute
from xrano.channels import KNOWN_SEQUENCES, ChannelLayout
from xrano.models.factory import create_model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="densenet_small")
    parser.add_argument("--shape", type=int, nargs=3, default=(45, 54, 45))
    parser.add_argument("--sizes", type=int, nargs="+", default=(1, 2, 4, 8, 16))
    parser.add_argument("--steps", type=int, default=17)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    layout = ChannelLayout(KNOWN_SEQUENCES)
    model = create_model(arguments.model, layout).eval()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn((1, len(layout), *arguments.shape), generator=generator)
    brain = torch.ones(arguments.shape, dtype=torch.bool)
    requests = [MethodRequest.parse("ig")]

    def seconds(size: int) -> float:
        settings = AttributionSettings(n_steps=arguments.steps, chunk=size, memory_gb=64)
        start = time.perf_counter()
        attribute(model, inputs, requests, range(4), brain=brain, settings=settings)
        return time.perf_counter() - start

    sizes = list(arguments.sizes)
    times: dict[int, list[float]] = {size: [] for size in sizes}
    seconds(sizes[0])
    for turn in range(arguments.repeats):
        first = turn % len(sizes)
        for size in (*sizes[first:], *sizes[:first]):
            times[size].append(seconds(size))
    print(
        f"integrated gradients, {arguments.steps} points, {arguments.model}, "
        f"{'×'.join(map(str, inputs.shape[1:]))}, {torch.get_num_threads()} threads"
    )
    for size in sizes:
        beside = [own / other for own, other in zip(times[size], times[sizes[0]], strict=True)]
        print(
            f"  {size:3d} at once: {statistics.median(times[size]):.2f} s, "
            f"{statistics.median(beside):.2f} × the time of {sizes[0]}"
        )


if __name__ == "__main__":
    main()
