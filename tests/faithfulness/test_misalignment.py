"""Motions of the current scan in world space, and what maps and answers do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, UnknownNameError
from xrano.faithfulness.agreement import map_agreement, relevance_in_brain
from xrano.faithfulness.misalignment import misalignment, misalignment_rows
from xrano.faithfulness.motions import (
    DIRECTIONS,
    Motion,
    brain_centre,
    motions,
    move_current,
    move_map,
)
from xrano.geometry import Grid
from xrano.maps import AttributionMap

LAYOUT = ChannelLayout(("T1", "FLAIR"))
OBLIQUE = np.array(
    [[1.9, 0.3, -0.2, 5.0], [-0.4, 2.7, 0.1, -8.0], [0.2, -0.1, 1.5, 2.0], [0.0, 0.0, 0.0, 1.0]]
)
GRID = Grid((28, 20, 34), OBLIQUE)
PLACES = GRID.world(np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1))
CENTRE = GRID.world((14.0, 10.0, 17.0))
BRAIN = np.linalg.norm(PLACES - CENTRE, axis=-1) < 15


def blob(place):
    """A smooth ball about a place in world mm."""
    return np.exp(-0.5 * (np.linalg.norm(PLACES - place, axis=-1) / 4) ** 2)


def pair(*places):
    return np.stack([blob(place) for place in places]).astype(np.float32)


def centre_of(volume):
    return GRID.world(np.array(ndimage.center_of_mass(volume)))


SCANS = pair(*[CENTRE + np.array(step) for step in ((0, 3, 0), (1, 0, 2), (4, 0, -3), (-3, 2, 3))])


def test_directions_are_evenly_spread_units_off_the_axes():
    np.testing.assert_allclose(
        DIRECTIONS @ DIRECTIONS.T, np.full((4, 4), -1 / 3) + np.eye(4) * 4 / 3
    )
    np.testing.assert_allclose(DIRECTIONS.sum(axis=0), 0, atol=1e-12)
    found = motions((1.0, 3.0), directions=2)
    assert [one.label for one in found] == ["1 mm", "1 mm", "3 mm", "3 mm", "1°", "1°", "3°", "3°"]
    assert motions() == motions()


def test_a_shift_moves_what_is_seen_by_as_many_world_millimetres():
    motion = Motion("shift", 3.0, tuple(DIRECTIONS[1]))
    moved = move_current(SCANS, LAYOUT, GRID, motion.matrix(CENTRE))
    np.testing.assert_array_equal(moved[:2], SCANS[:2])
    for before, after in zip(SCANS[2:], moved[2:], strict=True):
        step = centre_of(after) - centre_of(before)
        np.testing.assert_allclose(step, 3.0 * DIRECTIONS[1], atol=0.05)


def test_a_turn_is_rigid_about_the_centre_of_the_brain():
    motion = Motion("turn", 30.0, (0.0, 0.0, 1.0))
    centre = brain_centre(BRAIN, GRID)
    np.testing.assert_allclose(centre, CENTRE, atol=0.3)
    matrix = motion.matrix(centre)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(matrix @ [*centre, 1], [*centre, 1])
    moved = move_current(SCANS, LAYOUT, GRID, matrix)
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    for before, after in zip(SCANS[2:], moved[2:], strict=True):
        expected = centre + turn @ (centre_of(before) - centre)
        np.testing.assert_allclose(centre_of(after), expected, atol=0.15)


def test_there_and_back_is_blurred_and_in_place():
    matrix = Motion("shift", 1.0, tuple(DIRECTIONS[0])).matrix(CENTRE)
    back = move_current(SCANS, LAYOUT, GRID, matrix, np.linalg.inv(matrix))
    np.testing.assert_allclose(centre_of(back[2]), centre_of(SCANS[2]), atol=0.02)
    assert back[2].max() < SCANS[2].max()


def as_map(data):
    return AttributionMap(data.astype(np.float32), GRID, LAYOUT.names)


def test_a_map_goes_along_in_its_current_channels_alone():
    matrix = Motion("shift", 2.0, tuple(DIRECTIONS[2])).matrix(CENTRE)
    moved = move_map(as_map(SCANS), LAYOUT, matrix)
    np.testing.assert_array_equal(moved.data, move_current(SCANS, LAYOUT, GRID, matrix))
    merged = move_map(AttributionMap(SCANS[:1], GRID, ("all",)), LAYOUT, matrix)
    step = centre_of(merged.data[0]) - centre_of(SCANS[0])
    np.testing.assert_allclose(step, 2 * DIRECTIONS[2], atol=0.05)


# Of a network that shows the scans, of one whose map never moves, and of its logits.


def explain(scans):
    still = as_map(np.stack([blob(CENTRE)] * 4))
    logits = np.array([float(scans[:2].sum()), float(np.abs(scans[2:] - SCANS[2:]).sum())])
    return logits, {"scans": as_map(scans), "still": still}


def test_maps_are_held_to_the_unmoved_one_and_to_that_moved_alike():
    before = SCANS.copy()
    among = motions((1.0, 3.0), directions=2)
    logits, found = misalignment(explain, SCANS, LAYOUT, GRID, BRAIN, among=among)
    np.testing.assert_array_equal(SCANS, before)
    assert [one.motion for one in found] == list(among)
    own = relevance_in_brain(as_map(SCANS), GRID, BRAIN)
    for one in found:
        matrix = one.motion.matrix(brain_centre(BRAIN, GRID))
        moved = relevance_in_brain(as_map(move_current(SCANS, LAYOUT, GRID, matrix)), GRID, BRAIN)
        assert one.unmoved["scans"] == map_agreement(own, moved)
        assert one.unmoved["scans"].rank_correlation < one.back["scans"].rank_correlation
        assert one.moved_alike["scans"].rank_correlation == pytest.approx(1)
        assert one.unmoved["still"].rank_correlation == pytest.approx(1)
        assert one.moved_alike["still"].rank_correlation < 1
    rows = misalignment_rows(logits, found, target=1)
    assert set(rows) == {"", "scans", "still"}
    unmoved = [row for row in rows["scans"] if row["quantity"] == "rank_correlation"]
    assert [row["setting"] for row in unmoved] == ["1 mm", "3 mm", "1°", "3°"]
    assert unmoved[0]["value"] > unmoved[1]["value"]
    pair_of = [one.unmoved["scans"].rank_correlation for one in found[:2]]
    assert unmoved[0]["value"] == pytest.approx(np.mean(pair_of))
    back = [one.back["scans"].rank_correlation for one in found[:2]]
    assert unmoved[0]["reference"] == pytest.approx(np.mean(back))


def test_the_answer_s_change_is_absolute_and_beside_moving_there_and_back():
    logits, found = misalignment(explain, SCANS, LAYOUT, GRID, BRAIN, among=motions((2.0,), 2))
    rows = misalignment_rows(logits, found, target=1)[""]
    change = next(row for row in rows if row["quantity"] == "absolute_logit_change")
    assert change["setting"] == "2 mm"
    expected = [abs(one.logits[1] - logits[1]) for one in found if one.motion.kind == "shift"]
    assert change["value"] == pytest.approx(np.mean(expected))
    assert 0 < change["reference"] < change["value"]
    answers = [row for row in rows if row["quantity"] == "answer_changed"]
    assert [row["value"] for row in answers] == [
        np.mean([one.logits.argmax() != 0 for one in found if one.motion.kind == kind])
        for kind in ("shift", "turn")
    ]


def test_bad_input_is_refused():
    with pytest.raises(UnknownNameError, match="'shear'"):
        Motion("shear", 1.0, (1.0, 0.0, 0.0))
    for sizes, directions in (((), 2), ((0.0,), 2), ((1.0,), 0), ((1.0,), 5)):
        with pytest.raises(ConfigError, match="motions need sizes"):
            motions(sizes, directions)
