"""A pair of scans that shows itself in a notebook."""

from __future__ import annotations

import matplotlib.style
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xrano.channels import Timepoint
from xrano.data.label_schemes import WHOLE, has_region, region_mask
from xrano.data.pair_volumes import PairVolumes
from xrano.jupyter import html
from xrano.viz.drawing import annotate, draw_anatomy, draw_contour, frame
from xrano.viz.slice_choice import slice_by_tumour
from xrano.viz.slice_places import place_slice
from xrano.viz.slices import Plane


class ShownPair(PairVolumes):
    """A :class:`~xrano.data.pair_volumes.PairVolumes` with a picture for notebooks."""

    def __repr__(self) -> str:
        sizes = " × ".join(map(str, self.grid.shape))
        return (
            f"<Pair {self.pair_id}: {self.response or 'unrated'}, "
            f"{', '.join(self.layout.sequences)}, {sizes} voxels>"
        )

    def _repr_html_(self) -> str:
        volumes = {
            f"core or tumour, {source}": f"{_ml(before, self)}, then {_ml(after, self)}"
            for source, (before, after) in _tumours(self).items()
        }
        told = {
            "patient": self.patient_id,
            "scans": f"{self.prior_session} (prior), {self.current_session} (current)",
            "response": self.response or "unrated",
            "rated by": self.rating_source or "unknown",
            "spans surgery": "yes" if self.spans_surgery else "no",
            "sequences": ", ".join(self.layout.sequences),
            "grid": f"{' × '.join(map(str, self.grid.shape))} voxels of "
            f"{' × '.join(f'{size:g}' for size in self.grid.spacing)} mm",
            "normalised by": self.normalised_by or "unknown",
            **volumes,
        }
        picture = html.png_of(_both_scans(self), limit=html.REPR_BYTES)
        alternative = "prior and current scan, axial, through the tumour"
        return html.card(f"Pair {self.pair_id}", html.image(picture, alternative), html.facts(told))


def _tumours(pair: PairVolumes) -> dict[str, tuple[np.ndarray | None, np.ndarray | None]]:
    """Source to the core on both scans, or the whole tumour where a scheme has no core."""
    found = {}
    for source, (*labels, scheme) in pair.segmentations.items():
        region = "core" if has_region(scheme, "core") else WHOLE
        prior, current = (
            None if one is None else region_mask(one, scheme, region) for one in labels
        )
        found[source] = (prior, current)
    return found


def _ml(mask: np.ndarray | None, pair: PairVolumes) -> str:
    return "not segmented" if mask is None else f"{mask.sum() * pair.grid.voxel_ml:.1f} ml"


def _both_scans(pair: PairVolumes) -> Figure:
    sequences = pair.layout.sequences
    name = "CT1" if "CT1" in sequences else sequences[0]
    scans = {timepoint: pair.volume(timepoint, name) for timepoint in Timepoint}
    masks = next(iter(_tumours(pair).values()), (None, None))
    cut = slice_by_tumour(masks, pair.grid, Plane.AXIAL, brain=pair.brain)
    view = place_slice(pair.grid, Plane.AXIAL, cut.mm, around=pair.brain)
    inside = np.concatenate([scan[pair.brain] for scan in scans.values()])
    low, high = np.percentile(inside, [0.5, 99.8]) if inside.size else (0.0, 1.0)
    window = Normalize(float(low), float(max(high, low + 1e-6)))
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(4.4, 2.4), facecolor="black")
        for number, (timepoint, mask) in enumerate(zip(Timepoint, masks, strict=True)):
            ax = figure.add_axes((number / 2 + 0.005, 0.01, 0.49, 0.86))
            shown = np.where(pair.brain, scans[timepoint], np.float32(low))
            draw_anatomy(ax, view, shown, pair.grid, window)
            draw_contour(ax, view, mask, pair.grid, timepoint)
            frame(ax, view)
            annotate(ax, view)
            ax.set_title(f"{timepoint}, {name}", fontsize=8, color="white", parse_math=False)
    return figure
