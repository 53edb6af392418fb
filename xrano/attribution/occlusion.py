"""Occlusion: how far an output falls when a part of the scans is hidden (Zeiler & Fergus 2013).

A part is a block, a supervoxel or a region of a segmentation; what stands in its place is a named
infill. Parts that equal their infill (the background, which is 0) cannot change an output and are
not run: their value is an exact 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch

from xrano.attribution.baselines import PATHS
from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question
from xrano.attribution.perturbation import Part, channel_sets, hidden, outputs_of
from xrano.attribution.supervoxels import blocks, supervoxels

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def occlusion(work: Work, request: MethodRequest, *, parts: str) -> list[Attribution]:
    """The fall of each output, on all voxels of the part: above zero, the part speaks for it.

    ``(1, i, j, k)`` where both scans are hidden at once, else ``(channel, i, j, k)``.
    """
    infill = work.baseline(request.baseline)[0]
    pieces = [part for part in _parts(work, request, parts) if part.matters(work.inputs[0], infill)]
    outputs = outputs_of(work, hidden(work, pieces, infill), len(pieces))
    falls = work.outputs() - outputs
    merged = work.settings.occlude == "pair"
    channels = 1 if merged else len(work.layout)
    found = []
    for column, target in enumerate(work.targets):
        values = torch.zeros(channels, *work.shape, device=work.inputs.device, dtype=_dtype(work))
        for part, fall in zip(pieces, falls[:, column].tolist(), strict=True):
            place = Part(part.name, (0,), part.voxels) if merged else part
            place.paint(values, fall)
        found.append(work.result(request, target, values, details={"parts": len(pieces)}))
    return found


def _dtype(work: Work) -> torch.dtype:
    return torch.promote_types(work.inputs.dtype, torch.float32)


def _parts(work: Work, request: MethodRequest, parts: str) -> list[Part]:
    labels, name = _labels(work, request, parts)
    return [
        Part(f"{prefix} {name(value)}".strip(), channels, labels == value)
        for value in torch.unique(labels).tolist()
        for prefix, channels in channel_sets(work, work.settings.occlude)
    ]


def _labels(
    work: Work, request: MethodRequest, parts: str
) -> tuple[torch.Tensor, Callable[[int], str]]:
    if parts == "regions":
        regions = work.need_regions(request.method)
        return regions.labels.to(work.inputs.device), regions.name
    if parts == "supervoxels":
        return supervoxels(work.inputs[0], work.brain, work.settings.supervoxels), str
    return blocks(work.shape, work.settings.block).to(work.inputs.device), str


def _passes(question: Question, *, parts: str) -> Passes:
    settings = question.settings
    count = question.regions
    if parts == "blocks":
        count = 1
        for size in question.shape:
            count *= -(-size // settings.block)
    elif parts == "supervoxels":
        count = settings.supervoxels + 1
    times = {"pair": 1, "visit": 2, "channel": question.channels}[settings.occlude]
    return Passes(times * count, at_most=True)


def _spec(title: str, parts: str, *settings: str, captum: str, groups: str = "") -> MethodSpec:
    return MethodSpec(
        title,
        "Zeiler & Fergus 2014, arXiv:1311.2901",
        partial(occlusion, parts=parts),
        captum=captum,
        baselines=PATHS,
        settings=(*settings, "occlude", "memory_gb"),
        groups=groups,
        passes=partial(_passes, parts=parts),
    )


BLOCKS = _spec("Occlusion by block", "blocks", "block", captum="Occlusion")
SUPERVOXELS = _spec(
    "Occlusion by supervoxel", "supervoxels", "supervoxels", captum="FeatureAblation"
)
REGIONS = _spec(
    "Occlusion by segmentation region",
    "regions",
    captum="FeatureAblation",
    groups="a segmentation of the pair",
)
