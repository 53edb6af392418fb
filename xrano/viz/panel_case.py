"""What a panel shows of one pair: its scans, masks and answers, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrano.errors import ConfigError, GridMismatchError
from xrano.geometry import Grid
from xrano.types import Mask, Volume


@dataclass(frozen=True, eq=False)
class PanelCase:
    """One pair of scans and what is known about it. All arrays (i, j, k) lie on ``grid``.

    Args:
        grid: grid of every array here; it may be flipped, anisotropic or oblique.
        prior: sequence name to volume of the earlier scan, on one intensity scale with ``current``
            (normalised alike), since both are drawn with one window and subtracted.
        current: the same of the later scan.
        brain: brain mask: pictures are cropped to it and colour scales taken from it.
        prior_mask: the region on the prior scan; ``None`` if it was not segmented.
        current_mask: the region on the current scan; ``None`` if it was not segmented.
        pair_id: shown in the title.
        patient_id: patient of the pair.
        prior_session: session of the earlier scan.
        current_session: session of the later scan.
        response: true response; ``""`` if the pair is unrated.
        predicted: class with the largest probability.
        probabilities: class name to probability, in the order in which they are shown.
        region: name of the masks' region.

    Raises:
        GridMismatchError: if an array does not have the grid's shape.
        ConfigError: if a mask is not boolean.
    """

    grid: Grid
    prior: Mapping[str, Volume]
    current: Mapping[str, Volume]
    brain: Mask
    prior_mask: Mask | None
    current_mask: Mask | None
    pair_id: str
    patient_id: str
    prior_session: str
    current_session: str
    response: str
    predicted: str
    probabilities: Mapping[str, float]
    region: str = "core"

    def __post_init__(self) -> None:
        masks = {
            "brain mask": self.brain,
            f"{self.region} mask of the prior scan": self.prior_mask,
            f"{self.region} mask of the current scan": self.current_mask,
        }
        scans = {f"prior {name}": volume for name, volume in self.prior.items()}
        scans |= {f"current {name}": volume for name, volume in self.current.items()}
        for what, array in {**masks, **scans}.items():
            if array is not None and array.shape != self.grid.shape:
                raise GridMismatchError(
                    f"the {what} of {self.pair_id} has shape {array.shape}, "
                    f"but the panel's grid has {self.grid.shape}"
                )
        for what, mask in masks.items():
            if mask is not None and mask.dtype != np.bool_:
                raise ConfigError(
                    f"the {what} of {self.pair_id} must be boolean, got {mask.dtype}; "
                    "choose labels first, for example segmentation == 1"
                )

    def background(self, wanted: str) -> str:
        """The sequence to draw: the one wanted, or the first that both scans have.

        Raises:
            ConfigError: if the two scans have no sequence in common.
        """
        common = [name for name in self.prior if name in self.current]
        if not common:
            raise ConfigError(
                f"{self.pair_id} has no sequence at both timepoints: "
                f"prior {sorted(self.prior)}, current {sorted(self.current)}"
            )
        return wanted if wanted in common else common[0]

    def mask_text(self, timepoint: str) -> str:
        """``core, prior scan: 12.3 ml``; says where there is no mask and where it is empty."""
        mask = self.prior_mask if timepoint == "prior" else self.current_mask
        if mask is None:
            found = "not segmented"
        elif not mask.any():
            found = "none"
        else:
            found = f"{float(mask.sum()) * self.grid.voxel_ml:.1f} ml"
        return f"{self.region}, {timepoint} scan: {found}"

    @property
    def title(self) -> tuple[str, str]:
        """The pair; then what was predicted, with all probabilities, and what is true."""
        shares = "   ".join(f"{name} {share:.2f}" for name, share in self.probabilities.items())
        truth = f"true response {self.response}" if self.response else "unrated"
        return self.pair_id, f"predicted {self.predicted}  ({shares})   ·   {truth}"
