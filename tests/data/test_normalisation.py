from __future__ import annotations

import numpy as np
import pytest

from xrano.data.normalisation import (
    HEALTHY,
    LEAST_VOXELS,
    NORMALISATIONS,
    TOO_SMALL,
    WITHOUT_SEGMENTATION,
    SequenceStatistics,
    healthy_region,
    normalise,
    pair_statistics,
)
from xrano.errors import GridMismatchError, UnknownNameError, VolumeError

SHAPE = (16, 21, 12)
SPACING = (2.0, 1.5, 4.0)


def brains() -> tuple[np.ndarray, np.ndarray]:
    prior = np.zeros(SHAPE, dtype=bool)
    prior[1:14, 2:20, 1:11] = True
    current = np.zeros(SHAPE, dtype=bool)
    current[2:15, 1:19, 1:12] = True
    return prior, current


def lesions() -> tuple[np.ndarray, np.ndarray]:
    prior, current = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    prior[4, 5, 3] = True
    current[10, 14, 8] = True
    return prior, current


def brute_force_region(margin_mm: float) -> np.ndarray:
    lesion_a, lesion_b = lesions()
    points = np.argwhere(lesion_a | lesion_b) * np.array(SPACING)
    region = np.logical_and(*brains())
    for index in np.argwhere(region):
        if np.linalg.norm(points - index * np.array(SPACING), axis=1).min() <= margin_mm:
            region[tuple(index)] = False
    return region


@pytest.mark.parametrize("margin_mm", [0.0, 3.0, 7.3])
def test_healthy_region_is_both_brains_far_from_either_lesion(margin_mm):
    found = healthy_region(*brains(), *lesions(), SPACING, margin_mm)
    assert np.array_equal(found.mask, brute_force_region(margin_mm))
    assert found.description == HEALTHY
    assert not found.is_fallback


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 1)])
def test_without_a_segmentation_the_common_brain_stands_in_and_says_so(missing):
    masks = [None if index in missing else mask for index, mask in enumerate(lesions())]
    found = healthy_region(*brains(), *masks, SPACING)
    assert np.array_equal(found.mask, np.logical_and(*brains()))
    assert found.description == WITHOUT_SEGMENTATION
    assert found.is_fallback


def test_an_empty_segmentation_is_not_a_missing_one():
    empty = np.zeros(SHAPE, dtype=bool)
    found = healthy_region(*brains(), empty, empty, SPACING)
    assert found.description == HEALTHY
    assert np.array_equal(found.mask, np.logical_and(*brains()))


def test_too_little_tissue_falls_back_and_says_so():
    found = healthy_region(*brains(), *lesions(), SPACING, margin_mm=100.0)
    assert found.description == TOO_SMALL
    assert found.mask.sum() > LEAST_VOXELS


def test_region_refuses_other_shapes_and_disjoint_brains():
    prior, current = brains()
    with pytest.raises(GridMismatchError, match="current lesion"):
        healthy_region(prior, current, lesions()[0], np.zeros((3, 4, 5), bool), SPACING)
    with pytest.raises(VolumeError, match="no voxel in common"):
        healthy_region(prior, ~prior & False, *lesions(), SPACING)


def scans(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "T1": rng.gamma(9.0, 40.0, SHAPE).astype(np.float32),
        "FLAIR": rng.normal(900.0, 70.0, SHAPE).astype(np.float16),
    }


def measured(normalisation: str, **changes):
    arguments = {"prior": scans(1), "current": scans(2), **changes}
    return pair_statistics(
        arguments["prior"],
        arguments["current"],
        *brains(),
        *lesions(),
        SPACING,
        normalisation=normalisation,
        margin_mm=7.3,
    )


def test_healthy_statistics_are_those_of_the_common_region():
    found, region = measured("healthy"), brute_force_region(7.3)
    for volumes, statistics in ((scans(1), found.prior), (scans(2), found.current)):
        for sequence, volume in volumes.items():
            values = volume[region].astype(np.float64)
            assert statistics[sequence].mean == pytest.approx(values.mean(), rel=1e-12)
            assert statistics[sequence].sd == pytest.approx(values.std(), rel=1e-12)
    assert found.voxels == region.sum()
    assert found.region == HEALTHY


@pytest.mark.parametrize(
    ("normalisation", "sees_tumour"),
    [("healthy", False), ("brain", True), ("paper", True)],
)
def test_only_healthy_tissue_ignores_the_tumour(normalisation, sees_tumour):
    bright = scans(2)
    bright["T1"][lesions()[1]] *= 40.0
    before = measured(normalisation).current["T1"]
    after = measured(normalisation, current=bright).current["T1"]
    assert (after != before) == sees_tumour


def test_brain_and_volume_statistics():
    prior, _ = brains()
    volume = scans(1)["T1"].astype(np.float64)
    brain, whole = measured("brain").prior["T1"], measured("paper").prior["T1"]
    assert brain.mean == pytest.approx(volume[prior].mean(), rel=1e-12)
    assert brain.sd == pytest.approx(volume[prior].std(), rel=1e-12)
    assert whole.mean == pytest.approx(volume.mean(), rel=1e-12)
    assert whole.sd == pytest.approx(volume.std(), rel=1e-12)


def test_white_matter_peak_is_the_commonest_intensity():
    rng = np.random.default_rng(0)
    volume = np.where(rng.random(SHAPE) < 0.6, 800.0, 500.0) + rng.normal(0.0, 20.0, SHAPE)
    found = measured("wm-peak", prior={"T1": volume}).prior["T1"]
    assert found.mean == pytest.approx(800.0, abs=10.0)
    assert found.sd == found.mean


@pytest.mark.parametrize("normalisation", sorted(NORMALISATIONS))
def test_gain_and_shift_of_a_scan_do_not_matter(normalisation):
    shift = 0.0 if normalisation == "wm-peak" else 300.0
    scaled = {name: 3.0 * volume.astype(np.float64) + shift for name, volume in scans(2).items()}
    plain, other = measured(normalisation), measured(normalisation, current=scaled)
    brain = brains()[1]
    for sequence, volume in scans(2).items():
        wanted = normalise(volume, plain.current[sequence], brain)
        got = normalise(scaled[sequence], other.current[sequence], brain)
        assert np.abs(got - wanted).max() < 2e-5


def test_normalised_healthy_tissue_has_mean_zero_and_unit_spread():
    found, region = measured("healthy"), brute_force_region(7.3)
    scaled = normalise(scans(1)["T1"], found.prior["T1"], brains()[0])
    assert scaled.dtype == np.float32
    assert scaled[region].mean() == pytest.approx(0.0, abs=1e-5)
    assert scaled[region].std() == pytest.approx(1.0, abs=1e-5)
    assert not scaled[~brains()[0]].any()


@pytest.mark.parametrize("normalisation", sorted(NORMALISATIONS))
@pytest.mark.parametrize("value", [0.0, 0.1, 7.0, np.nan, np.inf])
def test_a_scan_that_cannot_be_measured_is_refused_by_name(normalisation, value):
    flat = {"T1": np.full(SHAPE, value, dtype=np.float32)}
    with pytest.raises(VolumeError, match="current T1"):
        measured(normalisation, prior={"T1": scans(1)["T1"]}, current=flat)


def test_unknown_normalisation_and_wrong_shapes():
    with pytest.raises(UnknownNameError, match="healthy"):
        measured("healthi")
    with pytest.raises(GridMismatchError, match="prior T1"):
        measured("brain", prior={"T1": np.ones((4, 5, 6))})
    with pytest.raises(GridMismatchError):
        normalise(np.ones((2, 3, 4)), SequenceStatistics(0.0, 1.0), np.ones((2, 3, 5), bool))
    with pytest.raises(VolumeError):
        normalise(np.ones((2, 3, 4)), SequenceStatistics(0.0, 0.0), np.ones((2, 3, 4), bool))
