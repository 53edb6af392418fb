from __future__ import annotations

import pytest

from xrano.data.pairing.exclusions import REASONS, ExclusionReason, is_marked

WORDS = {
    *("no_images", "disjoint_dates", "marked", "less_than_3_months", "not_a_rano_timepoint"),
    *("duplicate_rating", "preop", "postop", "no_rating", "first_session", "no_reference"),
    *("prior_marked", "missing_sequence", "not_prepared"),
}


def test_the_words_are_those_that_stand_in_tables() -> None:
    assert {str(reason) for reason in ExclusionReason} == REASONS == WORDS


@pytest.mark.parametrize("word", sorted(WORDS - {"marked"}))
def test_a_reason_that_is_known_is_no_mark_of_the_user(word: str) -> None:
    assert is_marked(word) is False


@pytest.mark.parametrize("word", ["marked", "motion", "no images"])
def test_any_other_text_is_one(word: str) -> None:
    assert is_marked(word) is True
