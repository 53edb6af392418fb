"""Pictures compared with those that were looked at, see :mod:`reference_pictures`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from figure_inputs import fixed_atlas, fixed_timeline
from matplotlib.testing.compare import compare_images
from PIL import Image
from reference_pictures import DPI, FOLDER, PICTURES, draw

from xrano.experiments.figures import KINDS
from xrano.viz.atlas_figure import atlas_figure
from xrano.viz.figure_files import save_figure
from xrano.viz.timeline_figure import timeline_figure

TOLERANCE = 4.0
"""Root mean square of grey levels: rounding of letters and interpolation, but no mark elsewhere."""


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_looks_as_it_did(kind, tmp_path):
    draw(kind, tmp_path / f"{kind}.png")
    expected, found = str(FOLDER / f"{kind}.png"), str(tmp_path / f"{kind}.png")
    assert compare_images(expected, found, tol=TOLERANCE) is None


def test_there_is_one_of_each_kind_and_they_are_small():
    assert set(PICTURES) == set(KINDS)
    for path in FOLDER.iterdir():
        assert path.stem in PICTURES
        assert path.stat().st_size < 60_000


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("atlas", lambda: atlas_figure(fixed_atlas(), convention="neurological")),
        ("timeline", lambda: timeline_figure(fixed_timeline(visits=later()))),
    ],
)
def test_a_picture_that_says_something_else_is_told_apart(kind, changed, tmp_path):
    save_figure(changed(), tmp_path / "other.png", dpi=DPI)
    expected = FOLDER / f"{kind}.png"
    with Image.open(tmp_path / "other.png") as other, Image.open(expected) as own:
        assert other.size == own.size
    difference = compare_images(str(expected), str(tmp_path / "other.png"), tol=TOLERANCE)
    assert difference is not None


def later():
    """The same visits, the last of them twenty weeks later."""
    *before, last = fixed_timeline().visits
    return (*before, replace(last, week=last.week + 20))
