"""Names for the arrays that pass between the floors; axes i, j, k are voxel axes in RAS+."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Volume: TypeAlias = NDArray[np.floating[Any]]
"""(i, j, k) one image or one non-negative map; float32 on disk, any float in memory."""

Mask: TypeAlias = NDArray[np.bool_]
"""(i, j, k) boolean: one region of one segmentation, or the brain."""

Labels: TypeAlias = NDArray[np.integer[Any]]
"""(i, j, k) integer labels of one segmentation."""

Affine: TypeAlias = NDArray[np.float64]
"""(4, 4) voxel index to world millimetres, RAS+ world as in NIfTI."""
