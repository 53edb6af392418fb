"""Attribution maps: arrays with a place in the patient.

This is the seam of xrano: what comes out of a network's explanation and goes into scoring and
pictures is an :class:`AttributionMap`, in memory or as a file (:mod:`xrano.map_files`). Values
are what the method gave, signed and unscaled; making them non-negative (*rectification*) and
summing over input channels (*reduction*) are named choices of whoever reads the map.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError, VolumeError
from xrano.geometry import Grid, moved_by
from xrano.resampling import Outside, resample
from xrano.types import Volume

MERGED_CHANNEL = "all"
"""Channel name of a map that a method gives for all input channels at once (CAMs)."""


TO_COMMON = "to_common"
"""Sidecar key: matrix (4, 4) from the map's world to the common world, where they differ."""

RESAMPLED = "resampled"
"""Sidecar entry of a map that no longer lies on the grid that its method gave it."""


class Rectification(StrEnum):
    """How signed values become non-negative relevance."""

    ABSOLUTE = "absolute"
    POSITIVE = "positive"
    NEGATIVE = "negative"
    NONE = "none"


class Reduction(StrEnum):
    """How the channels of a map become one volume, after rectification."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """A map of one method for one target of one pair.

    Args:
        data: float32 (channel, i, j, k), raw: signed, neither clipped nor rescaled.
        grid: where (i, j, k) lies; of a class activation map, its own coarse grid.
        channels: one name a channel of ``data``: names of a
            :class:`~xrano.channels.ChannelLayout`, or ``("all",)``.
        meta: what the sidecar holds: pair, target and how it was chosen, method and settings,
            layer, logits, convergence delta, versions, hashes. JSON values only.

    Raises:
        GridMismatchError: if data, grid and channels do not fit together.
        VolumeError: if a value is NaN or infinite as float32.
    """

    data: NDArray[np.float32]
    grid: Grid
    channels: tuple[str, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.channels), *self.grid.shape)
        if self.data.shape != expected:
            raise GridMismatchError(
                f"a map on {self.grid} with channels {self.channels} needs shape {expected}, "
                f"got {self.data.shape}"
            )
        with np.errstate(over="ignore"):
            data = np.asarray(self.data, dtype=np.float32)
        if not np.isfinite(data).all():
            raise VolumeError(
                f"the {self.meta.get('method', '')} map of {self.meta.get('pair_id', 'a pair')} "
                "holds NaN or infinite values, or some too large for float32"
            )
        object.__setattr__(self, "data", data)

    def __repr__(self) -> str:
        meta, sizes = self.meta, " × ".join(map(str, self.grid.shape))
        method = ":".join(str(meta[key]) for key in ("method", "baseline") if meta.get(key))
        target = f" for {meta['target_name']}" if meta.get("target_name") else ""
        pair = f" of {meta['pair_id']}" if meta.get("pair_id") else ""
        mm = " × ".join(f"{size:g}" for size in self.grid.spacing)
        return (
            f"<AttributionMap {method or 'without a method'}{target}{pair}: "
            f"{len(self.channels)} channels of {sizes} at {mm} mm>"
        )

    def _repr_html_(self) -> str:
        """For notebooks: three planes through the peak, and what the map says of itself."""
        # By name, since pictures are some floors above and nothing down here may need them.
        return str(import_module("xrano.jupyter.map_html").map_html(self))

    @property
    def coarse(self) -> bool:
        """Whether the map speaks for cells of a feature grid rather than for voxels."""
        return self.channels == (MERGED_CHANNEL,) and bool(self.meta.get("layer"))

    @property
    def on_cells(self) -> bool:
        """Whether it is a coarse map that still lies on the cells of its layer."""
        cells = self.meta.get("feature_grid")
        shape = cells.get("shape") if isinstance(cells, Mapping) else None
        there = shape == list(self.grid.shape)
        return self.coarse and there and not self.meta.get(RESAMPLED)

    def is_placed_on(self, grid: Grid) -> bool:
        """Whether it lies where the volumes of a grid do, or xrano itself put it where it lies."""
        carried = bool(self.meta.get(RESAMPLED))
        return carried or self.grid.matches(grid) or self.on_cells

    def reduced(
        self,
        rectification: str = Rectification.ABSOLUTE,
        reduction: str = Reduction.SUM,
        *,
        channels: tuple[str, ...] | None = None,
    ) -> Volume:
        """One volume (i, j, k): rectify every channel, then reduce over channels.

        Args:
            rectification: ``absolute`` |x|, ``positive`` max(x, 0), ``negative`` max(-x, 0) or
                ``none`` (signed; for pictures, not for scores).
            reduction: ``sum``, ``mean`` or ``max`` over channels (``max`` of ``none`` takes the
                value of largest magnitude).
            channels: only these channels, by name; all if not given.

        Raises:
            UnknownNameError: for an unknown rectification, reduction or channel.
            ConfigError: if no channel is named.

        Example:
            >>> grid = Grid((1, 1, 2), np.eye(4))
            >>> data = np.array([[[[1.0, -2.0]]], [[[-3.0, 1.0]]]], dtype=np.float32)
            >>> both = AttributionMap(data, grid, ("prior_T1", "current_T1"))
            >>> both.reduced("absolute", "sum").ravel().tolist()
            [4.0, 3.0]
            >>> both.reduced("positive", "sum", channels=("current_T1",)).ravel().tolist()
            [0.0, 1.0]
        """
        wanted = self.channels if channels is None else channels
        if not wanted:
            raise ConfigError(f"name at least one channel of {', '.join(self.channels)}")
        for name in wanted:
            if name not in self.channels:
                raise UnknownNameError("channel", name, self.channels)
        data = rectify(self.data[[self.channels.index(name) for name in wanted]], rectification)
        if reduction not in tuple(Reduction):
            raise UnknownNameError("reduction", reduction, tuple(Reduction))
        if reduction == Reduction.SUM:
            return np.asarray(data.sum(axis=0))
        if reduction == Reduction.MEAN:
            return np.asarray(data.mean(axis=0))
        strongest = np.abs(data).argmax(axis=0)[None]
        return np.asarray(np.take_along_axis(data, strongest, axis=0)[0])

    def resample_to(self, grid: Grid) -> AttributionMap:
        """The same map on another grid, trilinear in world space.

        Beyond its own field a voxel-wise map is zero; a coarse map keeps the value of its
        nearest cell, since the outermost cells reach past their centres.
        """
        outside: Outside = "edge" if self.coarse else "zero"
        data = np.stack(
            [resample(channel, self.grid, grid, outside=outside) for channel in self.data]
        )
        return AttributionMap(data, grid, self.channels, {**self.meta, RESAMPLED: True})

    @property
    def stem(self) -> str:
        """The file's BIDS-derivatives name without suffix, relative to the output folder.

        Raises:
            ConfigError: if ``meta`` lacks what the name is made of.
        """
        meta = self.meta
        missing = [name for name in _NAMED_BY if not meta.get(name)]
        if missing:
            raise ConfigError(f"a map needs {', '.join(missing)} in its meta to be named")
        patient, session = _alphanumeric(meta["patient_id"]), _alphanumeric(meta["current"])
        base = meta.get("baseline") or ""
        # The logit is what is explained unless another output is named.
        output = str(meta.get("output") or "").replace("logit", "")
        what = _alphanumeric(f"{meta['method']} {base} {meta['target_name']} {output}")
        since = _alphanumeric(meta["prior"])
        layer = _alphanumeric(str(meta.get("layer") or ""))
        cells = "_res-cells" if self.coarse and not meta.get(RESAMPLED) else ""
        desc = f"{what}{layer}since{since}{cells}"
        folder = f"sub-{patient}/ses-{session}"
        return f"{folder}/sub-{patient}_ses-{session}_desc-{desc}_stat-relevance_statmap"


def rectify(values: NDArray[Any], rectification: str) -> NDArray[Any]:
    """Apply a :class:`Rectification` by name.

    Raises:
        UnknownNameError: for an unknown name.
    """
    if rectification == Rectification.ABSOLUTE:
        return np.asarray(np.abs(values))
    if rectification == Rectification.POSITIVE:
        return np.asarray(np.maximum(values, 0))
    if rectification == Rectification.NEGATIVE:
        return np.asarray(np.maximum(-values, 0))
    if rectification == Rectification.NONE:
        return values
    raise UnknownNameError("rectification", rectification, tuple(Rectification))


def in_common_world(attribution: AttributionMap) -> AttributionMap:
    """A map saved on a scanner's own grid, its grid back in the cohort's common world.

    The matrix is ``to_common`` of its ``meta``; a map without one is in the common world already.
    No value is interpolated.

    Raises:
        VolumeError: if the matrix is none.
    """
    matrix = attribution.meta.get(TO_COMMON)
    if matrix is None:
        return attribution
    try:
        grid = moved_by(attribution.grid, np.array(matrix, dtype=np.float64).reshape(4, 4))
    except (ValueError, TypeError) as error:
        raise VolumeError(f"{TO_COMMON} of a map's sidecar is no 4 x 4 matrix: {error}") from error
    meta = {name: value for name, value in attribution.meta.items() if name != TO_COMMON}
    return AttributionMap(attribution.data, grid, attribution.channels, meta)


_NAMED_BY = ("patient_id", "prior", "current", "method", "target_name")


def _alphanumeric(text: str) -> str:
    """A BIDS label: letters and digits only, words joined in camel case, numbers by an x.

    Without the x, layers ``net.1.10`` and ``net.11.0`` would write one file.
    """
    label = ""
    for word in re.findall(r"[A-Za-z0-9]+", str(text)):
        between = "x" if label[-1:].isdigit() and word[0].isdigit() else ""
        label += between + (word[0].upper() + word[1:] if label else word)
    return label
