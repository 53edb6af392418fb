"""Phantom patients in memory: anatomy, lesions, courses, and the look of the scans."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest

from xrano.data.phantom import PhantomSettings, patients, phantom_patient
from xrano.data.phantom.anatomy import (
    atlas_grid,
    draw_anatomy,
    draw_misalignment,
    load_template,
    rigid,
)
from xrano.data.phantom.course import Standing, draw_response, draw_volume, open_intervals
from xrano.data.phantom.lesions import LesionSite, visit_field
from xrano.errors import ConfigError, UnknownNameError
from xrano.rano import Response, Role, rate, rate_course

LUMIERE_AFFINE = [[-1, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]]


def test_the_grid_at_1_mm_is_lumieres():
    grid = atlas_grid(1.0)
    assert grid.shape == (182, 218, 182)
    assert np.array_equal(grid.affine, LUMIERE_AFFINE)


@pytest.mark.parametrize("spacing_mm", [1.0, 1.5, 2.0, 3.0, 4.0, 5.0])
def test_grids_of_every_spacing_share_their_first_corner_and_cover_the_field(spacing_mm):
    grid = atlas_grid(spacing_mm)
    assert np.allclose(grid.world([-0.5, -0.5, -0.5]), [90.5, -126.5, -72.5])
    last = grid.world(np.array(grid.shape) - 0.5)
    overhang = (last - [-91.5, 91.5, 109.5]) * [-1, 1, 1]
    assert (overhang >= -1e-9).all()
    assert (overhang < spacing_mm).all()


def test_two_brains_differ_and_a_pose_moves_one_rigidly():
    template, grid = load_template(4.0), atlas_grid(4.0)
    one, two = (draw_anatomy(np.random.default_rng(seed)) for seed in (1, 2))
    scans = [anatomy.scan(template, grid, np.eye(4)) for anatomy in (one, two)]
    dice = 2 * (scans[0].mask & scans[1].mask).sum() / sum(scan.mask.sum() for scan in scans)
    assert 0.8 < dice < 0.97
    pose = rigid(np.zeros(3), np.array([8.0, -4.0, 4.0]))
    moved = one.scan(template, grid, pose)
    # patient = scan + shift: at i one further to the left (x - 4 mm) lies what was one right.
    fixed = scans[0].fill(scans[0].tissues[0])
    assert np.allclose(
        moved.fill(moved.tissues[0])[6:-6, 6:-6, 6:-6],
        np.roll(fixed, (2, 1, -1), axis=(0, 1, 2))[6:-6, 6:-6, 6:-6],
        atol=1e-4,
    )


def test_the_shortcut_around_the_brain_loses_nothing():
    settings = PhantomSettings(spacing_mm=4.0, misalignment_mm=2.0)
    for number in range(1, 6):
        patient = patients._Patient(settings, number)
        pose = draw_misalignment(np.random.default_rng(number), 2.0)
        full = patient.anatomy.scan(patient.template, patient.grid, pose)
        short = patient.anatomy.scan(patient.template, patient.grid, pose, patient.surroundings)
        assert np.array_equal(full.mask, short.mask)
        assert np.array_equal(full.tissues, short.tissues)


def test_misalignment_has_the_size_asked_for():
    rng = np.random.default_rng(0)
    centre = np.array([0.0, -18.0, 8.0, 1.0])
    shifts = [(draw_misalignment(rng, 1.5) @ centre - centre)[:3] for _ in range(2000)]
    assert np.sqrt(np.mean(np.sum(np.square(shifts), axis=1))) == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize("wanted_ml", [0.8, 3.0, 11.0, 30.0])
def test_a_round_lesion_has_the_volume_of_a_shell(wanted_ml):
    """Without bends and tissue the radius follows from geometry: 4/3 π (r³ − (r − rim)³)."""
    anatomy = draw_anatomy(np.random.default_rng(0))
    brain = anatomy.scan(load_template(1.5), atlas_grid(1.5), np.eye(4))
    brain.tissues[:] = np.array([[1.0], [0.0], [0.0]])
    site = LesionSite(
        np.array([25.0, -20.0, 20.0]), np.eye(3), np.zeros((1, 3)), np.zeros(1), np.zeros(1),
        rim_mm=6.0, oedema_mm=9.0,
    )  # fmt: skip
    radius, counted = visit_field(brain, [site], []).solve(site, 0, wanted_ml)
    shell = 4 / 3 * np.pi * (radius**3 - max(radius - 6.0, 0.0) ** 3) / 1000.0
    assert counted == pytest.approx(wanted_ml, abs=brain.grid.voxel_ml * 60)
    assert shell == pytest.approx(wanted_ml, rel=0.03, abs=0.03)


@pytest.mark.parametrize(("hemisphere", "sign"), [("left", -1), ("right", 1)])
def test_lesions_arise_in_the_hemisphere_asked_for(hemisphere, sign):
    settings = PhantomSettings(hemisphere=hemisphere, visits=(2, 2), seed=3)
    for number in range(1, 4):
        for session in phantom_patient(settings, number):
            core = np.argwhere((session.labels == 1) | (session.labels == 2))
            if len(core):
                x = session.grid.world(core)[:, 0]
                assert np.sign(x.mean()) == sign
                assert np.mean(np.sign(x) == sign) > 0.9


def test_sequences_look_as_in_life():
    """Medians over many sessions, each against its own white matter."""
    anatomy_contrast: dict[str, list[list[float]]] = {"T1": [], "CT1": [], "T2": [], "FLAIR": []}
    for number in range(1, 5):
        for session in phantom_patient(PhantomSettings(seed=8, visits=(2, 2)), number):
            masks = [session.labels == label for label in (1, 2, 3)]
            if min(mask.sum() for mask in masks) < 20:
                continue
            healthy = session.brain & (session.labels == 0)
            ct1 = session.images["CT1"]
            white = healthy & (ct1 > np.percentile(ct1[healthy], 60))
            for sequence, scan in session.images.items():
                tissue = [np.median(scan[mask]) for mask in masks]
                anatomy_contrast[sequence].append(tissue / np.median(scan[white]))
    medians = {name: np.median(rows, axis=0) for name, rows in anatomy_contrast.items()}
    rim, core, oedema = 0, 1, 2
    assert medians["CT1"][rim] > 1.3
    assert medians["T1"][rim] < 0.95
    assert medians["CT1"][core] < 0.7
    assert medians["T1"][core] < 0.7
    assert medians["T2"][core] > 1.5
    assert medians["FLAIR"][oedema] > 1.3
    assert medians["T2"][oedema] > 1.3
    assert 0.7 < medians["T1"][oedema] < 1.0


@pytest.mark.parametrize("reference", ["previous", "rano"])
@pytest.mark.parametrize("margin", [0.0, 0.15, 0.3])
def test_volumes_of_an_open_interval_get_that_response(reference, margin):
    settings = PhantomSettings(margin=margin, reference=reference)
    rng = np.random.default_rng(0)
    seen: Counter[Response] = Counter()
    for _ in range(400):
        baseline = float(rng.choice([0.0, rng.uniform(0.7, 35.0)]))
        nadir = baseline if reference == "previous" else baseline * float(rng.choice([0.0, 0.3, 1]))
        opened = open_intervals(settings, Standing(baseline, nadir))
        for response, interval in opened.items():
            volume = draw_volume(rng, interval)
            assert rate(volume, rano_baseline=baseline, nadir=nadir) == response
            seen[response] += 1
        assert draw_response(rng, settings, opened, Counter()) in opened
    assert set(seen) == set(Response)


def courses(settings: PhantomSettings, count: int) -> list[list[patients.PhantomSession]]:
    """Patients without images, which take most of the time."""
    with mock.patch.object(patients, "render", return_value={}):
        return [list(phantom_patient(settings, number)) for number in range(1, count + 1)]


def rated(course: list[patients.PhantomSession]) -> list[patients.PhantomSession]:
    return [session for session in course if session.rating is not None]


@pytest.fixture(scope="module")
def balanced():
    return courses(PhantomSettings(seed=21), 60)


def test_classes_are_near_balanced(balanced):
    count = Counter(session.rating for course in balanced for session in rated(course))
    total = sum(count.values())
    assert total >= 240
    assert all(0.18 <= count[response] / total <= 0.32 for response in Response), count


def test_gaps_do_not_tell_the_response(balanced):
    gaps: dict[Response, list[int]] = {response: [] for response in Response}
    for course in balanced:
        for prior, current in pairwise(course):
            if current.rating is not None:
                gaps[current.rating].append(current.week - prior.week)
    means = [np.mean(values) for values in gaps.values()]
    assert max(means) - min(means) < 1.6, "weeks; the standard error of a difference is 0.4"


def test_courses_hold_what_a_cohort_needs(balanced):
    sessions = [session for course in balanced for session in course]
    roles = Counter(session.role for session in sessions)
    assert roles[Role.PREOP] > 20
    assert roles[Role.POSTOP] > 62, "some patients are operated twice"
    assert any(session.new_lesion for session in sessions)
    zero_then = Counter(
        current.rating
        for course in balanced
        for prior, current in pairwise(course)
        if prior.volumes_ml[0] == 0.0 and current.rating is not None
    )
    assert zero_then[Response.PD] > zero_then[Response.SD] > 0
    for course in balanced:
        names = [(session.week, session.session_id) for session in course]
        assert names == sorted(names)
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("mix", ["balanced", "lumiere"])
def test_against_baseline_and_nadir_the_rule_holds_too(mix):
    settings = PhantomSettings(reference="rano", mix=mix, visits=(5, 5), seed=4)
    different = 0
    for course in courses(settings, 12):
        burdens = [session.volumes_ml[0] for session in course]
        surgery = [session.surgery for session in course]
        new = [session.new_lesion for session in course]
        told = [session.rating for session in course]
        for reference in ("rano", "previous"):
            by_rule = rate_course(burdens, surgery=surgery, new_lesions=new, reference=reference)
            pairs = [(a, b) for a, b in zip(told, by_rule, strict=True) if a is not None]
            if reference == "rano":
                assert all(a == b for a, b in pairs)
            else:
                different += sum(a != b for a, b in pairs)
    assert different > 0, "a pair alone must not be able to tell every rating"


def test_lumieres_mix_is_mostly_progression():
    course = courses(PhantomSettings(mix="lumiere", seed=2), 25)
    count = Counter(session.rating for sessions in course for session in rated(sessions))
    total = sum(count.values())
    assert 0.55 < count[Response.PD] / total < 0.73
    assert count[Response.SD] > count[Response.CR] + count[Response.PR]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patients": 0}, "patients"),
        ({"visits": (3, 2)}, "visits"),
        ({"spacing_mm": 0.5}, "spacing_mm"),
        ({"spacing_mm": float("nan")}, "spacing_mm"),
        ({"margin": 0.9}, "margin"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        PhantomSettings(**changes)


@pytest.mark.parametrize("name", ["mix", "reference", "hemisphere"])
def test_unknown_names_list_the_choices(name):
    with pytest.raises(UnknownNameError, match="choose from"):
        PhantomSettings(**{name: "nothing"})
