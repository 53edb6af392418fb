"""What the leak probe looks at: normalised tissue far from any lesion, pair by pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import assemble_pair, unpack_statistics
from xrano.data.quality.probe import distant_tissue, tissue_features
from xrano.data.store import PreparedSession, Store, read_prepared
from xrano.progress import Progress

LEAST_PATIENTS = 5
"""A response that fewer patients have cannot be in every fold; its pairs are left out."""

_COMMON_SHARE = 0.9
"""Sequences that at least this share of the pairs have on both scans are looked at."""


Pair: TypeAlias = Mapping[str, Any]
"""A row of the pairs table."""

Features: TypeAlias = Mapping[float, NDArray[np.float64] | None]
"""Distance in mm to the features of a pair there; ``None`` with too little tissue."""


def count_left_out(left_out: Counter[str], reason: str, count: int = 1) -> None:
    """Count pairs that take no part; a reason without a pair is not listed."""
    if count:
        left_out[reason] += count


def without_rare(pairs: Sequence[Pair], left_out: Counter[str]) -> list[Pair]:
    """The pairs of the responses that enough patients have for every fold to learn them."""
    patients: dict[str, set[str]] = {}
    for pair in pairs:
        patients.setdefault(pair["response"], set()).add(pair["patient_id"])
    rare = {response for response, found in patients.items() if len(found) < LEAST_PATIENTS}
    for pair in pairs:
        if pair["response"] in rare:
            count_left_out(
                left_out, f"{pair['response']}, seen in fewer than {LEAST_PATIENTS} patients"
            )
    return [pair for pair in pairs if pair["response"] not in rare]


def common_sequences(store: Store, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Sequences that nearly all pairs have on both scans."""
    measured = [store.statistics["pairs"].get(pair["pair_id"], {}) for pair in pairs]
    return tuple(
        name
        for name in store.sequences
        if measured
        and sum(name in one.get("prior", {}) for one in measured) >= _COMMON_SHARE * len(measured)
    )


def pair_features(
    store: Store,
    pairs: Sequence[Pair],
    sequences: tuple[str, ...],
    distances_mm: Sequence[float],
    left_out: Counter[str],
    progress: Progress,
) -> tuple[list[Pair], list[Features]]:
    """The pairs that can take part, and the features of each at every distance.

    Args:
        store: the store.
        pairs: rows of its pairs table.
        sequences: those to look at; pairs that lack one are left out.
        distances_mm: from any lesion of either scan.
        left_out: counts the pairs that are left out, by reason.
        progress: how to show progress.

    Raises:
        CheckpointError: if a session file is missing or broken.
    """
    used: list[Pair] = []
    features: list[Features] = []
    for pair in progress(pairs, "reading normal tissue"):
        measured = store.statistics["pairs"].get(pair["pair_id"], {})
        if any(name not in measured.get("prior", {}) for name in sequences):
            count_left_out(left_out, f"without all of {' '.join(sequences)}")
            continue
        prior, current = (
            read_prepared(
                store.session_path(pair["patient_id"], pair[f"{side}_session"]), sequences
            )
            for side in ("prior", "current")
        )
        if not (prior.segmentations and current.segmentations):
            count_left_out(left_out, "a scan has no segmentation")
            continue
        used.append(pair)
        features.append(_features(store, pair, prior, current, sequences, distances_mm))
    return used, features


def _features(
    store: Store,
    pair: Pair,
    prior: PreparedSession,
    current: PreparedSession,
    sequences: tuple[str, ...],
    distances_mm: Sequence[float],
) -> Features:
    layout = ChannelLayout(sequences)
    statistics = unpack_statistics(store.statistics["pairs"][pair["pair_id"]])
    volumes = assemble_pair(prior, current, layout, store.grid, statistics, pair_id=pair["pair_id"])
    lesion = np.zeros(store.grid.shape, dtype=bool)
    for session in (prior, current):
        for labels, _ in session.segmentations.values():
            lesion |= labels > 0
    # Brain of one scan alone is an edge that differs with the masks, not with the intensities.
    brain = prior.brain & current.brain
    return {
        distance: tissue_features(
            volumes.inputs, distant_tissue(brain, lesion, store.grid.spacing, distance)
        )
        for distance in distances_mm
    }
