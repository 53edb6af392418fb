"""What a phantom cohort can be asked for, and the words of its settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from xrano.errors import ConfigError, UnknownNameError
from xrano.rano import VOLUMETRIC, Response

Mix: TypeAlias = Literal["balanced", "lumiere"]
Reference: TypeAlias = Literal["previous", "rano"]
Hemisphere: TypeAlias = Literal["both", "left", "right"]

MIXES: dict[str, dict[Response, float]] = {
    "balanced": dict.fromkeys(Response, 0.25),
    "lumiere": {Response.PD: 0.64, Response.SD: 0.24, Response.CR: 0.07, Response.PR: 0.05},
}
"""Share of each response among the rated visits that a cohort aims at."""

LEAST_VOXELS = 11
"""An enhancing lesion has at least about this many voxels, so that it is seen at the spacing."""

LEAST_ML = 1.2
"""Least enhancing volume in ml: 19 voxels at 4 mm. What is left after a partial response is at
least this, so that it can be told from nothing at the demo's resolution."""

LARGEST_ML = 35.0


@dataclass(frozen=True)
class PhantomSettings:
    """Everything that decides a phantom cohort; the same settings give the same bytes.

    Args:
        patients: number of patients, 1 to 999.
        visits: least and largest number of rated follow-up visits of a patient. Scans around
            operations come on top.
        spacing_mm: voxel size; 1.0 gives LUMIERE's atlas grid of (182, 218, 182) voxels.
        seed: first word of every random stream. Patient ``n`` of a seed is the same person in a
            cohort of any size.
        margin: distance of every rated volume from the RANO thresholds, as a share: progression
            starts at ``1.40 (1 + margin)``, stable disease ends at ``1.40 / (1 + margin)``, and
            likewise around 0.35. At 0 volumes are continuous up to the thresholds.
        mix: ``balanced`` (a quarter each) or ``lumiere`` (PD 64 %, SD 24 %, CR 7 %, PR 5 %);
            reached as far as a course of volumes allows it.
        reference: what a visit is rated against: ``previous`` (the scan before, so that a pair
            holds its own answer) or ``rano`` (baseline and nadir since the last operation).
        misalignment_mm: root mean square of the shift of each visit against the patient's own
            anatomy; rotations have 0.5 degrees per mm and axis.
        noise: standard deviation of the noise, as a share of white matter's intensity.
        bias: standard deviation of the logarithm of the smooth bias field.
        gain: standard deviation of the logarithm of each scan's gain.
        texture: strength of a texture that each patient has alone, the same at every visit: the
            standard deviation of the logarithm of the factors on the signal; 0 for none.
        repeat_ratings: probability that a visit repeats the response that is its patient's own
            (with the operations that it takes, see :mod:`xrano.data.phantom.operations`); at 0
            nobody has one.
        hemisphere: where lesions may arise: ``both``, or the patient's ``left`` or ``right``.
        quirks: whether the tables hold LUMIERE's irregularities (an unrated session, a session
            without one sequence, a duplicate rating, a trailing blank).
        raw_scans: whether to write the raw scans too, each on its own oblique grid, uint16.
        hdglio: whether to write the registered images and segmentation of HD-GLIO too.

    Raises:
        ConfigError: if a number is out of its range.
        UnknownNameError: if a name is none of the listed ones.

    Example:
        >>> PhantomSettings(patients=3, margin=0.2).least_ml
        1.2
    """

    patients: int = 24
    visits: tuple[int, int] = (4, 5)
    spacing_mm: float = 4.0
    seed: int = 0
    margin: float = 0.15
    mix: Mix = "balanced"
    reference: Reference = "previous"
    misalignment_mm: float = 1.0
    noise: float = 0.03
    bias: float = 0.06
    gain: float = 0.25
    texture: float = 0.0
    repeat_ratings: float = 0.0
    hemisphere: Hemisphere = "both"
    quirks: bool = True
    raw_scans: bool = False
    hdglio: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "visits", tuple(self.visits))
        for name, value, choices in (
            ("mix", self.mix, get_args(Mix)),
            ("reference", self.reference, get_args(Reference)),
            ("hemisphere", self.hemisphere, get_args(Hemisphere)),
        ):
            if value not in choices:
                raise UnknownNameError(name, value, choices)
        if not 1 <= self.patients <= 999:
            raise ConfigError(f"a phantom has 1 to 999 patients, got {self.patients}")
        if len(self.visits) != 2 or not 1 <= self.visits[0] <= self.visits[1] <= 20:
            raise ConfigError(f"visits are a range within 1 to 20, got {self.visits}")
        _require_in_range("spacing_mm", self.spacing_mm, 1.0, 6.0)
        _require_in_range("margin", self.margin, 0.0, 0.3)
        _require_in_range("misalignment_mm", self.misalignment_mm, 0.0, 10.0)
        _require_in_range("noise", self.noise, 0.0, 0.5)
        _require_in_range("bias", self.bias, 0.0, 0.5)
        _require_in_range("gain", self.gain, 0.0, 1.0)
        _require_in_range("texture", self.texture, 0.0, 0.5)
        _require_in_range("repeat_ratings", self.repeat_ratings, 0.0, 1.0)
        if self.seed < 0:
            raise ConfigError(f"a seed is an integer ≥ 0, got {self.seed}")

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return self.spacing_mm**3 / 1000.0

    @property
    def least_ml(self) -> float:
        """The smallest enhancing volume above zero: visible, and measurable with the margin."""
        measurable = VOLUMETRIC.measurable * (1.0 + self.margin)
        return max(LEAST_ML, LEAST_VOXELS * self.voxel_ml, measurable)


def _require_in_range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{name} must lie within {low:g} to {high:g}, got {value}")
