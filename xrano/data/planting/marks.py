"""The marks: one small function a kind, each a scan's brain as it looks with the mark of a class.

Every function takes

* ``volume``: (i, j, k) float32, a scan in any unit, brighter where it shows more;
* ``brain``: (i, j, k) boolean, not empty;
* ``grid``: theirs; places, directions and widths are in world millimetres;
* ``class_index``: 0 to 3, the position in :data:`xrano.rano.RESPONSES`;
* ``rng``: for the marks that have something random about them;
* ``amplitude``: 1 for the size set here,

and returns a new float32 array that is ``volume`` itself outside the brain. What is added is
measured by the scan's own spread, so that a mark looks alike in all sequences. Spread is half the
range of the middle 68 % of the brain: a standard deviation would let a bright tumour set the size
of the mark, which would then tell of the tumour.

Training flips left and right, so no mark differs from another by side: directions and places lie
in the sagittal plane. Classes two steps apart, which a swap exchanges, differ most.

Sizes were set on the phantom at 4 mm, so that a small network can learn each in a few epochs and
the eye still takes the scan for one: the largest noise and blur are those of a poor scan, the
steepest field twice the phantom's own, the rim and the spot brighter than the tissue about them. A
spot half as bright and less near the boundary was not learned in eight epochs of a small DenseNet;
this one is, in five.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.errors import VolumeError
from xrano.geometry import Grid
from xrano.types import Mask

Scan: TypeAlias = NDArray[np.float32]
Mark: TypeAlias = Callable[[Scan, Mask, Grid, int, np.random.Generator, float], Scan]

NOISE_SPREADS = (0.1, 0.3, 0.5, 0.7)
"""Standard deviation of the added noise, in spreads. The phantom's own noise is about 0.2."""

BLUR_SD_MM = (2.0, 3.0, 4.0, 5.5)
"""Standard deviation of the blur: 5 to 13 mm at half height. The least is half a voxel at 4 mm."""

BIAS_LOG_SD = 0.12
"""Standard deviation over the brain of the field's logarithm, twice the phantom's own."""

TEXTURE_MM = 18.0
"""Wavelength of the texture: three voxels at the coarsest phantom, finer than any anatomy that
keeps one direction."""

TEXTURE_SPREADS = 0.35
"""Height of the wave in spreads: plain in white matter, less than the contrast of tissues."""

RIM_MM = 6.0
"""Depth of the rim below the brain's boundary: one voxel at the coarsest phantom."""

EDGE_SPREADS = (0.25, 0.75, 1.25, 1.75)
"""Brightness added to the rim, in spreads: what a mask that is a little too wide leaves."""

TAG_SD_MM = 5.0
"""Width of the spot, 12 mm at half height: three voxels at 4 mm, about a millilitre."""

TAG_SPREADS = 5.0
"""Brightness of the spot's centre, in spreads: brighter than any tissue but a small part of it."""

_TAG_REACH = 0.8
_RAY_MM = 8.0


def noise(
    volume: Scan,
    brain: Mask,
    _grid: Grid,
    class_index: int,
    rng: np.random.Generator,
    amplitude: float,
) -> Scan:
    """White noise, the more of it the later the class.

    Independent from voxel to voxel, as a scanner's is: the one mark that knows no millimetres.
    """
    size = amplitude * NOISE_SPREADS[class_index] * spread(volume, brain)
    return _brain_plus(volume, brain, size * rng.standard_normal(volume.shape)[brain])


def blur(
    volume: Scan,
    brain: Mask,
    grid: Grid,
    class_index: int,
    _rng: np.random.Generator,
    amplitude: float,
) -> Scan:
    """A Gaussian blur, the wider the later the class; nothing flows in from outside the brain."""
    sd = amplitude * BLUR_SD_MM[class_index] / np.array(grid.spacing)
    inside = ndimage.gaussian_filter(brain.astype(np.float64), sd, mode="constant")
    blurred = ndimage.gaussian_filter(np.where(brain, volume, 0.0), sd, mode="constant")
    marked = volume.astype(np.float32)
    marked[brain] = blurred[brain] / inside[brain]
    return marked


def bias(
    volume: Scan,
    brain: Mask,
    grid: Grid,
    class_index: int,
    _rng: np.random.Generator,
    amplitude: float,
) -> Scan:
    """A smooth field on the signal: bright in front, on top, behind, below, class by class."""
    along = _centred(brain, grid) @ sagittal(90.0 * class_index)
    marked = volume.astype(np.float32)
    marked[brain] *= np.exp(amplitude * BIAS_LOG_SD * along / along.std()).astype(np.float32)
    return marked


def texture(
    volume: Scan,
    brain: Mask,
    grid: Grid,
    class_index: int,
    rng: np.random.Generator,
    amplitude: float,
) -> Scan:
    """A plane wave; its direction tells the class, 45° apart in the sagittal plane.

    The phase is random, so that no voxel is brighter for one class than for another.
    """
    along = grid.world(np.argwhere(brain)) @ sagittal(45.0 * class_index)
    wave = np.cos(2.0 * np.pi * along / TEXTURE_MM + rng.uniform(0.0, 2.0 * np.pi))
    return _brain_plus(volume, brain, amplitude * TEXTURE_SPREADS * spread(volume, brain) * wave)


def edge(
    volume: Scan,
    brain: Mask,
    grid: Grid,
    class_index: int,
    _rng: np.random.Generator,
    amplitude: float,
) -> Scan:
    """A bright rim along the brain's boundary, the brighter the later the class."""
    size = amplitude * EDGE_SPREADS[class_index] * spread(volume, brain)
    return _brain_plus(volume, brain, size * rim(brain, grid)[brain])


def tag(
    volume: Scan,
    brain: Mask,
    grid: Grid,
    class_index: int,
    _rng: np.random.Generator,
    amplitude: float,
) -> Scan:
    """A small bright spot in the sagittal plane through the brain's middle, one place a class.

    The places of the classes lie in front above, behind above, behind below and in front below.
    """
    away = grid.world(np.argwhere(brain)) - tag_place(brain, grid, class_index)
    spot = np.exp(-0.5 * (away**2).sum(axis=1) / TAG_SD_MM**2)
    # Beyond three standard deviations there is no spot: most of the brain keeps its bytes.
    spot[spot < np.exp(-4.5)] = 0.0
    return _brain_plus(volume, brain, amplitude * TAG_SPREADS * spread(volume, brain) * spot)


MARKS: Mapping[str, Mark] = MappingProxyType(
    {"noise": noise, "blur": blur, "bias": bias, "texture": texture, "edge": edge, "tag": tag}
)
"""Kind to function; the kinds of :data:`xrano.data.planting.plan.SHORTCUTS`."""


def spread(volume: Scan, brain: Mask) -> float:
    """Half the range of the middle 68 % of the brain's values: one SD, were they normal.

    Raises:
        VolumeError: if the brain is empty or the scan does not vary in it.
    """
    low, high = np.percentile(volume[brain], (16.0, 84.0)) if brain.any() else (0.0, 0.0)
    if not high > low:
        raise VolumeError(
            f"over {int(brain.sum())} voxels of brain a scan has no spread, so the size of a mark "
            "cannot be measured by it; the scan must vary in the brain"
        )
    return float(high - low) / 2.0


def sagittal(degrees: float) -> NDArray[np.float64]:
    """The unit vector (3,) in world axes at an angle from the front upwards.

    Example:
        >>> sagittal(90.0).round(6).tolist(), sagittal(180.0).round(6).tolist()
        ([0.0, 0.0, 1.0], [0.0, -1.0, 0.0])
    """
    angle = np.deg2rad(degrees)
    return np.array([0.0, np.cos(angle), np.sin(angle)])


def rim(brain: Mask, grid: Grid) -> Mask:
    """The brain within :data:`RIM_MM` of what is not brain, beyond the array included."""
    inside = np.pad(brain, 1)
    depth: Any = ndimage.distance_transform_edt(inside, sampling=grid.spacing)
    # 3 x 1.1 mm is 3.3000000000000003: a voxel at the depth belongs, whatever the last bit says.
    return np.asarray(brain & (depth[1:-1, 1:-1, 1:-1] <= RIM_MM + 1e-6))


def tag_place(brain: Mask, grid: Grid, class_index: int) -> NDArray[np.float64]:
    """Where a class has its tag: world millimetres (3,).

    Four fifths of the way from the brain's middle to its boundary, in front above (class 0),
    behind above, behind below or in front below: far from the other places, and so near to the
    boundary that a network of small receptive fields can tell them by which way that runs.
    """
    direction = sagittal(45.0 + 90.0 * class_index)
    points = _centred(brain, grid)
    along = points @ direction
    beside = np.linalg.norm(points - along[:, None] * direction, axis=1)
    reach = along[beside <= _RAY_MM].max(initial=0.0)
    return np.asarray(_centre(brain, grid) + _TAG_REACH * reach * direction)


def _centre(brain: Mask, grid: Grid) -> NDArray[np.float64]:
    return np.asarray(grid.world(np.argwhere(brain)).mean(axis=0))


def _centred(brain: Mask, grid: Grid) -> NDArray[np.float64]:
    """(n, 3) world millimetres of the brain's voxels from its middle."""
    points = grid.world(np.argwhere(brain))
    return np.asarray(points - points.mean(axis=0))


def _brain_plus(volume: Scan, brain: Mask, added: NDArray[np.floating[Any]]) -> Scan:
    """A copy with something added to the brain's voxels, (n,) in their order."""
    marked = volume.astype(np.float32)
    marked[brain] += added.astype(np.float32)
    return marked
