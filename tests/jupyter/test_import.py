"""``import xrano`` is light, and its names are there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import xrano

HEAVY = ("torch", "monai", "captum", "matplotlib", "ipywidgets", "IPython", "pandas", "numpy")

CODE = f"""
import json, sys, time
before = time.process_time()
import xrano
spent = time.process_time() - before
dir(xrano), xrano.__version__
print(json.dumps([spent, [name for name in {HEAVY} if name in sys.modules]]))
"""


@pytest.fixture(scope="module")
def imported() -> tuple[float, list[str]]:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    spent, loaded = json.loads(done.stdout)
    return spent, loaded


def test_importing_xrano_takes_less_than_300_ms(imported):
    assert imported[0] < 0.3


def test_importing_xrano_loads_nothing_heavy(imported):
    assert imported[1] == []


def test_every_name_is_there_and_listed():
    for name in xrano.__all__:
        assert getattr(xrano, name) is not None
    assert set(xrano.__all__) <= set(dir(xrano))
    assert callable(xrano.explore)
    with pytest.raises(AttributeError, match="no attribute 'explorer'"):
        _ = xrano.explorer
