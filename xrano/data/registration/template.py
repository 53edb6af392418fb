"""The space that patients are brought to: nilearn's MNI152 or any NIfTI file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from xrano.data.registration.file_identity import file_identity
from xrano.data.registration.settings import MNI152, NO_TEMPLATE
from xrano.data.volumes import read_scan
from xrano.geometry import Grid


@dataclass(frozen=True, eq=False)
class Template:
    """An image that defines the common world.

    Attributes:
        name: how messages call it: ``mni152`` or the file's path.
        data: (i, j, k) float32.
        grid: its grid; its world is the common one.
        identity: what tells it from other templates, for kept results.
    """

    name: str
    data: NDArray[np.float32]
    grid: Grid
    identity: tuple[str | int, ...]


def load_template(name: str = MNI152) -> Template | None:
    """The template of a setting.

    Args:
        name: ``mni152`` (the T1 brain at 1 mm that nilearn ships; nothing is downloaded), the
            path of a NIfTI file, or ``none``.

    Raises:
        VolumeError: if the file cannot be read.

    Example:
        >>> load_template("none") is None
        True
    """
    if name == NO_TEMPLATE:
        return None
    if name == MNI152:
        from nilearn.datasets import load_mni152_template

        image = load_mni152_template(resolution=1)
        data = np.asarray(image.dataobj, dtype=np.float32)
        identity = (MNI152, version("nilearn"))
        return Template(MNI152, data, Grid(data.shape, image.affine), identity)
    scan = read_scan(name)
    return Template(str(scan.path), scan.data, scan.grid, file_identity(scan.path))
