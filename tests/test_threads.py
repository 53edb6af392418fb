from __future__ import annotations

import os

import pytest

from xrano.threads import usable_threads


@pytest.mark.parametrize(("asked", "expected"), [("1", 1), ("1,4", 1), ("", None), ("no", None)])
def test_one_variable_limits_the_threads(monkeypatch, asked, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert usable_threads() == (expected or len(os.sched_getaffinity(0)))


def test_never_more_threads_than_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1000")
    assert usable_threads() == len(os.sched_getaffinity(0))
