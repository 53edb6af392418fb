"""The agreement of segmentations: region by region, the intersection, and nothing where unsure."""

from __future__ import annotations

import numpy as np
import pytest

from xrano.data.agreement import AGREEMENT, with_agreement
from xrano.data.label_schemes import (
    SCORED_REGIONS,
    check_labels,
    has_region,
    label_scheme,
    region_mask,
)
from xrano.errors import UnknownNameError
from xrano.geometry import Grid
from xrano.scoring.pair_masks import pair_masks

SHAPE = (9, 7, 5)
OBLIQUE = np.array(
    [[1.2, 0.3, 0.0, -4.0], [-0.4, 2.1, 0.2, 7.0], [0.0, -0.3, 3.1, 1.0], [0.0, 0.0, 0.0, 1.0]]
)
GRID = Grid(SHAPE, OBLIQUE)
SCHEMES = (
    *("lumiere-deepbratumia", "lumiere-hdglio", "brats2021", "brats2024", "binary"),
    "1=cavity;7=lesion",
    "5=enhancing;6=oedema;7=cavity;8=necrosis;9=lesion",
)


def labels(seed, scheme):
    rng = np.random.default_rng(seed)
    return rng.choice([0, *label_scheme(scheme)], SHAPE).astype(np.int16)


@pytest.mark.parametrize("one", SCHEMES)
@pytest.mark.parametrize("other", SCHEMES)
def test_each_region_is_the_intersection_where_both_schemes_tell_it(one, other):
    first, second = ((labels(k, s), labels(k + 1, s), s) for k, s in ((0, one), (2, other)))
    prior, current, scheme = with_agreement({"a": first, "b": second})[AGREEMENT]
    told = [r for r in SCORED_REGIONS if has_region(one, r) and has_region(other, r)]
    assert [region for region in SCORED_REGIONS if has_region(scheme, region)] == told
    for scan, agreed in enumerate((prior, current)):
        check_labels(agreed, scheme, "agreement")
        for region in told:
            both = region_mask(first[scan], one, region) & region_mask(second[scan], other, region)
            np.testing.assert_array_equal(region_mask(agreed, scheme, region), both)


def test_three_sources_agree_where_all_do():
    of_all = {
        name: (labels(k, s), None, s)
        for k, (name, s) in enumerate(zip("abc", SCHEMES[:3], strict=True))
    }
    agreed, current, scheme = with_agreement(of_all)[AGREEMENT]
    assert current is None
    assert not has_region(scheme, "core")
    for region in ("whole", "enhancing", "oedema"):
        expected = np.logical_and.reduce([region_mask(a, s, region) for a, _, s in of_all.values()])
        np.testing.assert_array_equal(region_mask(agreed, scheme, region), expected)


def test_a_scan_that_one_source_lacks_has_no_agreement():
    scheme = "binary"
    both = with_agreement(
        {
            "a": (labels(0, scheme), labels(1, scheme), scheme),
            "b": (labels(2, scheme), None, scheme),
        }
    )
    prior, current, _ = both[AGREEMENT]
    assert prior is not None
    assert current is None


def test_it_stands_last_and_the_sources_are_as_they_were():
    given = {
        name: (labels(k, "binary"), labels(k, "binary"), "binary") for k, name in enumerate("ba")
    }
    kept = {name: (prior.copy(), scheme) for name, (prior, _, scheme) in given.items()}
    found = with_agreement(given)
    assert list(found) == ["b", "a", AGREEMENT]
    assert list(given) == ["b", "a"]
    for name, (prior, scheme) in kept.items():
        assert found[name] is given[name]
        np.testing.assert_array_equal(given[name][0], prior)
        assert given[name][2] == scheme


@pytest.mark.parametrize(
    "schemes", [[], ["binary"], ["1=cavity", "binary"]], ids=["none", "one", "nothing in common"]
)
def test_nothing_is_added_where_nothing_can_agree(schemes):
    given = {str(k): (labels(k, s), labels(k, s), s) for k, s in enumerate(schemes)}
    assert with_agreement(given) == given


def test_a_source_of_that_name_is_left_alone():
    given = {name: (labels(0, "binary"), None, "binary") for name in (AGREEMENT, "b", "c")}
    assert with_agreement(given)[AGREEMENT] is given[AGREEMENT]


def test_an_unknown_scheme_is_refused():
    one = (np.zeros(SHAPE, np.int16), None, "binary")
    with pytest.raises(UnknownNameError, match="brats1999"):
        with_agreement({"a": one, "b": (one[0], None, "brats1999")})


def test_scopes_follow_from_the_agreed_masks_of_both_scans():
    first, second = (
        (labels(k, s), labels(k + 1, s), s) for k, s in ((0, SCHEMES[0]), (2, SCHEMES[2]))
    )
    both = with_agreement({"a": first, "b": second})
    case = pair_masks(GRID, np.ones(SHAPE, bool), both, measurable_ml=0.0)
    prior, current = (
        region_mask(first[k], first[2], "core") & region_mask(second[k], second[2], "core")
        for k in (0, 1)
    )
    for scope, expected in (
        ("union", prior | current),
        ("grown", current & ~prior),
        ("shrunk", prior & ~current),
    ):
        np.testing.assert_array_equal(case.masks[AGREEMENT, "core", scope], expected)


def test_a_region_that_one_scheme_lacks_has_a_status_in_the_agreement():
    both = {
        name: (labels(k, s), labels(k, s), s)
        for k, (name, s) in enumerate(zip("ab", SCHEMES[:2], strict=True))
    }
    case = pair_masks(GRID, np.ones(SHAPE, bool), with_agreement(both), measurable_ml=0.0)
    assert case.absent[AGREEMENT, "core", "union"] == "region_not_labelled"
    assert (AGREEMENT, "whole") in case.lesions
