"""The contents of a panel before anything is drawn: scans, their change, and each map.

A *cell* is one picture of a panel on every slice that is asked for. Nothing is sampled before it
is drawn; map cells give values in units of their colour scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from xrano.channels import Timepoint
from xrano.geometry import Grid
from xrano.types import Mask, Volume
from xrano.viz.blocks import Block
from xrano.viz.colour_scale import ColourScale, scale_of
from xrano.viz.panel_case import PanelCase
from xrano.viz.slices import SliceView
from xrano.viz.words import printable

SliceSource: TypeAlias = Callable[[SliceView], NDArray[Any]]
"""Gives the (row, column) picture of a slice."""


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices of one volume, each taken once."""

    volume: NDArray[Any]
    grid: Grid
    order: Literal[0, 1] = 1
    taken: dict[SliceView, NDArray[Any]] = field(default_factory=dict)

    def __call__(self, view: SliceView) -> NDArray[Any]:
        """The picture of a slice."""
        if view not in self.taken:
            self.taken[view] = view.sample(self.volume, self.grid, order=self.order)
        return self.taken[view]


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a panel.

    Args:
        name: what it is, for whoever looks for it in the figure.
        head: lines that say what it is: the scan or the method.
        below: lines under them: the session, or target and timepoint.
        window: which values of ``anatomy`` are black and white.
        anatomy: grey background.
        colour: values drawn in colour; ``None`` for none.
        scale: colour scale of ``colour``.
        outlines: timepoint to the mask that is outlined, in the order of drawing.
        note: said across the picture where there is nothing to see.
        group: maps of one group are comparable, and stay together.
        column: what tells maps of one group apart: target and timepoint.
        column_head: lines above its column where rows are methods.
        unit: what 1 on the colour scale is in the method's own numbers.
    """

    name: str
    head: tuple[str, ...]
    below: tuple[str, ...]
    window: Normalize
    anatomy: SliceSource
    colour: SliceSource | None = None
    scale: ColourScale | None = None
    outlines: Mapping[str, SliceSource] = field(default_factory=dict)
    note: str = ""
    group: tuple[str, ...] = ()
    column: tuple[str, str] = ("", "")
    column_head: tuple[str, ...] = ()
    unit: str = ""

    @property
    def title(self) -> tuple[str, ...]:
        """All lines above a picture that stands for itself."""
        return (*self.head, *self.below)

    def taken(self, views: Sequence[SliceView]) -> Cell:
        """The same on some slices only, without the volumes that they were taken from."""

        def held(source: SliceSource) -> SliceSource:
            return {view: source(view) for view in views}.__getitem__

        return replace(
            self,
            anatomy=held(self.anatomy),
            colour=None if self.colour is None else held(self.colour),
            outlines={name: held(source) for name, source in self.outlines.items()},
        )


@dataclass(frozen=True, eq=False)
class Scans:
    """The two scans of one sequence as they are drawn: 0 is black, ``window`` ends at white.

    ``change`` gives current − prior in the brain, whose percentile is ``change_top``.
    """

    sequence: str
    prior: Slices
    current: Slices
    window: Normalize
    change: SliceSource
    change_top: float


def prepare_scans(case: PanelCase, background: str, percentile: float) -> Scans:
    """Choose the sequence and the grey window, and make the empty background black.

    The window runs from the 0.5th to the 99.8th percentile of both scans in the brain outside the
    masks: a bright mass would leave everything else dark. NaN is black, and no change.
    """
    sequence = case.background(background)
    block = Block.around(case.brain)
    inside = case.brain[block.index]
    if not inside.any():
        inside = np.ones(block.shape, dtype=bool)
    # float16, as in the prepared store, is neither interpolated nor subtracted well.
    given = [np.asarray(scan[sequence], dtype=np.float32) for scan in (case.prior, case.current)]
    values = [scan[block.index][inside] for scan in given]
    finite = np.isfinite(values[0]) & np.isfinite(values[1])
    low, high = _grey_window(values, finite, _masked(case, block)[inside])
    prior, current = (_blacken(scan, case.brain, low) for scan in given)

    def change(view: SliceView) -> NDArray[Any]:
        # Where one scan shows a skull and the other has none, the difference is no change.
        under = Block.under(view.grid, case.grid)
        difference = current[under.index] - prior[under.index]
        held = case.brain[under.index] & np.isfinite(difference)
        return view.sample(np.where(held, difference, np.float32(0)), under.of(case.grid))

    return Scans(
        sequence,
        Slices(prior, case.grid),
        Slices(current, case.grid),
        Normalize(0.0, high - low if high > low else 1.0),
        change,
        scale_of((values[1] - values[0])[finite], percentile) if case.brain.any() else 0.0,
    )


def _masked(case: PanelCase, block: Block) -> NDArray[np.bool_]:
    """Where a block of the case lies in a mask of either scan."""
    found = np.zeros(block.shape, dtype=bool)
    for mask in (case.prior_mask, case.current_mask):
        if mask is not None:
            found |= mask[block.index]
    return found


def _grey_window(
    values: Sequence[NDArray[Any]], finite: NDArray[np.bool_], masked: NDArray[np.bool_]
) -> tuple[float, float]:
    """The values that are black and white: of what is not masked, if that is half or more."""
    plain = finite & ~masked
    if 2 * int(np.count_nonzero(plain)) < int(np.count_nonzero(finite)):
        plain = finite
    known = np.concatenate([one[plain] for one in values])
    if not known.size:
        return 0.0, 0.0
    low, high = np.percentile(known, [0.5, 99.8])
    return float(low), float(high)


def outline_slices(case: PanelCase) -> dict[str, Slices]:
    """The masks that there are; prior last: where both agree, the solid line shows in its gaps."""
    masks: dict[str, Mask | None] = {
        Timepoint.CURRENT.value: case.current_mask,
        Timepoint.PRIOR.value: case.prior_mask,
    }
    return {
        timepoint: Slices(mask, case.grid, 0)
        for timepoint, mask in masks.items()
        if mask is not None and mask.any()
    }


def scan_cells(
    case: PanelCase, scans: Scans, outlines: Mapping[str, Slices], percentile: float
) -> list[Cell]:
    """Prior, current, and current − prior."""
    end = "maximum" if percentile == 100 else f"{percentile:g}th percentile"
    scale = ColourScale(
        top=scans.change_top,
        signed=True,
        threshold=0.0,
        label=f"{printable(scans.sequence)}, current − prior\n(intensity, up to the {end})",
        colours="berlin",
    )
    sequence, window = scans.sequence, scans.window

    def only(timepoint: str) -> dict[str, SliceSource]:
        return {name: source for name, source in outlines.items() if name == timepoint}

    return [
        Cell(
            "prior",
            (f"Prior scan, {sequence}",),
            (case.prior_session,),
            window,
            scans.prior,
            outlines=only("prior"),
        ),
        Cell(
            "current",
            (f"Current scan, {sequence}",),
            (case.current_session,),
            window,
            scans.current,
            outlines=only("current"),
        ),
        Cell(
            "change",
            (f"Change in {sequence}",),
            ("current − prior",),
            window,
            scans.current,
            scans.change,
            scale,
            outlines=dict(outlines),
            note="" if scans.change_top > 0 else "no change",
        ),
    ]


def _blacken(volume: Volume, brain: Mask, low: float) -> Volume:
    """Shift a scan so that 0 is the black end of the window, with its empty background at 0.

    Normalisation can move a constant background outside the brain anywhere; it would be drawn
    grey. What lies beyond the scan's field is 0 as well, and so as black, and so is NaN.
    """
    shifted = np.asarray(volume - np.float32(low))
    empty = volume == volume[0, 0, 0]
    empty &= ~brain
    if 2 * int(np.count_nonzero(empty)) >= brain.size - int(np.count_nonzero(brain)):
        shifted[empty] = 0
    # A sum is not finite if one of its terms is not, and needs no mask of the volume.
    if not np.isfinite(shifted.sum(dtype=np.float64)):
        shifted[~np.isfinite(shifted)] = 0
    return shifted
