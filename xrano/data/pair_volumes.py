"""A pair ready for a network: normalised channels on one grid, with brain and segmentations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.channels import ChannelLayout, Timepoint
from xrano.data.normalisation import SequenceStatistics, normalise, pair_statistics
from xrano.data.store import PreparedSession, Store, read_prepared
from xrano.errors import UnknownNameError
from xrano.geometry import Grid
from xrano.types import Labels, Mask


@dataclass(frozen=True, eq=False)
class PairVolumes:
    """Everything about one pair that explaining, scoring and drawing need.

    ``inputs``: float32 (channel, i, j, k) in the order of ``layout``; ``brain``: union of both
    brain masks; ``segmentations``: source to (prior labels, current labels, scheme), ``None``
    where a scan lacks it; ``response``: empty if unrated; ``normalised_by``: the tissue that the
    intensities were normalised by, in words.
    """

    pair_id: str
    patient_id: str
    prior_session: str
    current_session: str
    response: str
    spans_surgery: bool
    inputs: NDArray[np.float32]
    layout: ChannelLayout
    grid: Grid
    brain: Mask
    segmentations: Mapping[str, tuple[Labels | None, Labels | None, str]]
    normalised_by: str = ""
    rating_source: str = ""
    """``expert``, or ``rule`` for a response that follows from the segmentations' volumes."""

    def content_hash(self) -> str:
        """SHA-256 of everything that maps and scores of this pair follow from."""
        digest = hashlib.sha256(self.inputs.tobytes())
        digest.update(self.brain.tobytes())
        for source, (prior, current, scheme) in sorted(self.segmentations.items()):
            facts = (source, scheme, self.response, self.rating_source, self.spans_surgery)
            digest.update(" ".join(map(str, facts)).encode())
            for labels in (prior, current):
                digest.update(b"none" if labels is None else labels.tobytes())
        return digest.hexdigest()

    def volume(self, timepoint: str, sequence: str) -> NDArray[np.float32]:
        """One normalised channel (i, j, k)."""
        return np.asarray(self.inputs[self.layout.index(timepoint, sequence)])


def load_pair(store: Store, pair: Mapping[str, Any], layout: ChannelLayout) -> PairVolumes:
    """Load one row of the pairs table.

    Raises:
        CheckpointError: if a session file is missing or broken.
        UnknownNameError: if a session lacks a sequence of the layout, or the pair has no
            intensity statistics in the store.
    """
    prior, current = (
        read_prepared(store.session_path(pair["patient_id"], session_id), layout.sequences)
        for session_id in (pair["prior_session"], pair["current_session"])
    )
    known = store.statistics["pairs"]
    if pair["pair_id"] not in known:
        raise UnknownNameError("pair", pair["pair_id"], known)
    statistics = unpack_statistics(known[pair["pair_id"]])
    return assemble_pair(
        prior,
        current,
        layout,
        store.grid,
        statistics,
        pair_id=pair["pair_id"],
        response=pair["response"],
        spans_surgery=bool(pair["spans_surgery"]),
        rating_source=str(pair.get("rating_source", "")),
        normalised_by=str(known[pair["pair_id"]].get("region", "")),
    )


PairStatistics = Mapping[str, Mapping[str, SequenceStatistics]]
"""Timepoint to sequence to statistics."""


def assemble_pair(
    prior: PreparedSession,
    current: PreparedSession,
    layout: ChannelLayout,
    grid: Grid,
    statistics: PairStatistics,
    *,
    pair_id: str,
    response: str = "",
    spans_surgery: bool = False,
    normalised_by: str = "",
    rating_source: str = "",
) -> PairVolumes:
    """Normalise two sessions and stack them in the layout's order."""
    inputs = np.empty((len(layout), *grid.shape), dtype=np.float32)
    for index, channel in enumerate(layout.channels):
        session = prior if channel.timepoint == Timepoint.PRIOR else current
        normalise(
            session.sequences[channel.sequence],
            statistics[channel.timepoint][channel.sequence],
            session.brain,
            out=inputs[index],
        )
    sources = dict.fromkeys([*prior.segmentations, *current.segmentations])
    return PairVolumes(
        pair_id=pair_id,
        patient_id=current.patient_id,
        prior_session=prior.session_id,
        current_session=current.session_id,
        response=response,
        spans_surgery=spans_surgery,
        inputs=inputs,
        layout=layout,
        grid=grid,
        brain=prior.brain | current.brain,
        segmentations={
            source: _both(prior.segmentations.get(source), current.segmentations.get(source))
            for source in sources
        },
        normalised_by=normalised_by,
        rating_source=rating_source,
    )


def _both(
    prior: tuple[Labels, str] | None, current: tuple[Labels, str] | None
) -> tuple[Labels | None, Labels | None, str]:
    scheme = next(item[1] for item in (current, prior) if item is not None)
    return prior[0] if prior else None, current[0] if current else None, scheme


def session_pair_statistics(
    prior: PreparedSession,
    current: PreparedSession,
    spacing: tuple[float, float, float],
    *,
    normalisation: str,
    margin_mm: float,
) -> dict[str, Any]:
    """Intensity statistics of two sessions, as JSON: what ``statistics.json`` holds for a pair."""
    sequences = [name for name in prior.sequences if name in current.sequences]
    found = pair_statistics(
        {name: prior.sequences[name] for name in sequences},
        {name: current.sequences[name] for name in sequences},
        prior.brain,
        current.brain,
        _any_label(prior),
        _any_label(current),
        spacing,
        normalisation=normalisation,
        margin_mm=margin_mm,
    )
    return {
        "region": found.region,
        "voxels": found.voxels,
        **{
            timepoint: {
                name: [statistics.mean, statistics.sd] for name, statistics in values.items()
            }
            for timepoint, values in (("prior", found.prior), ("current", found.current))
        },
    }


def unpack_statistics(packed: Mapping[str, Any]) -> PairStatistics:
    """The inverse of :func:`session_pair_statistics`."""
    return {
        timepoint: {
            name: SequenceStatistics(mean, sd) for name, (mean, sd) in packed[timepoint].items()
        }
        for timepoint in Timepoint
    }


def _any_label(session: PreparedSession) -> Mask | None:
    """Every voxel that any segmentation of the session labels; ``None`` if there is none."""
    masks = [labels > 0 for labels, _ in session.segmentations.values()]
    return np.logical_or.reduce(masks) if masks else None
