from __future__ import annotations

import numpy as np
import pytest

from xrano.errors import GridMismatchError, VolumeError
from xrano.metrics.checks import check_mask, mask_positions

DOMAIN = np.ones((2, 3, 4), dtype=bool)


def test_a_mask_is_named_in_the_complaint():
    with pytest.raises(GridMismatchError, match=r"^the mask has shape \(1, 3, 4\), needed is \(2"):
        mask_positions(DOMAIN[:1], DOMAIN)
    with pytest.raises(VolumeError, match="^the rim must be boolean, got dtype int64"):
        check_mask(DOMAIN.astype(np.int64), DOMAIN.shape, name="rim")


def test_positions_count_the_voxels_of_the_domain_alone():
    rng = np.random.default_rng(0)
    domain, mask = rng.random((2, *DOMAIN.shape)) < 0.5
    order = [index for index in np.ndindex(*DOMAIN.shape) if domain[index]]
    expected = [place for place, index in enumerate(order) if mask[index]]
    assert mask_positions(mask, domain).tolist() == expected
