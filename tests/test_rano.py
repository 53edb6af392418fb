"""The RANO words: every row of the truth table, its boundaries, and the course of a patient."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xrano.errors import ConfigError, UnknownNameError
from xrano.rano import (
    BIDIMENSIONAL,
    RESPONSES,
    VOLUMETRIC,
    Response,
    Role,
    parse_rating,
    rate,
    rate_course,
)

CR, PR, SD, PD = RESPONSES

VOLUME_ROWS = [
    # row, current, baseline, nadir, new lesion, rating
    (1, 3.0, 10.0, 10.0, True, PD),
    (1, 0.0, 10.0, 10.0, True, PD),
    (1, 0.0, 0.0, 0.0, True, PD),
    (2, 0.0, 10.0, 10.0, False, CR),
    (2, 0.0, 0.1, 0.1, False, CR),
    (2, 0.0, 10.0, 0.0, False, CR),
    (3, 0.0, 0.0, 0.0, False, SD),
    (3, 0.0, 0.0, 5.0, False, SD),
    (4, 0.52, 0.0, 0.0, False, PD),
    (4, 0.52, 10.0, 0.0, False, PD),
    (5, 14.0, 10.0, 10.0, False, PD),
    (5, 1.4, 10.0, 1.0, False, PD),
    (5, 0.56, 0.4, 0.4, False, PD),
    (6, 3.5, 10.0, 10.0, False, PR),
    (6, 0.01, 10.0, 10.0, False, PR),
    (6, 0.182, 0.52, 0.52, False, PR),
    (6, 0.51, 10.0, 0.0, False, PR),
    (7, 10.0, 10.0, 10.0, False, SD),
    (7, 13.99, 10.0, 10.0, False, SD),
    (7, 3.51, 10.0, 10.0, False, SD),
    (7, 0.51, 0.1, 0.1, False, SD),
    (7, 0.51, 0.0, 0.0, False, SD),
    (7, 0.1, 0.51, 0.51, False, SD),
]
AREA_ROWS = [
    (1, 50.0, 400.0, 400.0, True, PD),
    (2, 0.0, 400.0, 400.0, False, CR),
    (3, 0.0, 0.0, 0.0, False, SD),
    (4, 100.0, 0.0, 0.0, False, PD),
    (5, 500.0, 400.0, 400.0, False, PD),
    (5, 125.0, 400.0, 100.0, False, PD),
    (6, 200.0, 400.0, 400.0, False, PR),
    (6, 50.0, 100.0, 100.0, False, PR),
    (7, 499.9, 400.0, 400.0, False, SD),
    (7, 200.1, 400.0, 400.0, False, SD),
    (7, 99.9, 10.0, 10.0, False, SD),
    (7, 99.9, 0.0, 0.0, False, SD),
    (7, 10.0, 99.9, 99.9, False, SD),
]


class TestTruthTable:
    @pytest.mark.parametrize(("row", "current", "base", "nadir", "new", "rating"), VOLUME_ROWS)
    def test_volumes(self, row, current, base, nadir, new, rating):
        found = rate(current, rano_baseline=base, nadir=nadir, new_lesion=new)
        assert found is rating, f"row {row}"

    @pytest.mark.parametrize(("row", "current", "base", "nadir", "new", "rating"), AREA_ROWS)
    def test_areas(self, row, current, base, nadir, new, rating):
        found = rate(
            current, rano_baseline=base, nadir=nadir, new_lesion=new, thresholds=BIDIMENSIONAL
        )
        assert found is rating, f"row {row}"

    def test_every_row_is_held_by_both_forms(self):
        for rows in (VOLUME_ROWS, AREA_ROWS):
            assert {row[0] for row in rows} == set(range(1, 8))

    def test_burdens_are_millilitres_or_square_millimetres(self):
        assert (VOLUMETRIC.unit, BIDIMENSIONAL.unit) == ("ml", "mm²")

    def test_thresholds_are_the_sphere_equivalents_of_the_criteria(self):
        assert pytest.approx(1.25**1.5, abs=0.005) == VOLUMETRIC.progression
        assert pytest.approx(0.5**1.5, abs=0.005) == VOLUMETRIC.response
        assert pytest.approx(math.pi / 6, abs=0.005) == VOLUMETRIC.measurable
        assert (BIDIMENSIONAL.progression, BIDIMENSIONAL.response) == (1.25, 0.5)
        assert BIDIMENSIONAL.measurable == 10 * 10

    def test_the_nadir_is_the_baseline_if_not_given(self):
        assert rate(14.0, rano_baseline=10.0) is PD
        assert rate(13.9, rano_baseline=10.0) is SD

    @pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
    @pytest.mark.parametrize("name", ["current", "rano_baseline", "nadir"])
    def test_a_burden_is_a_finite_amount(self, bad, name):
        given_ = {"current": 1.0, "rano_baseline": 1.0, "nadir": 1.0, name: bad}
        for thresholds in (VOLUMETRIC, BIDIMENSIONAL):
            with pytest.raises(ConfigError, match=f"≥ 0 {thresholds.unit}, {name}="):
                rate(**given_, thresholds=thresholds)


VOXELS = st.integers(1, 4000)
VOXEL_ML = st.floats(1e-4, 1.0)


class TestBoundaries:
    """A rating is a rule about ratios: it must not hang on the unit or on the last bit."""

    @settings(deadline=None)
    @given(VOXELS, VOXEL_ML)
    def test_exactly_the_response_threshold_is_pr(self, voxels, voxel_ml):
        assume(20 * voxels * voxel_ml > 0.53)
        assert rate(7 * voxels * voxel_ml, rano_baseline=20 * voxels * voxel_ml) is PR

    @settings(deadline=None)
    @given(VOXELS, VOXEL_ML)
    def test_exactly_the_progression_threshold_is_pd(self, voxels, voxel_ml):
        assume(7 * voxels * voxel_ml > 0.53)
        assert rate(7 * voxels * voxel_ml, rano_baseline=5 * voxels * voxel_ml) is PD

    @settings(deadline=None)
    @given(st.sampled_from([0.001, 0.002, 0.004, 0.008, 0.02, 0.04]))
    def test_exactly_measurable_is_measurable(self, voxel_ml):
        assert rate(round(0.52 / voxel_ml) * voxel_ml, rano_baseline=0.0) is PD
        assert rate((round(0.52 / voxel_ml) - 1) * voxel_ml, rano_baseline=0.0) is SD

    @settings(deadline=None)
    @given(VOXELS, VOXEL_ML)
    def test_one_voxel_short_of_a_threshold_is_short(self, voxels, voxel_ml):
        assume(5 * voxels * voxel_ml > 0.53)
        assert rate((7 * voxels - 1) * voxel_ml, rano_baseline=5 * voxels * voxel_ml) is SD
        assert rate((7 * voxels + 1) * voxel_ml, rano_baseline=20 * voxels * voxel_ml) is not PR


BURDEN = st.one_of(st.just(0.0), st.floats(0.001, 300.0))
FORMS = st.sampled_from([VOLUMETRIC, BIDIMENSIONAL])


class TestProperties:
    @settings(deadline=None)
    @given(BURDEN, BURDEN, BURDEN, BURDEN, st.booleans(), FORMS)
    def test_growing_never_improves_a_rating(self, current, more, base, nadir, new, thresholds):
        before, after = (
            rate(c, rano_baseline=base, nadir=nadir, new_lesion=new, thresholds=thresholds)
            for c in (current, current + more)
        )
        assert RESPONSES.index(after) >= RESPONSES.index(before)

    @settings(deadline=None)
    @given(BURDEN, BURDEN, BURDEN, FORMS)
    def test_a_new_lesion_is_always_progression(self, current, base, nadir, thresholds):
        found = rate(
            current, rano_baseline=base, nadir=nadir, new_lesion=True, thresholds=thresholds
        )
        assert found is PD

    @settings(deadline=None)
    @given(BURDEN, BURDEN)
    def test_without_a_new_lesion_cr_is_what_vanished(self, current, base):
        found = rate(current, rano_baseline=base)
        assert (found is CR) == (current == 0 and base > 0)


def course(burdens, reference="rano", surgery=(), new=()):
    return rate_course(
        burdens,
        surgery=[index in surgery for index in range(len(burdens))],
        new_lesions=[index in new for index in range(len(burdens))],
        reference=reference,
    )


class TestCourse:
    def test_pr_is_against_the_baseline_and_pd_against_the_nadir(self):
        assert course([10, 3, 4.1, 4.2]) == [None, PR, SD, PD]
        assert course([10, 3, 4.1, 4.2], "previous") == [None, PR, SD, SD]

    def test_the_nadir_does_not_count_the_current_scan(self):
        assert course([10, 5, 7]) == [None, SD, PD]
        assert course([10, 14, 5, 6.9, 7.0]) == [None, PD, SD, SD, PD]

    def test_slow_growth_is_seen_against_the_nadir_only(self):
        slow = [10, 12, 14, 16, 18]
        assert course(slow) == [None, SD, PD, PD, PD]
        assert course(slow, "previous") == [None, SD, SD, SD, SD]

    def test_disease_that_comes_back_after_nothing(self):
        assert course([10, 0, 0.4, 0.6]) == [None, CR, PR, PD]
        assert course([10, 0, 0.4, 0.6], "previous") == [None, CR, SD, PD]
        assert course([10, 0, 0, 0]) == [None, CR, CR, CR]
        assert course([10, 0, 0, 0], "previous") == [None, CR, SD, SD]

    def test_surgery_resets_baseline_and_nadir_and_is_not_rated(self):
        burdens = [10, 14, 2, 2.8, 0.98]
        assert course(burdens, surgery={2}) == [None, PD, None, PD, SD]
        assert course(burdens, "previous", surgery={2}) == [None, PD, None, PD, PR]
        assert course(burdens) == [None, PD, PR, PD, PR]

    def test_the_scan_before_is_the_reference_unless_told(self):
        assert rate_course(
            [10, 3, 4.1, 4.2], surgery=[False] * 4, new_lesions=[False] * 4
        ) == course([10, 3, 4.1, 4.2], "previous")

    def test_two_operations(self):
        assert course([10, 1, 2, 1, 1], surgery={1, 3}) == [None, None, PD, None, SD]

    def test_a_new_lesion_while_the_total_falls(self):
        assert course([10, 3, 3], new={1}) == [None, PD, PR]
        assert course([10, 3, 4.2], new={1}) == [None, PD, PD]

    def test_nothing_to_rate(self):
        assert course([]) == []
        assert course([5.0]) == [None]
        assert course([5.0], new={0}, surgery={0}) == [None]

    def test_bad_input(self):
        with pytest.raises(ConfigError, match="2 burdens, 1 surgery"):
            rate_course([1, 2], surgery=[False], new_lesions=[False, False])
        with pytest.raises(UnknownNameError, match="previous, rano"):
            course([1, 2], "nadir")


class TestParseRating:
    @pytest.mark.parametrize("raw", ["CR", "PR", "SD", "PD", " PD", "pd ", "\tSd\n"])
    def test_responses(self, raw):
        found = parse_rating(raw)
        assert found.response is Response(raw.strip().upper())
        assert found.role is Role.FOLLOWUP
        assert found.raw == raw

    @pytest.mark.parametrize(
        ("raw", "role"),
        [
            ("Pre-Op", Role.PREOP),
            ("Post-Op", Role.POSTOP),
            ("Post-Op ", Role.POSTOP),
            ("post-op", Role.POSTOP),
            ("Post-Op/PD", Role.POSTOP),
        ],
    )
    def test_operations_carry_no_response(self, raw, role):
        assert (parse_rating(raw).response, parse_rating(raw).role) == (None, role)

    @pytest.mark.parametrize("raw", ["", "  ", "None", "none", "NA", "n/a", "nan"])
    def test_unrated(self, raw):
        assert (parse_rating(raw).response, parse_rating(raw).role) == (None, Role.UNKNOWN)

    @pytest.mark.parametrize("raw", ["PX", "progress", "SD/PD", "Post-Op/PR", "0"])
    def test_an_unknown_rating_lists_the_known_ones(self, raw):
        with pytest.raises(UnknownNameError, match="choose from: CR, None, PD, PR, Post-Op"):
            parse_rating(raw)


def test_roles_are_the_words_of_the_sessions_table():
    assert [str(role) for role in Role] == ["preop", "postop", "followup", "unknown"]


def test_class_indices_go_from_best_to_worst():
    assert [str(response) for response in RESPONSES] == ["CR", "PR", "SD", "PD"]
