from __future__ import annotations

import numpy as np
import pytest

from xrano.data.regions import SCOPES, pair_region
from xrano.errors import GridMismatchError, UnknownNameError

# prior and current of the four voxels: neither, prior only, current only, both
PRIOR = np.array([False, True, False, True]).reshape(1, 2, 2)
CURRENT = np.array([False, False, True, True]).reshape(1, 2, 2)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("prior", [1, 3]),
        ("current", [2, 3]),
        ("union", [1, 2, 3]),
        ("grown", [2]),
        ("shrunk", [1]),
    ],
)
def test_truth_table(scope: str, expected: list[int]) -> None:
    mask = pair_region(PRIOR, CURRENT, scope)
    assert mask.dtype == np.bool_
    assert np.flatnonzero(mask).tolist() == expected


def test_the_result_is_a_new_array() -> None:
    prior, current = PRIOR.copy(), CURRENT.copy()
    for scope in SCOPES:
        pair_region(prior, current, scope)[...] = True
    assert np.array_equal(prior, PRIOR)
    assert np.array_equal(current, CURRENT)


def test_refusals() -> None:
    with pytest.raises(GridMismatchError, match=r"\(1, 2, 2\).*\(2, 2, 1\)"):
        pair_region(PRIOR, CURRENT.reshape(2, 2, 1), "union")
    with pytest.raises(UnknownNameError, match="did you mean 'shrunk'"):
        pair_region(PRIOR, CURRENT, "shrunken")
