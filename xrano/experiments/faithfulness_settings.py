"""What a faithfulness run asks, of which pairs, and with how much effort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from xrano.attribution.methods import AttributionSettings, MethodRequest
from xrano.errors import ConfigError, ManifestError, UnknownNameError
from xrano.experiments.explained_cohort import held_out
from xrano.rano import RESPONSES
from xrano.training.run import Run

TESTS = ("perturbation", "interventions", "randomisation", "agreement", "misalignment")
"""Groups of metrics, each with a part of its own for every pair: the first asks what a map
foretells, the second what is true of the network, the others whether maps follow the weights and
stay where they only wobble."""


@dataclass(frozen=True)
class FaithfulnessSettings:
    """What is measured, and how thoroughly.

    ``methods``: with baselines; each map explains the class that the network predicts. ``tests``:
    of :data:`TESTS`. ``pairs``: held-out pairs, about as many of each response. ``seed``: of the
    choice of pairs and of every draw. ``steps``: of insertion and deletion. ``orders``: random
    orders and blur-matched maps beside a map. ``blocks``: tried by infidelity. ``noisy``: copies of
    a pair for max-sensitivity. ``dilation_mm``: how far a lesion is grown before it is erased.
    ``controls``: other places that are erased. ``draws``: networks randomised alike. ``copies``:
    random-weight networks beside those whose agreement is asked. ``directions``: of each motion.

    Raises:
        ConfigError: for a number out of range.
        UnknownNameError: for an unknown method or test.
    """

    methods: tuple[str, ...] = ("saliency", "gradcam", "ig:prior")
    tests: tuple[str, ...] = TESTS
    pairs: int = 12
    seed: int = 0
    steps: int = 10
    orders: int = 1
    blocks: int = 60
    noisy: int = 3
    dilation_mm: float = 4.0
    controls: int = 3
    draws: int = 2
    copies: int = 2
    directions: int = 1
    attribution: AttributionSettings = field(default_factory=AttributionSettings)

    def __post_init__(self) -> None:
        if not self.methods or not self.tests:
            raise ConfigError("name at least one method and one test")
        self.labels()
        for test in self.tests:
            if test not in TESTS:
                raise UnknownNameError("faithfulness test", test, TESTS)
        counted = ("pairs", "steps", "blocks", "noisy", "draws", "directions")
        least = {**dict.fromkeys(counted, 1), **dict.fromkeys(("orders", "controls", "copies"), 0)}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} ≥ {lowest} is needed, got {getattr(self, name)}")

    def labels(self) -> tuple[str, ...]:
        """The methods as they are named everywhere, each once."""
        return tuple(dict.fromkeys(MethodRequest.parse(name).label for name in self.methods))

    def asked(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def chosen_pairs(run: Run, count: int, seed: int) -> list[dict[str, Any]]:
    """Held-out pairs, about as many of each response, chosen before anything is measured.

    Rated pairs without surgery between the scans. Responses take turns, the rarest first, and a
    response's next pair is of the patient with the fewest pairs so far. A larger count adds pairs
    and takes none away.

    Args:
        run: a trained run.
        count: pairs; all that there are if they are fewer.
        seed: of the order within a response.

    Raises:
        ManifestError: if there is none.
    """
    rows = [row for row in held_out(run) if row["response"] and not row["spans_surgery"]]
    if not rows:
        raise ManifestError(
            f"{run.root} has no rated held-out pair without surgery between its scans"
        )
    rows.sort(key=lambda row: str(row["pair_id"]))
    order = np.random.default_rng(seed).permutation(len(rows))
    waiting: dict[str, list[dict[str, Any]]] = {str(name): [] for name in RESPONSES}
    for index in order:
        waiting[rows[index]["response"]].append(rows[index])
    queues = sorted((queue for queue in waiting.values() if queue), key=len)
    return _in_turns(queues, min(count, len(rows)))


def _in_turns(queues: Sequence[list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    taken: dict[str, int] = {}
    chosen: list[dict[str, Any]] = []
    while len(chosen) < count:
        for queue in queues:
            if queue and len(chosen) < count:
                row = min(queue, key=lambda one: taken.get(str(one["patient_id"]), 0))
                queue.remove(row)
                patient = str(row["patient_id"])
                taken[patient] = taken.get(patient, 0) + 1
                chosen.append(row)
    return chosen


def told(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Which pairs, in words: ``8 pairs (2 CR, 2 PR, 2 SD, 2 PD) of 7 patients``."""
    counts = {str(name): sum(row["response"] == name for row in pairs) for name in RESPONSES}
    each = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    patients = len({row["patient_id"] for row in pairs})
    return f"{len(pairs)} pairs ({each}) of {patients} patients"
