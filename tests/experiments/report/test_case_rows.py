"""Which cases have a page, and what their files are called."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrano.errors import ConfigError
from xrano.experiments.report.case_rows import chosen_cases, page_names

CASES = pd.DataFrame(
    {
        "pair_id": ["d", "c", "b", "a", "e"],
        "response": ["PD", "PD", "CR", "SD", ""],
    }
)


def test_responses_take_turns():
    assert chosen_cases(CASES, "3") == ["b", "a", "c"]
    assert chosen_cases(CASES, "99") == ["b", "a", "c", "e", "d"]
    assert chosen_cases(CASES, "0") == chosen_cases(CASES, "none") == []
    assert chosen_cases(CASES, "all") == ["d", "c", "b", "a", "e"]


@pytest.mark.parametrize("asked", ["-1", "some", "", "1.5", "²"])
def test_what_is_no_number_of_pages_is_refused(asked: str):
    with pytest.raises(ConfigError, match="all, none or a number"):
        chosen_cases(CASES, asked)


@given(st.lists(st.text(max_size=120), unique=True, max_size=20))
def test_file_names_are_safe_and_no_two_are_one(pair_ids: list[str]):
    names = page_names(pair_ids)
    assert list(names) == pair_ids
    assert len({name.lower() for name in names.values()}) == len(pair_ids)
    for name in names.values():
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.html", name), name
        assert len(name) < 100


def test_names_that_a_system_keeps_or_cannot_tell_apart():
    names = page_names(["P-1", "p-1", "CON", "nul.x", "..", "患者", "a b", "a-b", "<script>"])
    assert names["P-1"] == "P-1.html"
    assert re.fullmatch(r"p-1-[0-9a-f]{8}\.html", names["p-1"])
    assert names["a-b"] == "a-b.html"
    assert names["a b"].startswith("a-b-")
    assert names["CON"].startswith("case-CON-")
    assert names["nul.x"].startswith("case-nul.x-")
    assert re.fullmatch(r"script-[0-9a-f]{8}\.html", names["<script>"])
    assert page_names(["x", "y"]) == page_names(["x", "y"])
