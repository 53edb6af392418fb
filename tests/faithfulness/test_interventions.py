"""Interventions on a linear network, whose every answer is known, and on a hand-made rater."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from linear_pair import (
    BRAIN,
    GONE,
    LAYOUT,
    SCANS,
    SHAPE,
    SPACING,
    WEIGHT,
    Recording,
    logit,
    nothing_else_changed,
    predict,
    worth,
)

from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, GridMismatchError, ModelError, UnknownNameError, VolumeError
from xrano.faithfulness.interventions import (
    elsewhere,
    lesion_erased,
    lesion_only,
    visit_duplicated,
    visits_swapped,
)
from xrano.metrics.translations import BrainBox, Placements

LESION = torch.zeros(SHAPE, dtype=torch.bool)
LESION[3, 2, 1] = LESION[4, 2, 1] = True
CLASSES = ("CR", "PR", "SD")


def grown(mm):
    """By brute force: voxels whose centre lies within mm of a lesion voxel's, in the brain."""
    found = torch.zeros(SHAPE, dtype=torch.bool)
    for voxel in product(*map(range, SHAPE)):
        away = [
            math.dist(np.multiply(voxel, SPACING), np.multiply(one, SPACING))
            for one in LESION.nonzero().tolist()
        ]
        found[voxel] = min(away) <= mm + 1e-6
    return found & BRAIN


@pytest.mark.parametrize("mm", [0.0, 1.0, 2.0, 3.5])
def test_erasing_takes_the_worth_of_the_grown_lesion(mm):
    found = lesion_erased(
        predict, SCANS, LESION, GONE, BRAIN, spacing=SPACING, dilation_mm=mm, infill="blurred"
    )
    for target in range(3):
        assert found.before[target] == pytest.approx(logit(SCANS, target))
        fall = float(worth(target)[grown(mm)].sum())
        assert found.change("logit_change", target) == pytest.approx(-fall)
    assert found.infill == "blurred"
    assert f"{mm:g} mm" in found.setting


def test_keeping_only_the_lesion_takes_the_worth_of_the_rest_of_the_brain():
    found = lesion_only(predict, SCANS, LESION, GONE, BRAIN, spacing=SPACING, dilation_mm=2.0)
    fall = float(worth(1)[BRAIN & ~grown(2.0)].sum())
    assert found.change("logit_change", 1) == pytest.approx(-fall)
    assert found.metric == "lesion_only"


@pytest.mark.parametrize("change", [lesion_erased, lesion_only])
def test_controls_are_the_same_piece_in_other_places(change):
    options = {"spacing": SPACING, "dilation_mm": 0.0, "controls": 4, "seed": 3}
    found = change(predict, SCANS, LESION, GONE, BRAIN, **options)
    places = elsewhere(LESION.numpy(), BRAIN.numpy(), 4, 3)
    assert len(found.controls) == 4
    for logits, place in zip(found.controls, places, strict=True):
        piece = torch.from_numpy(place)
        away = piece if change is lesion_erased else BRAIN & ~piece
        assert logits[1] - found.before[1] == pytest.approx(-float(worth(1)[away].sum()))
    row = found.rows(1, CLASSES)[0]
    assert row["reference"] == pytest.approx(np.mean(found.controls[:, 1]) - found.before[1])
    again = change(predict, SCANS, LESION, GONE, BRAIN, **options)
    np.testing.assert_array_equal(again.controls, found.controls)


def test_other_places_lie_in_the_brain_apart_from_the_lesion_and_every_one_is_drawn():
    lesion, brain = LESION.numpy(), BRAIN.numpy()
    places = Placements(lesion, BrainBox(brain))
    free = {
        places.moved(step).tobytes()
        for step in places.translations
        if not (places.moved(step) & lesion).any()
    }
    drawn = elsewhere(lesion, brain, 1000, 0)
    assert len(drawn) == len(free)
    assert {one.tobytes() for one in drawn} == free
    for one in drawn:
        assert one.sum() == lesion.sum()
        assert not (one & ~brain).any()
    first = {elsewhere(lesion, brain, 1, seed)[0].tobytes() for seed in range(30)}
    assert len(first) > 10


def test_a_lesion_without_another_place_has_no_controls():
    found = lesion_erased(predict, SCANS, BRAIN, GONE, BRAIN, spacing=SPACING)
    assert found.controls.shape == (0, 3)
    assert math.isnan(found.rows(1, CLASSES)[0]["reference"])
    assert found.change("logit_change", 1) == pytest.approx(-float(worth(1)[BRAIN].sum()))


@pytest.mark.parametrize("change", [lesion_erased, lesion_only])
def test_an_empty_lesion_is_undefined(change):
    outside = torch.zeros(SHAPE, dtype=torch.bool)
    outside[0, 0, 0] = True
    assert not BRAIN[0, 0, 0]
    for lesion in (torch.zeros_like(LESION), outside):
        found = change(predict, SCANS, lesion, GONE, BRAIN, spacing=SPACING)
        assert found.status == "empty_mask"
        assert math.isnan(found.change("logit_change", 1))
        assert found.before[1] == pytest.approx(logit(SCANS))


def test_a_swap_exchanges_the_halves_of_the_channels():
    found = visits_swapped(predict, SCANS, LAYOUT)
    assert found.metric == "visit_swap"
    assert found.after[1] == pytest.approx(logit(torch.cat([SCANS[2:], SCANS[:2]])))


@pytest.mark.parametrize(("visit", "half"), [("prior", slice(0, 2)), ("current", slice(2, 4))])
def test_a_doubled_visit_stands_in_both_halves(visit, half):
    found = visit_duplicated(predict, SCANS, LAYOUT, visit)
    assert found.setting == f"{visit} twice"
    assert found.after[1] == pytest.approx(logit(torch.cat([SCANS[half], SCANS[half]])))


# A rater: the sum of one sequence is the burden; logits say CR, PR, SD, PD.


def rater(batch):
    prior, current = batch.flatten(2).sum(dim=2).unbind(dim=1)
    ratio = current / prior.clamp(min=1e-6)
    rules = [current == 0, (ratio <= 0.35) & (current > 0), (ratio > 0.35) & (ratio < 1.4)]
    return torch.stack([*rules, ratio >= 1.4], dim=1).double()


def burdens(prior, current):
    scans = torch.zeros(2, *SHAPE, dtype=torch.float64)
    scans[0, 2, 1, 1], scans[1, 2, 1, 1] = prior, current
    return scans


@pytest.mark.parametrize(
    ("prior", "current", "before", "after"),
    [
        (1.0, 10.0, "PD", "PR"),
        (10.0, 1.0, "PR", "PD"),
        (10.0, 0.0, "CR", "PD"),
        (10.0, 10.0, "SD", "SD"),
        (10.0, 15.0, "PD", "SD"),
    ],
)
def test_a_rater_trades_progression_and_response_when_visits_are_swapped(
    prior, current, before, after
):
    classes, layout = ("CR", "PR", "SD", "PD"), ChannelLayout(("CT1",))
    swap = visits_swapped(rater, burdens(prior, current), layout)
    assert classes[swap.predicted_before] == before
    assert classes[swap.predicted_after] == after
    assert swap.as_ruled(classes) == 1
    for visit in ("prior", "current"):
        twice = visit_duplicated(rater, burdens(prior, current), layout, visit)
        assert classes[twice.predicted_after] in ("SD", "CR")
        assert twice.as_ruled(classes) == 1


def test_nothing_else_is_changed_and_batches_are_as_large_as_asked():
    network = Recording()

    def work():
        options = {"spacing": SPACING, "controls": 3, "dilation_mm": 0.0, "batch": 2}
        lesion_erased(network, SCANS, LESION, GONE, BRAIN, **options)
        visits_swapped(network, SCANS, LAYOUT)
        return visit_duplicated(network, SCANS, LAYOUT, "prior")

    lesion = LESION.clone()
    nothing_else_changed(work)
    assert torch.equal(LESION, lesion)
    assert network.batches == [2, 2, 1, 2, 2]


def test_bad_input_is_refused():
    bad = {"spacing": SPACING}
    with pytest.raises(GridMismatchError, match="lesion"):
        lesion_erased(predict, SCANS, LESION[:-1], GONE, BRAIN, **bad)
    with pytest.raises(ConfigError, match="boolean lesion"):
        lesion_erased(predict, SCANS, LESION.float(), GONE, BRAIN, **bad)
    with pytest.raises(ConfigError, match="dilation -1"):
        lesion_only(predict, SCANS, LESION, GONE, BRAIN, dilation_mm=-1, **bad)
    with pytest.raises(VolumeError, match="infill"):
        lesion_erased(predict, SCANS, LESION, GONE * math.nan, BRAIN, **bad)
    with pytest.raises(ConfigError, match="channels"):
        visits_swapped(predict, SCANS[:3], LAYOUT)
    with pytest.raises(UnknownNameError, match="nadir"):
        visit_duplicated(predict, SCANS, LAYOUT, "nadir")
    with pytest.raises(ModelError, match="finite logits"):
        visits_swapped(lambda batch: predict(batch) * math.nan, SCANS, LAYOUT)
    assert WEIGHT.shape[0] == 3
