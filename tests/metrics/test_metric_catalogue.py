"""The catalogue's table, cell by cell, for every metric of a mask, a place or a map alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from xrano.errors import ConfigError, UnknownNameError
from xrano.geometry import Grid
from xrano.metrics import catalogue
from xrano.metrics.catalogue import (
    MAP_METRICS,
    MASK_METRICS,
    METRICS,
    PLACE_METRICS,
    OverlapStatus,
    check_metrics,
    score_map_alone,
    score_ranked,
)
from xrano.metrics.overlap import score_overlap
from xrano.metrics.ranked import mask_positions, rank_map
from xrano.metrics.thresholds import ranked_threshold_dice

SHAPE = (2, 3, 4)
GRID = Grid(
    SHAPE, np.array([[2.0, 0.3, 0, -9], [-0.3, 3.0, 0.2, 5], [0, -0.2, 4.0, 2], [0, 0, 0, 1]])
)
DOMAIN = np.ones(SHAPE, dtype=bool)
DOMAIN[0, 0, :] = False


def picked(*indices):
    mask = np.zeros(DOMAIN.sum(), dtype=bool)
    mask[list(indices)] = True
    volume = np.zeros(SHAPE, dtype=bool)
    volume[DOMAIN] = mask
    return volume


RISING = np.arange(24, dtype=float).reshape(SHAPE)
ZERO = np.zeros(SHAPE)
UNIFORM = np.full(SHAPE, 0.25)

SITUATIONS = {
    "empty mask": (RISING, picked(), 0, "empty_mask"),
    "below measurable": (RISING, picked(3), 2, "below_measurable"),
    "zero map": (ZERO, picked(3, 4), 2, "zero_map"),
    "full mask": (RISING, DOMAIN, 2, "full_mask"),
    "uniform map": (UNIFORM, picked(3, 4), 2, "ok"),
    "otherwise": (RISING, picked(3, 4), 2, "ok"),
}


def documented_cells():
    """The table in the catalogue's documentation: (metric, column, text)."""
    lines = [line for line in catalogue.__doc__.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    header, _, *body = rows
    return [
        (row[0], column, cell)
        for row in body
        for column, cell in zip(header, row, strict=True)
        if column != "metric"
    ]


def score(name, attribution, mask, least):
    if name in MAP_METRICS:
        return score_map_alone(rank_map(attribution, DOMAIN), metrics=[name])[name]
    if name == "threshold_dice":
        seen = rank_map(attribution, DOMAIN).within(mask_positions(mask, DOMAIN))
        return ranked_threshold_dice(seen, 0.5, least_voxels=least)
    return score_overlap(
        attribution, mask, domain=DOMAIN, metrics=[name], least_voxels=least, grid=GRID
    )[name]


def test_the_table_names_every_metric_and_situation():
    names = [*MASK_METRICS, "threshold_dice", *MAP_METRICS]
    assert {(name, column) for name, column, _ in documented_cells()} == set(
        itertools.product(names, SITUATIONS)
    )


@pytest.mark.parametrize(("name", "column", "cell"), documented_cells())
def test_undefined_is_what_the_table_says(name, column, cell):
    attribution, mask, least, status = SITUATIONS[column]
    found = score(name, attribution, mask, least)
    assert math.isnan(found.value) == (cell == "NaN")
    assert found.status == (status if cell == "NaN" else "ok")
    if cell in ("0", "1"):
        assert found.value == pytest.approx(float(cell), abs=1e-12)
    if cell == "chance":
        assert found.value == pytest.approx(found.chance, rel=1e-12)


def test_the_first_column_that_applies_gives_the_status():
    for name in [*MASK_METRICS, "threshold_dice"]:
        assert score(name, ZERO, picked(), 2).status == "empty_mask"
        assert math.isnan(score(name, ZERO, picked(), 2).chance)
        assert score(name, ZERO, picked(1), 2).status == "below_measurable"
        assert score(name, ZERO, DOMAIN, 0).status == "zero_map"


def test_all_relevance_outside_is_a_zero_map_but_for_the_mass_outside():
    outside = np.where(DOMAIN, 0.0, 2.0)
    found = score_map_alone(rank_map(outside, DOMAIN))
    assert found["outside_brain_mass"].value == 1.0
    assert {found[name].status for name in ("entropy", "gini")} == {"zero_map"}


@pytest.mark.parametrize("name", [*MASK_METRICS, *MAP_METRICS])
def test_every_row_is_complete(name):
    record = {**MASK_METRICS, **MAP_METRICS}[name]
    assert record.definition
    assert record.citation
    assert record.lowest < record.highest
    assert {getattr(record, "unit", "")} <= {"", "mm"}
    assert name.endswith("_mm") == (getattr(record, "unit", "") == "mm")


RANGES = {
    **dict.fromkeys(METRICS, (0.0, 1.0, True)),
    "normalised_average_precision": (-math.inf, 1.0, True),
    "pointing_game_5mm": (0.0, 1.0, True),
    "pointing_game_10mm": (0.0, 1.0, True),
    "peak_distance_mm": (0.0, math.inf, False),
    "centre_distance_mm": (0.0, math.inf, False),
    "entropy": (0.0, 1.0, None),
    "gini": (0.0, 1.0, None),
    "outside_brain_mass": (0.0, 1.0, False),
}


def test_range_and_direction_of_every_metric():
    assert {
        name: (record.lowest, record.highest, record.higher_is_better)
        for name, record in {**MASK_METRICS, **MAP_METRICS}.items()
    } == RANGES


def test_the_words_of_the_statuses():
    assert [str(status) for status in OverlapStatus] == [
        *("ok", "empty_mask", "full_mask", "zero_map", "below_measurable"),
        *("no_segmentation", "region_not_labelled"),
    ]


def test_a_uniform_map_alone_is_what_chance_says():
    for name, found in score_map_alone(rank_map(UNIFORM, DOMAIN)).items():
        assert found.value == pytest.approx(found.chance, abs=1e-12), name


@pytest.mark.parametrize("seed", range(10))
def test_every_score_lies_in_its_range(seed):
    rng = np.random.default_rng(seed)
    attribution, mask = rng.gamma(0.3, size=SHAPE), rng.random(SHAPE) < 0.3
    found = score_overlap(attribution, mask, domain=DOMAIN, grid=GRID)
    found.update(score_map_alone(rank_map(attribution, DOMAIN)))
    assert set(found) == {*MASK_METRICS, *MAP_METRICS}
    for name, one in found.items():
        record = {**MASK_METRICS, **MAP_METRICS}[name]
        assert record.lowest <= one.value <= record.highest, name


def test_without_a_place_there_are_no_distances_and_asking_for_one_is_refused():
    seen = rank_map(RISING, DOMAIN).within(mask_positions(picked(3), DOMAIN))
    assert list(score_ranked(seen)) == list(METRICS)
    nothing = rank_map(RISING, DOMAIN).within(mask_positions(picked(), DOMAIN))
    for name in PLACE_METRICS:
        for mask in (seen, nothing):
            with pytest.raises(ConfigError, match="MaskPlace"):
                score_ranked(mask, metrics=[name])


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="peak_distance_mm"):
        score_overlap(RISING, picked(1), domain=DOMAIN, metrics=["peak_distance"])
    with pytest.raises(UnknownNameError, match="gini"):
        score_map_alone(rank_map(RISING, DOMAIN), metrics=["auroc"])


# -- the map alone, against definitions ----------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_entropy_gini_and_outside_mass_equal_their_definitions(seed):
    rng = np.random.default_rng(seed)
    attribution = np.floor(rng.gamma(0.5, size=SHAPE) * 4)
    values = attribution[DOMAIN].tolist()
    found = score_map_alone(rank_map(attribution, DOMAIN))
    shares = [v / sum(values) for v in values if v]
    entropy = -sum(s * math.log(s) for s in shares) / math.log(len(values))
    differences = sum(abs(a - b) for a in values for b in values)
    gini = differences / (2 * len(values) * sum(values))
    assert found["entropy"].value == pytest.approx(entropy, abs=1e-12)
    assert found["gini"].value == pytest.approx(gini, abs=1e-12)
    outside = attribution[~DOMAIN].sum() / attribution.sum()
    assert found["outside_brain_mass"].value == pytest.approx(outside, abs=1e-12)


def test_no_names_are_the_metrics_scored_by_default():
    assert check_metrics(None) == tuple(METRICS)
    assert check_metrics(["auroc"]) == ("auroc",)


def test_the_top_is_a_twentieth_of_the_brain_unless_told():
    brain = np.ones((10, 10, 1), dtype=bool)
    mask = np.zeros_like(brain)
    mask[0] = True
    # The five strongest lie in the mask, the next five do not.
    strongest = np.concatenate(
        [np.arange(100, 95, -1), np.arange(90, 85, -1), np.arange(95, 90, -1)]
    )
    attribution = np.concatenate([strongest, np.arange(85, 0, -1)]).reshape(brain.shape)
    found = score_overlap(attribution.astype(float), mask, domain=brain)
    assert found["top_k_intersection"].value == 1.0


def test_as_much_outside_as_inside_is_a_half():
    # One voxel of 1 within and one without: equal to the last bit.
    half = np.zeros(DOMAIN.shape)
    half[tuple(np.argwhere(DOMAIN)[0])] = half[tuple(np.argwhere(~DOMAIN)[0])] = 1.0
    found = score_map_alone(rank_map(half, DOMAIN))["outside_brain_mass"]
    assert found.status == "ok"
    assert found.value == 0.5


def test_entropy_of_one_and_of_two_voxels_and_of_any_number_alike():
    for n in range(1, 300):
        uniform = np.full((n, 1, 1), 0.1)
        found = score_map_alone(rank_map(uniform, uniform > 0), metrics=["entropy"])["entropy"]
        assert found.value == pytest.approx(1.0, abs=1e-12)
        assert found.value <= 1.0
    pair = np.array([3.0, 1.0]).reshape(2, 1, 1)
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    found = score_map_alone(rank_map(pair, pair > 0))["entropy"]
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_one_voxel_of_relevance_is_as_concentrated_as_can_be():
    found = score_map_alone(rank_map(picked(5).astype(float), DOMAIN))
    n = DOMAIN.sum()
    assert found["entropy"].value == 0.0
    assert found["gini"].value == pytest.approx((n - 1) / n)
    assert found["outside_brain_mass"].value == 0.0
