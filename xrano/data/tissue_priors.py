"""Where grey and white matter lie: the MNI152 templates that nilearn ships, on any grid.

They say something about a scan only if its world is that of MNI152. No file tells: a store of
registered scans names its template, which may be any file, and the atlas of a dataset has no name
in its tables. So the brains are asked: they must lie where the template's does
(:func:`store_priors`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.data.common_world import in_one_world
from xrano.data.store import Store, read_prepared
from xrano.geometry import Grid, Shape3
from xrano.resampling import resample
from xrano.types import Mask

GREY, WHITE = "grey_matter", "white_matter"

LEAST_OVERLAP = 0.9
"""Share of the smaller of both brains that must lie in the other. Two brains of one size that are
9 mm apart share as much; those of another atlas or of a scanner's world lie centimetres away."""

ASKED = 9
"""How many sessions of a store are asked where their brain lies."""


@dataclass(frozen=True, eq=False)
class TissuePriors:
    """Priors on one grid.

    Attributes:
        grid: where they lie; its world is taken to be that of MNI152.
        tissues: name to float32 (i, j, k), 0 to 1; 0 outside the template's brain.
        brain: (i, j, k) the template's brain.
    """

    grid: Grid
    tissues: Mapping[str, NDArray[np.float32]]
    brain: Mask

    def overlap(self, brain: Mask) -> float:
        """The share of the smaller brain, this or the template's, that lies in the other.

        Args:
            brain: (i, j, k) on the same grid.
        """
        smaller = min(int(brain.sum()), int(self.brain.sum()))
        return float((brain & self.brain).sum() / smaller) if smaller else 0.0


def tissue_priors(grid: Grid) -> TissuePriors:
    """The priors on a grid; kept for the process.

    Args:
        grid: in the world of MNI152. Where its voxels are larger than the template's, the priors
            are smoothed to what such voxels resolve.
    """
    return _on_grid(grid.shape, grid.affine.tobytes())


# At 1 mm the priors of a cohort's grid take 40 MB.
@lru_cache(maxsize=2)
def _on_grid(shape: Shape3, affine: bytes) -> TissuePriors:
    from nilearn import datasets

    images = (
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
    )
    source = Grid(images[0].shape, images[0].affine)
    grid = Grid(shape, np.frombuffer(affine, dtype=np.float64).reshape(4, 4))
    # A Gaussian as wide at half its height as what the larger voxel adds to the smaller one.
    ratio = (grid.voxel_ml / source.voxel_ml) ** (1 / 3)
    sigma = np.sqrt(max(ratio**2 - 1, 0.0)) / 2.355

    def carried(values: NDArray[np.float32]) -> NDArray[np.float32]:
        smooth = ndimage.gaussian_filter(values, sigma) if sigma > 0.1 else values
        return np.asarray(resample(smooth, source, grid), dtype=np.float32)

    grey, white, brain = (carried(np.asarray(image.dataobj, dtype=np.float32)) for image in images)
    tissues = {GREY: np.clip(grey, 0, 1), WHITE: np.clip(white, 0, 1)}
    return TissuePriors(grid, tissues, brain >= 0.5)


def priors_where_brains_agree(grid: Grid, brains: Iterable[Mask]) -> TissuePriors | None:
    """The priors on the grid of some brains, or ``None`` if these do not lie where MNI152's does.

    Args:
        grid: of the brains.
        brains: (i, j, k) boolean; their median overlap decides.
    """
    priors = tissue_priors(grid)
    overlaps = [priors.overlap(brain) for brain in brains]
    return priors if overlaps and np.median(overlaps) >= LEAST_OVERLAP else None


def store_priors(store: Store) -> TissuePriors | None:
    """The priors on a store's grid, or ``None`` if the store does not lie in the world of MNI152.

    A store that was registered without a template has no common world. Of any other, some sessions
    are asked where their brain lies.
    """
    sessions = store.sessions
    if sessions.empty or not in_one_world(store):
        return None
    rows = np.unique(np.linspace(0, len(sessions) - 1, ASKED).astype(int))
    keys = sessions[["patient_id", "session_id"]].iloc[rows].itertuples(index=False, name=None)
    brains = (read_prepared(store.session_path(*key), ()).brain for key in keys)
    return priors_where_brains_agree(store.grid, brains)
