"""Max-sensitivity: how far a map moves when the scans hardly do (Yeh et al. 2019, 1901.09392).

A map that is the same for every scan is optimal, and a network may rightly react to noise: never
read this number alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.errors import ConfigError, GridMismatchError, VolumeError
from xrano.faithfulness.catalogue import FaithfulnessStatus, metric_row
from xrano.faithfulness.prediction import check_scans

RADIUS = 0.1
"""Largest change of a voxel, in the scans' units: standard deviations of healthy tissue."""

DRAWS = 10
"""Noisy copies of the pair that are explained."""


@dataclass(frozen=True, eq=False)
class SensitivityScore:
    """Relative changes of a map under noise.

    Attributes:
        changes: (draw,) norm of the map's change over the norm of the map.
        input_changes: (draw,) the same of the scans, in the brain.
        status: ``ok``, or ``zero_map``; a map of noisy scans may be zero, and then changed by 1.
    """

    changes: NDArray[np.float64]
    input_changes: NDArray[np.float64]
    status: FaithfulnessStatus

    @property
    def value(self) -> float:
        """The largest change; NaN if undefined."""
        return float(self.changes.max()) if self.changes.size else math.nan

    def rows(self) -> list[dict[str, Any]]:
        """One row, ``max_sensitivity``."""
        moved = float(self.input_changes.max()) if self.input_changes.size else math.nan
        return [metric_row("max_sensitivity", self.value, reference=moved, status=self.status)]


def max_sensitivity(
    explain: Callable[[Tensor], Tensor],
    inputs: Tensor,
    brain: Tensor,
    radius: float = RADIUS,
    draws: int = DRAWS,
    seed: int = 0,
) -> SensitivityScore:
    """The largest relative change of a map over noise of a radius, in the brain.

    Pairs are explained one at a time, as :func:`xrano.attribution.methods.attribute` does. A
    method that draws random numbers must draw the same ones each time, or its own noise is
    measured.

    Args:
        explain: (channel, i, j, k) to a map (..., i, j, k), of which the brain counts, or a map on
            a coarse grid of its own, which counts as a whole.
        inputs: (channel, i, j, k), left as they are.
        brain: (i, j, k) boolean; only its voxels are changed.
        radius: noise is uniform in ± this, independent in each voxel and channel.
        draws: noisy copies.
        seed: of the noise; the global random state is not touched.

    Raises:
        ConfigError: if the radius is not above 0, or there is no draw.
        GridMismatchError: if scans and brain do not fit, or the maps' shapes differ.
        VolumeError: if scans or a map are not finite.

    Example:
        >>> scans = torch.ones(1, 2, 2, 2)
        >>> brain = torch.ones(2, 2, 2, dtype=torch.bool)
        >>> max_sensitivity(torch.ones_like, scans, brain).value
        0.0
    """
    check_scans(inputs, brain)
    if not (radius > 0 and math.isfinite(radius)) or draws < 1:
        raise ConfigError(f"needed are a radius above 0 and 1 draw, got {radius} and {draws}")
    own = _values(explain, inputs, brain)
    size = float(np.linalg.norm(own))
    if size == 0:
        return SensitivityScore(np.empty(0), np.empty(0), FaithfulnessStatus.ZERO_MAP)
    scan_size = float(inputs[:, brain].double().norm())
    rng = np.random.default_rng(seed)
    changes, input_changes = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        noisy = inputs.detach().clone()
        noise = rng.uniform(-radius, radius, (len(inputs), int(brain.sum())))
        noisy[:, brain] += torch.from_numpy(noise).to(noisy)
        found = _values(explain, noisy, brain)
        if found.shape != own.shape:
            raise GridMismatchError("the map of noisy scans has another shape than the map")
        changes[draw] = np.linalg.norm(found - own) / size
        moved = float((noisy - inputs)[:, brain].double().norm())
        input_changes[draw] = moved / scan_size if scan_size else math.inf
    return SensitivityScore(changes, input_changes, FaithfulnessStatus.OK)


def _values(
    explain: Callable[[Tensor], Tensor], inputs: Tensor, brain: Tensor
) -> NDArray[np.float64]:
    found = explain(inputs.clone()).detach()
    values = found[..., brain] if found.shape[-3:] == brain.shape else found
    if not torch.isfinite(values).all():
        raise VolumeError("the map holds NaN or infinite values")
    # Not a view: an explainer may give the same tensor again and again.
    return np.array(values.cpu().double().numpy().ravel())
