"""Does tissue far from the tumour tell the response? The leak probe on a prepared cohort.

The probe (:mod:`xrano.data.quality.probe`) sees the normalised intensities as a network would, but
only brain that is farther than 16 or 32 mm from every labelled voxel of either scan. Rated pairs
take part. Pairs that span an operation are left out and counted: surgery moves and scars tissue far
from the tumour, and it is no part of the primary analysis either.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xrano.atomic_files import write_json
from xrano.data.quality.probe import (
    PROBE_DISTANCES_MM,
    ProbeResult,
    leak_probe,
)
from xrano.data.store import Store
from xrano.errors import ConfigError, SplitError
from xrano.experiments.distant_tissue import (
    Pair,
    common_sequences,
    count_left_out,
    pair_features,
    without_rare,
)
from xrano.progress import Progress, quiet

REPORT = "leak_probe.json"
PERMUTATIONS = 200

FEW_PATIENTS = 30
"""With fewer, the band is so wide that a probe inside it says little."""


@dataclass(frozen=True)
class Probe:
    """The probe at one distance; without a ``result``, ``why`` says why it could not be run."""

    distance_mm: float
    result: ProbeResult | None
    why: str = ""

    @property
    def leaks(self) -> bool:
        """Whether the balanced accuracy lies above what permuted responses reach."""
        return self.result is not None and self.result.balanced_accuracy > self.result.band[1]

    def describe(self) -> str:
        """One line."""
        if self.result is None:
            return f"{self.distance_mm:g} mm: {self.why}"
        low, high = self.result.band
        return (
            f"{self.distance_mm:g} mm: balanced accuracy {self.result.balanced_accuracy:.2f}, "
            f"chance {self.result.chance:.2f}, permuted {low:.2f} to {high:.2f} (95 %), "
            f"p = {self.result.p_value:.3f}; {self.result.pairs} pairs of "
            f"{self.result.patients} patients, {self.result.dropped} without enough tissue"
        )


@dataclass(frozen=True)
class LeakReport:
    """What the probe found in a store.

    Attributes:
        probes: one a distance.
        normalisation: how the store's intensities are normalised.
        sequences: those that the probe looked at.
        responses: rated pairs that took part, by response.
        left_out: pairs that took no part, by reason.
        permutations: how many make each band.
    """

    probes: tuple[Probe, ...]
    normalisation: str
    sequences: tuple[str, ...]
    responses: Mapping[str, int]
    left_out: Mapping[str, int]
    permutations: int

    @property
    def verdict(self) -> str:
        """One plain line, for a report of the cohort.

        Example:
            >>> LeakReport((Probe(16.0, None, "3 patients"),), "healthy", (), {}, {}, 0).verdict
            'cannot tell: 3 patients'
        """
        run = [(probe, probe.result) for probe in self.probes if probe.result is not None]
        if not run:
            return f"cannot tell: {self.probes[0].why if self.probes else 'no distance'}"
        leaking = [(probe, result) for probe, result in run if probe.leaks]
        shown = "; ".join(_short(probe, result) for probe, result in leaking or run)
        if leaking:
            return (
                f"leaks: normal tissue tells the response ({shown}), so attribution outside the "
                f"tumour can be truthful under normalisation {self.normalisation}"
            )
        patients = min(result.patients for _, result in run)
        doubt = f"; {patients} patients would only show a strong leak"
        return f"at chance ({shown}){doubt if patients < FEW_PATIENTS else ''}"

    def describe(self) -> str:
        """The report as lines of text, the verdict last."""
        counts = ", ".join(f"{name} {count}" for name, count in self.responses.items())
        lines = [
            f"leak probe, normalisation {self.normalisation}"
            f"{''.join(f' {name}' for name in self.sequences)}; rated pairs: {counts or 'none'}",
            *(f"  {count} pairs left out: {reason}" for reason, count in self.left_out.items()),
            *(f"  {probe.describe()}" for probe in self.probes),
            self.verdict,
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; undefined numbers are ``None``."""
        values: dict[str, Any] = json.loads(json.dumps(_plain(asdict(self))))
        return {**values, "verdict": self.verdict}


def probe_store(
    store: Store,
    *,
    distances_mm: Sequence[float] = PROBE_DISTANCES_MM,
    permutations: int = PERMUTATIONS,
    across_surgery: bool = False,
    seed: int = 0,
    progress: Progress = quiet,
) -> LeakReport:
    """Run the probe on a store and write ``leak_probe.json`` into it.

    Args:
        store: an opened store.
        distances_mm: how far from any lesion to look.
        permutations: how many make the band; at least 1.
        across_surgery: whether pairs that span an operation take part too.
        seed: of folds and permutations.
        progress: how to show progress.

    Raises:
        CheckpointError: if a session file is missing or broken.
        ConfigError: if there are no permutations.
    """
    if permutations < 1:
        raise ConfigError(f"the band needs at least one permutation, got {permutations}")
    pairs = store.pairs
    rated: list[Pair] = [
        {str(name): value for name, value in pair.items()}
        for pair in pairs[pairs["response"] != ""].to_dict("records")
    ]
    left_out: Counter[str] = Counter()
    count_left_out(left_out, "unrated", len(pairs) - len(rated))
    if not across_surgery:
        kept = [pair for pair in rated if not pair["spans_surgery"]]
        count_left_out(left_out, "across an operation", len(rated) - len(kept))
        rated = kept
    rated = without_rare(rated, left_out)
    sequences = common_sequences(store, rated)
    used, features = pair_features(store, rated, sequences, distances_mm, left_out, progress)
    report = LeakReport(
        probes=tuple(
            _probe(distance, [found[distance] for found in features], used, permutations, seed)
            for distance in progress(list(distances_mm), "probing")
        ),
        normalisation=str(store.statistics.get("normalisation", "")),
        sequences=sequences,
        responses=dict(sorted(Counter(pair["response"] for pair in used).items())),
        left_out=dict(left_out),
        permutations=permutations,
    )
    write_json(store.root / REPORT, report.to_dict())
    return report


def _probe(
    distance: float,
    features: Sequence[Any],
    pairs: Sequence[Pair],
    permutations: int,
    seed: int,
) -> Probe:
    responses = [pair["response"] for pair in pairs]
    patients = [pair["patient_id"] for pair in pairs]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    try:
        # So small a fit gains nothing from threads, and loses much where cores are shared.
        with threadpool_limits(1):
            result = leak_probe(features, responses, patients, permutations=permutations, seed=seed)
    except SplitError as error:
        return Probe(distance, None, str(error))
    return Probe(distance, result)


def _short(probe: Probe, result: ProbeResult) -> str:
    low, high = result.band
    return (
        f"{probe.distance_mm:g} mm: {result.balanced_accuracy:.2f}, permuted {low:.2f} to "
        f"{high:.2f}"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
