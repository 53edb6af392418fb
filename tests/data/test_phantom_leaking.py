"""The phantom built to leak: a private texture, repeated ratings, and nothing else changed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest

from xrano.data.phantom import PhantomSession, PhantomSettings, patients, phantom_patient
from xrano.data.phantom.cohort import LATER_SETTINGS, write_phantom
from xrano.data.phantom.leaking import LEAKING, leaking_settings
from xrano.data.phantom.repeats import own_response
from xrano.data.phantom.texture import BAND_MM, draw_texture
from xrano.errors import ConfigError
from xrano.rano import Response, Role, rate_course

# Written down before there were textures and repeats: session, rating, enhancing voxels, brain
# voxels, sum of CT1.
AS_BEFORE = [
    ("week-000-1", None, 73, 9054, 5427589),
    ("week-000-2", None, 30, 9061, 2742300),
    ("week-015", "PD", 96, 9038, 3148825),
    ("week-031-1", None, 108, 9037, 3253476),
    ("week-031-2", None, 81, 9022, 3313063),
    ("week-045", "SD", 65, 9056, 3284822),
    ("week-064", "PR", 15, 9033, 3103924),
]


def test_without_texture_and_repeats_the_phantom_is_what_it_was():
    settings = PhantomSettings(patients=1, visits=(3, 3), spacing_mm=6.0, seed=77)
    found = [
        (
            session.session_id,
            session.rating,
            int((session.labels == 1).sum()),
            int(session.brain.sum()),
            float(session.images["CT1"].sum(dtype=np.float64)),
        )
        for session in phantom_patient(settings, 1)
    ]
    assert [row[:4] for row in found] == [row[:4] for row in AS_BEFORE]
    # Intensities are rounded: another build of numpy may round some voxels the other way.
    assert [row[4] for row in found] == pytest.approx([row[4] for row in AS_BEFORE], abs=20)


def sessions(number: int = 1, **changes: float) -> list[PhantomSession]:
    settings = PhantomSettings(
        visits=(2, 2), spacing_mm=6.0, seed=12, noise=0.0, bias=0.0, gain=0.0, **changes
    )
    return list(phantom_patient(settings, number))


def log_factors(textured: PhantomSession, plain: PhantomSession, sequence: str) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(textured.images[sequence] / plain.images[sequence])[plain.brain]


def test_a_texture_changes_intensities_and_nothing_else():
    for plain, textured in zip(sessions(), sessions(texture=0.2), strict=True):
        for item in fields(PhantomSession):
            if item.name not in ("images", "labels", "brain", "grid"):
                assert getattr(plain, item.name) == getattr(textured, item.name)
        assert np.array_equal(plain.labels, textured.labels)
        assert np.array_equal(plain.brain, textured.brain)
        assert np.std(log_factors(textured, plain, "T1")) == pytest.approx(0.2, rel=0.1)


def test_a_texture_is_the_same_at_all_visits_and_in_all_sequences():
    plain, textured = (sessions(misalignment_mm=0.0, texture=size) for size in (0.0, 0.2))
    first = log_factors(textured[0], plain[0], "T1")
    for before, after in zip(plain, textured, strict=True):
        for sequence in ("T1", "CT1", "T2", "FLAIR"):
            # Scans hold whole numbers, from some hundred up to a thousand.
            assert log_factors(after, before, sequence) == pytest.approx(first, abs=0.02)


def test_a_texture_moves_with_the_head():
    settings = PhantomSettings(spacing_mm=6.0, seed=12, misalignment_mm=6.0, texture=0.2)
    plain, textured = (sessions(misalignment_mm=6.0, texture=size) for size in (0.0, 0.2))
    still = log_factors(textured[0], plain[0], "T1")
    for before, after in zip(plain[1:], textured[1:], strict=True):
        assert before.brain.sum() != plain[0].brain.sum() or not np.array_equal(
            before.brain, plain[0].brain
        )
        moved = log_factors(after, before, "T1")
        both = (before.brain & plain[0].brain)[plain[0].brain]
        there = (before.brain & plain[0].brain)[before.brain]
        assert np.corrcoef(still[both], moved[there])[0, 1] < 0.98
    # In the patient's own millimetres it stays where it was.
    patient = patients._Patient(settings, 1)
    stream = patient._stream(2, 1)
    pose = patients.draw_misalignment(stream, 6.0)
    points = patient.anatomy.scan(patient.template, patient.grid, pose).points
    expected = np.log(patient.texture.factors(points))
    assert log_factors(textured[1], plain[1], "T1") == pytest.approx(expected, abs=0.02)


def test_two_patients_have_different_textures_within_the_band():
    drawn = [draw_texture(np.random.default_rng([3, number, 5]), 0.2) for number in range(1, 40)]
    lengths = 2 * np.pi / np.linalg.norm([texture.waves for texture in drawn], axis=-1)
    assert lengths.min() >= BAND_MM[0]
    assert lengths.max() <= BAND_MM[1]
    points = np.random.default_rng(0).uniform(-60.0, 60.0, (4000, 3))
    values = np.array([np.log(texture.factors(points)) for texture in drawn])
    assert np.std(values) == pytest.approx(0.2, rel=0.05)
    apart = np.corrcoef(values)[np.triu_indices(len(drawn), 1)]
    assert np.abs(apart).max() < 0.7


def courses(settings: PhantomSettings) -> list[list[PhantomSession]]:
    """Patients without images, which take most of the time."""
    with mock.patch.object(patients, "render", return_value={}):
        return [
            list(phantom_patient(settings, number)) for number in range(1, settings.patients + 1)
        ]


@pytest.fixture(scope="module")
def leaking():
    return courses(leaking_settings(patients=16, seed=31))


def test_visits_repeat_their_patients_own_rating(leaking):
    settings = leaking_settings(patients=16, seed=31)
    repeated = []
    for number, course in enumerate(leaking, start=1):
        own = own_response(settings, number)
        repeated += [session.rating == own for session in course if session.rating is not None]
    assert len(repeated) == 64
    assert np.mean(repeated) > 0.85


def test_repeated_ratings_are_about_balanced(leaking):
    count = Counter(str(session.rating) for course in leaking for session in course)
    del count["None"]
    assert all(0.18 <= count[response] / 64 <= 0.32 for response in Response), count


def test_the_rule_still_gives_every_rating(leaking):
    for course in leaking:
        found = rate_course(
            [session.volumes_ml[0] for session in course],
            surgery=[session.surgery for session in course],
            new_lesions=[session.new_lesion for session in course],
        )
        told = [(session.rating, rating) for session, rating in zip(course, found, strict=True)]
        assert all(rating == by_rule for rating, by_rule in told if rating is not None)


def test_where_a_pair_starts_does_not_tell_its_rating(leaking):
    starts: dict[str, list[float]] = {response: [] for response in Response}
    for course in leaking:
        for prior, current in pairwise(course):
            if current.rating is not None and prior.role is Role.POSTOP:
                starts[current.rating].append(prior.volumes_ml[0])
    means = [np.mean(volumes) for volumes in starts.values()]
    spread = np.std([volume for volumes in starts.values() for volume in volumes])
    assert sum(map(len, starts.values())) > 55
    assert max(means) - min(means) < 1.2 * spread


@pytest.mark.parametrize("mix", ["balanced", "lumiere"])
def test_own_responses_follow_the_mix_and_not_the_size_of_the_cohort(mix):
    settings = PhantomSettings(patients=4, mix=mix, repeat_ratings=0.5, seed=9)
    count = Counter(str(own_response(settings, number)) for number in range(1, 401))
    shares = {"balanced": {"CR": 0.25, "PD": 0.25}, "lumiere": {"CR": 0.07, "PD": 0.64}}[mix]
    for response, share in shares.items():
        assert count[response] / 400 == pytest.approx(share, abs=0.02)
    larger = PhantomSettings(patients=40, mix=mix, repeat_ratings=0.5, seed=9)
    assert own_response(settings, 3) == own_response(larger, 3)


def test_the_description_says_what_leaks_and_nothing_where_nothing_does(tmp_path):
    plain = PhantomSettings(patients=1, visits=(1, 1), spacing_mm=6.0)
    built = leaking_settings(patients=1, visits=(1, 1))
    told = []
    for name, settings in (("plain", plain), ("leaking", built)):
        write_phantom(tmp_path / name, settings)
        told.append(json.loads((tmp_path / name / "phantom.json").read_text())["settings"])
    assert not set(LATER_SETTINGS) & set(told[0])
    assert {name: told[1][name] for name in LATER_SETTINGS} == {
        "texture": LEAKING.texture,
        "repeat_ratings": LEAKING.repeat_ratings,
    }
    assert len(told[1]) == len(fields(PhantomSettings))
    write_phantom(tmp_path / "leaking", built)
    with pytest.raises(ConfigError, match="not an empty folder"):
        write_phantom(tmp_path / "leaking", leaking_settings(1, visits=(1, 1), texture=0.0))


@pytest.mark.parametrize("changes", [{"texture": -0.1}, {"texture": 0.6}, {"repeat_ratings": 1.1}])
def test_strengths_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        PhantomSettings(**changes)
