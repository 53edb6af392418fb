"""Maps of all four classes at the paper's full size, in bounded memory.

    python -m benchmarks.full_size [--steps 16] [--memory 5GB] [--model densenet264]
        [--shape 240 240 155]

Saliency and Grad-CAM in one process, then these with integrated gradients in another: the time and
the most memory of each (of the whole process, libraries included; needed: ≤ 8 GB). With fewer
steps than 16 the time of 16 is extrapolated, and said to be.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import torch

from benchmarks.attribution_rows import make_case
from xrano.attribution.methods import MethodRequest
from xrano.attribution.pass_memory import plan_memory
from xrano.attribution.plan import resolve_layers
from xrano.attribution.settings import AttributionSettings
from xrano.cli.memory_size import gigabytes
from xrano.models.step_cost import in_own_process, peak_bytes

WHOLE = 16
"""Steps of integrated gradients that the work is measured by."""

NEEDED_GB = 8.0

GRADIENTS = ("saliency", "gradcam")


@dataclass(frozen=True)
class Measured:
    """Seconds of the maps, the process's most memory, and what was planned."""

    seconds: float
    peak_bytes: int
    plan: str


def measure(
    name: str, shape: tuple[int, int, int], methods: tuple[str, ...], settings: AttributionSettings
) -> Measured:
    """Make the maps once; called in a process of its own."""
    options = {"model": name, "shape": shape, "repeats": 1, "steps": 1, "block": 1}
    case = make_case(argparse.Namespace(**options))
    requests = [MethodRequest.parse(method) for method in methods]
    layers = resolve_layers(case.model, requests, settings)
    plan = plan_memory(case.model, shape, requests, layers, settings).text()
    start = time.perf_counter()
    case.explain(*methods, n_steps=settings.n_steps, memory_gb=settings.memory_gb)
    return Measured(time.perf_counter() - start, peak_bytes(), plan)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=WHOLE)
    parser.add_argument("--memory", default="5GB")
    parser.add_argument("--model", default="densenet264")
    parser.add_argument("--shape", type=int, nargs=3, default=(240, 240, 155))
    arguments = parser.parse_args()
    shape = tuple(arguments.shape)
    settings = AttributionSettings(n_steps=arguments.steps, memory_gb=gigabytes(arguments.memory))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    size = "×".join(str(length) for length in (6, *shape))
    print(f"{arguments.model}, {size}, 4 classes, float32")
    alone = in_own_process(measure, arguments.model, shape, GRADIENTS, settings)
    print(alone.plan)
    _tell("saliency + Grad-CAM", alone)
    both = in_own_process(measure, arguments.model, shape, (*GRADIENTS, "ig"), settings)
    _tell(f"the same + integrated gradients, {arguments.steps} steps", both)
    if arguments.steps != WHOLE:
        each = (both.seconds - alone.seconds) / arguments.steps
        minutes = (alone.seconds + WHOLE * each) / 60
        print(f"extrapolated to {WHOLE} steps: {minutes:.1f} min ({each:.0f} s a step)")


def _tell(what: str, found: Measured) -> None:
    print(
        f"{what}: {found.seconds:.0f} s, {found.peak_bytes / 1e9:.2f} GB at most "
        f"(needed: ≤ {NEEDED_GB:.0f} GB)"
    )


if __name__ == "__main__":
    main()
