"""What the network says when the scans are changed: true of the network, whatever its map says.

If a network rates the tumour, its answer should go with the tumour, stay without the rest, turn
round with the order of the scans, and say "no change" where nothing changed. How far it does not
is no fault of a map, and a map that looks at the tumour is no proof that it does.

Any piece of a scan that gives way to an infill may move an answer. So beside the lesion stand
*controls*: the same piece, moved to places of the brain that it does not touch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.channels import ChannelLayout, Timepoint
from xrano.errors import ConfigError, GridMismatchError, ModelError
from xrano.faithfulness.answers import Intervention
from xrano.faithfulness.catalogue import FaithfulnessStatus
from xrano.faithfulness.prediction import BATCH, Predict, check_infilled, check_scans
from xrano.geometry import dilate_mm
from xrano.metrics.translations import BrainBox, Placements
from xrano.types import Mask

DILATION_MM = 4.0
"""By how much a lesion is grown before it is erased: segmentations are cut close."""

CONTROLS = 3
"""Other places where a piece of the lesion's shape is changed."""

_TRIES = 500
"""Drawn places after which a lesion counts as too large to have another place."""


def lesion_erased(
    predict: Predict,
    inputs: Tensor,
    lesion: Tensor,
    infilled: Tensor,
    brain: Tensor,
    *,
    spacing: tuple[float, float, float],
    infill: str = "",
    dilation_mm: float = DILATION_MM,
    controls: int = CONTROLS,
    seed: int = 0,
    batch: int = BATCH,
) -> Intervention:
    """The infill takes the place of the lesion, grown by some millimetres.

    Args:
        predict: the network.
        inputs: (channel, i, j, k), left as they are.
        lesion: (i, j, k) boolean: the tumour of either scan.
        infilled: (channel, i, j, k), from :func:`xrano.faithfulness.infill.infill`; used in the
            brain only.
        brain: (i, j, k) boolean.
        spacing: of the voxels, mm.
        infill: its name.
        dilation_mm: how far the lesion is grown.
        controls: other places to erase; fewer, or none, if the lesion has no other place.
        seed: of the places; the global random state is not touched.
        batch: copies of the pair that run at once.

    Raises:
        ConfigError: if the lesion is not boolean, or lengths or counts are negative.
        GridMismatchError, VolumeError: if scans, infill, lesion and brain do not fit.
        ModelError: if the network's logits cannot be used.
    """
    pieces = _pieces(inputs, lesion, infilled, brain, spacing, dilation_mm, controls, seed)
    changed = [torch.where(piece, infilled, inputs) for piece in pieces]
    return _told("lesion_erase", predict, inputs, changed, infill, dilation_mm, batch)


def lesion_only(
    predict: Predict,
    inputs: Tensor,
    lesion: Tensor,
    infilled: Tensor,
    brain: Tensor,
    *,
    spacing: tuple[float, float, float],
    infill: str = "",
    dilation_mm: float = DILATION_MM,
    controls: int = CONTROLS,
    seed: int = 0,
    batch: int = BATCH,
) -> Intervention:
    """The infill takes the place of all of the brain but the lesion; see :func:`lesion_erased`.

    A control keeps a piece of the lesion's shape elsewhere.
    """
    pieces = _pieces(inputs, lesion, infilled, brain, spacing, dilation_mm, controls, seed)
    changed = [torch.where(brain & ~piece, infilled, inputs) for piece in pieces]
    return _told("lesion_only", predict, inputs, changed, infill, dilation_mm, batch)


def visits_swapped(predict: Predict, inputs: Tensor, layout: ChannelLayout) -> Intervention:
    """Prior and current scan change places.

    Raises:
        ConfigError: if the layout has another number of channels.
        ModelError: if the network's logits cannot be used.
    """
    prior, current = _channels(inputs, layout)
    changed = inputs.detach().clone()
    changed[prior], changed[current] = inputs[current], inputs[prior]
    before, after = _logits(predict, [inputs, changed], BATCH)
    return Intervention("visit_swap", before, after, np.empty((0, before.size)))


def visit_duplicated(
    predict: Predict, inputs: Tensor, layout: ChannelLayout, timepoint: str
) -> Intervention:
    """The scan of one timepoint stands in both places, so that nothing has changed.

    Raises:
        UnknownNameError: for an unknown timepoint.
        ConfigError, ModelError: as :func:`visits_swapped`.
    """
    kept = list(layout.select(timepoint=timepoint))
    changed = inputs.detach().clone()
    for places in _channels(inputs, layout):
        changed[places] = inputs[kept]
    before, after = _logits(predict, [inputs, changed], BATCH)
    none = np.empty((0, before.size))
    return Intervention("duplicated_visit", before, after, none, setting=f"{timepoint} twice")


def elsewhere(mask: Mask, brain: Mask, count: int, seed: int) -> list[Mask]:
    """The mask moved to other places of the brain that it does not touch, drawn evenly.

    Args:
        mask: (i, j, k) boolean; what lies in the brain is moved.
        brain: (i, j, k) boolean, not empty.
        count: how many places.
        seed: of the draws.

    Returns:
        (i, j, k) boolean masks; fewer than asked for if there is no such place.
    """
    if not count or not (mask & brain).any():
        return []
    placements = Placements(mask, BrainBox(brain))
    places = placements.translations
    order = np.random.default_rng(seed).permutation(len(places))
    found = []
    for index in order[:_TRIES]:
        moved = placements.moved(places[index])
        if not (moved & mask).any():
            found.append(moved)
        if len(found) == count:
            break
    return found


def _pieces(
    inputs: Tensor,
    lesion: Tensor,
    infilled: Tensor,
    brain: Tensor,
    spacing: tuple[float, float, float],
    dilation_mm: float,
    controls: int,
    seed: int,
) -> list[Tensor]:
    """The grown lesion in the brain, then its copies elsewhere; nothing of an empty lesion."""
    check_scans(inputs, brain)
    check_infilled(inputs, infilled)
    if lesion.dtype != torch.bool or dilation_mm < 0 or controls < 0 or min(spacing) <= 0:
        raise ConfigError(
            f"needed are a boolean lesion, lengths in mm and a count of controls, got a lesion of "
            f"{lesion.dtype}, dilation {dilation_mm}, spacing {spacing} and {controls} controls"
        )
    if lesion.shape != brain.shape:
        raise GridMismatchError(
            f"the lesion has shape {tuple(lesion.shape)}, the brain {tuple(brain.shape)}"
        )
    domain = brain.cpu().numpy()
    if not (lesion & brain).any():
        return []
    grown = dilate_mm(lesion.cpu().numpy(), spacing, dilation_mm) & domain
    masks = [grown, *elsewhere(grown, domain, controls, seed)]
    return [torch.from_numpy(mask).to(brain.device) for mask in masks]


def _told(
    metric: str,
    predict: Predict,
    inputs: Tensor,
    changed: list[Tensor],
    infill: str,
    dilation_mm: float,
    batch: int,
) -> Intervention:
    before, *after = _logits(predict, [inputs, *changed], batch)
    nothing = np.full_like(before, np.nan)
    return Intervention(
        metric,
        before,
        after[0] if after else nothing,
        np.array(after[1:]).reshape(-1, before.size),
        infill,
        f"{dilation_mm:g} mm around it",
        FaithfulnessStatus.OK if after else FaithfulnessStatus.EMPTY_MASK,
    )


def _channels(inputs: Tensor, layout: ChannelLayout) -> tuple[list[int], list[int]]:
    if inputs.ndim != 4 or len(inputs) != len(layout):
        raise ConfigError(
            f"the scans have shape {tuple(inputs.shape)}, the layout {len(layout)} channels"
        )
    prior, current = (list(layout.select(timepoint=one)) for one in Timepoint)
    return prior, current


def _logits(predict: Predict, scans: Sequence[Tensor], batch: int) -> list[NDArray[np.float64]]:
    """(class,) logits of each input."""
    found: list[NDArray[np.float64]] = []
    with torch.no_grad():
        for start in range(0, len(scans), batch):
            chunk = torch.stack(list(scans[start : start + batch]))
            logits = predict(chunk)
            if logits.ndim != 2 or len(logits) != len(chunk) or not torch.isfinite(logits).all():
                raise ModelError(
                    f"the network must give finite logits ({len(chunk)}, class), gave "
                    f"{tuple(logits.shape)}: {logits.tolist()}"
                )
            found += list(logits.detach().double().cpu().numpy())
    return found
