"""Outlines of the two visits, seen as people see them who lack one kind of cone."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from xrano.viz.drawing import CONTOUR_STYLES, contour_of

# Machado, Oliveira, Fernandes 2009 (doi 10.1109/TVCG.2009.113), severity 1, of linear sRGB.
SIGHTS = {
    "typical": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
MUST_DIFFER = 20.0
"""CIE 1976 colour difference; 2.3 is just noticed side by side."""


def lab(rgb, sight) -> np.ndarray:
    """CIELAB of sRGB colours (..., 3) as they are seen, of white D65."""
    rgb = np.asarray(rgb, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SIGHTS[sight]).T, 0, 1)
    xyz = seen @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def distance(one, other, sight) -> np.ndarray:
    return np.linalg.norm(lab(one, sight) - lab(other, sight), axis=-1)


def test_the_measure_is_that_of_the_textbook():
    """White, black and sRGB red in CIELAB; red and green meet for those who lack a cone."""
    np.testing.assert_allclose(lab([1, 1, 1], "typical"), [100, 0, 0], atol=0.01)
    np.testing.assert_allclose(lab([0, 0, 0], "typical"), [0, 0, 0], atol=0.01)
    np.testing.assert_allclose(lab([1, 0, 0], "typical"), [53.24, 80.09, 67.20], atol=0.05)
    red, green = (0.8, 0.35, 0.2), (0.45, 0.55, 0.1)
    assert distance(red, green, "typical") > 2.5 * distance(red, green, "deuteranopia")


@pytest.mark.parametrize("sight", SIGHTS)
def test_prior_and_current_outlines_are_told_apart(sight):
    prior, current = (to_rgb(CONTOUR_STYLES[name][0]) for name in ("prior", "current"))
    assert distance(prior, current, sight) > MUST_DIFFER


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("name", ["prior", "current"])
def test_outlines_stand_out_from_the_black_line_around_them_and_from_grey_tissue(name, sight):
    colour = to_rgb(CONTOUR_STYLES[name][0])
    assert distance(colour, (0, 0, 0), sight) > 60
    for grey in np.linspace(0, 0.75, 16):
        assert distance(colour, (grey,) * 3, sight) > 10


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("colours", ["berlin", "managua_r"])
def test_the_two_signs_of_a_diverging_scale_are_told_apart(colours, sight):
    """Equally strong values of either sign, and each from the middle."""
    table = matplotlib.colormaps[colours]
    for strength in (0.6, 0.8, 1.0):
        low, middle, high = (table((1 + sign * strength) / 2)[:3] for sign in (-1, 0, 1))
        assert distance(low, high, sight) > MUST_DIFFER
        assert distance(low, middle, sight) > MUST_DIFFER
        assert distance(high, middle, sight) > MUST_DIFFER


@pytest.mark.parametrize("sight", SIGHTS)
def test_the_sequential_scale_brightens_all_the_way(sight):
    lightness = lab(matplotlib.colormaps["inferno"](np.linspace(0.2, 1, 60))[:, :3], sight)[:, 0]
    assert (np.diff(lightness) > 0).all()


def test_lines_differ_as_well_as_colours():
    one, other = (contour_of(name) for name in ("prior", "current"))
    assert one.line != other.line
    assert len(set(itertools.chain(CONTOUR_STYLES))) == 2
