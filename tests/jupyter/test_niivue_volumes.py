"""What the viewer is given lies where the patient has it, and has the colours of a panel."""

from __future__ import annotations

import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from report.viewer_cases import (
    CHANNELS,
    LESION_MM,
    RADIUS_MM,
    cell_map,
    distance,
    facts,
    left_lesion,
    oblique_grid,
    plain_grid,
    voxel_map,
)

from xrano.experiments.report.case_volumes import brain_frame
from xrano.jupyter.niivue_volumes import (
    colour_bytes,
    colours_of,
    scan_bytes,
    surface,
    viewer_frame,
)
from xrano.jupyter.picture import Look
from xrano.maps import AttributionMap
from xrano.viz.drawing import CONTOUR_STYLES
from xrano.viz.panel_cells import prepare_scans
from xrano.viz.panel_maps import MapStyle, read_maps, relevance_scale

MIRRORED_MM = (30.0, 12.0, 22.0)

GRIDS = {
    "oblique": oblique_grid(),
    "plain": plain_grid((40, 48, 30), (3, 4, 5)),
    "fine": plain_grid((70, 90, 110), (2, 1.8, 1.2)),
}


@pytest.fixture(params=list(GRIDS))
def case(request):
    return left_lesion(GRIDS[request.param])


@pytest.fixture
def fine():
    """A case whose grid needs no finer voxels: it is only cropped."""
    return left_lesion(GRIDS["fine"])


def unmasked(case):
    return replace(case, prior_mask=None, current_mask=None)


def opened(content):
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def rgba_of(content):
    """(i, j, k, 4) and the affine that a viewer reads."""
    image = opened(content)
    stored = np.asarray(image.dataobj)
    return np.stack([stored[name] for name in "RGBA"], axis=-1), image.affine


def colours(case, attribution, look=None):
    frame = viewer_frame(case)
    return rgba_of(colour_bytes(colours_of(case, attribution, look or Look(), frame), frame))


def places(drawn, affine):
    return nib.affines.apply_affine(affine, np.argwhere(drawn))


def is_colour(rgba, timepoint):
    wanted = [round(255 * part) for part in to_rgb(CONTOUR_STYLES[timepoint][0])]
    return (rgba == [*wanted, 255]).all(axis=-1)


def crop_of(case, frame):
    """Where a frame without finer voxels lies in the case's grid."""
    start = np.rint(case.grid.voxel(frame.world((0, 0, 0)))).astype(int)
    return tuple(slice(at, at + size) for at, size in zip(start, frame.shape, strict=True))


def test_the_frame_is_fine_runs_along_the_axes_and_ends_where_the_brains_does(case):
    frame, coarse = viewer_frame(case), brain_frame(case.grid, case.brain)
    assert max(frame.spacing) <= 2 + 1e-9
    assert nib.aff2axcodes(frame.affine) == ("R", "A", "S")
    assert np.array_equal(frame.affine[:3, :3], np.diag(np.diag(frame.affine)[:3]))
    for share in (0.0, 1.0):
        edges = [np.array(one.shape) * share - 0.5 for one in (frame, coarse)]
        np.testing.assert_allclose(frame.world(edges[0]), coarse.world(edges[1]), atol=1e-9)
    parts = np.array(frame.shape) / coarse.shape
    assert np.array_equal(parts, np.ceil(np.array(coarse.spacing) / 2))


def test_relevance_on_the_left_is_coloured_on_the_left(case):
    rgba, affine = colours(unmasked(case), voxel_map(case, "saliency", "PD", LESION_MM))
    strong = rgba[..., 3] > 0.6 * rgba[..., 3].max()
    where = places(strong, affine)
    assert (where[:, 0] < 0).all()
    np.testing.assert_allclose(where.mean(axis=0), LESION_MM, atol=1.0)


def test_cells_are_coloured_inside_the_brain_alone(case):
    case = unmasked(case)
    rgba, affine = colours(case, cell_map(case, "PD", LESION_MM), Look(threshold=0.0))
    where = places(rgba[..., 3] > 0, affine)
    # A voxel of the scan beyond the brain's edge is still partly within.
    reach = 1 + max(case.grid.spacing) / 55
    assert np.linalg.norm(where / (60, 75, 55), axis=-1).max() < reach
    strong = places(rgba[..., 3] > 0.9 * rgba[..., 3].max(), affine)
    assert strong.mean(axis=0)[0] < -15


def test_the_scan_is_bright_where_the_lesion_is(case):
    image = opened(scan_bytes(case, "CT1", viewer_frame(case)))
    greys = image.get_fdata()
    where = places(np.ones(image.shape, dtype=bool), image.affine).reshape(*image.shape, 3)
    off = [np.linalg.norm(where - centre, axis=-1) for centre in (LESION_MM, MIRRORED_MM)]
    within = RADIUS_MM - max(case.grid.spacing)
    assert greys[off[0] < within].min() > 0.95 * greys.max()
    assert greys[off[1] < within].mean() < 0.9 * greys.max()
    frame = viewer_frame(case)
    np.testing.assert_allclose(image.affine, frame.affine, atol=1e-5)


def test_greys_are_those_of_the_panel(fine):
    frame = viewer_frame(fine)
    scans = prepare_scans(fine, "CT1", 99.5)
    white = scans.window.vmax
    shown = np.clip(scans.current.volume[crop_of(fine, frame)], 0, white)
    image = opened(scan_bytes(fine, "CT1", frame))
    assert np.abs(image.get_fdata() - shown).max() <= white / 510 * 1.001


@pytest.mark.parametrize("rectification", ["", "positive", "none"])
@pytest.mark.parametrize("opacity", [1.0, 0.4])
def test_colours_are_those_of_the_panel(fine, rectification, opacity):
    case = unmasked(fine)
    attribution = voxel_map(case, "saliency", "PD", (10, 20, 0))
    negative = replace(attribution, data=-attribution.data)
    look = Look(rectification=rectification, threshold=0.3, opacity=opacity)
    style = MapStyle(rectification or None, threshold=0.3)
    (read,) = read_maps(case, [negative], style)
    scale = relevance_scale(read.top, "", style)
    values = read.values.volume()[crop_of(case, viewer_frame(case))]
    wanted = scale.colormap(scale.norm(values))
    wanted[..., 3] *= opacity
    rgba, _ = colours(case, negative, look)
    drawn = wanted[..., 3] > 0
    assert 0 < drawn.mean() < 0.2
    # Values within a step of the threshold may go either way.
    assert (drawn != (rgba[..., 3] > 0)).mean() < 1e-3
    drawn &= rgba[..., 3] > 0
    assert np.abs(rgba[drawn] - 255 * wanted[drawn]).max() <= 0.51
    assert not rgba[rgba[..., 3] == 0].any()


def test_the_outline_is_the_surface_of_the_mask(case):
    nothing = AttributionMap(
        np.zeros((4, *case.grid.shape), dtype=np.float32),
        case.grid,
        CHANNELS,
        facts(case, "saliency", "PD"),
    )
    rgba, affine = colours(case, nothing)
    line = is_colour(rgba, "current")
    assert np.array_equal(line, rgba[..., 3] > 0)
    off = np.linalg.norm(places(line, affine) - LESION_MM, axis=-1)
    # The mask's own voxels are cubes, of which a corner or a face may be the outermost.
    reach = np.linalg.norm(case.grid.spacing) / 2 + 2
    assert off.min() >= RADIUS_MM - reach - 2
    assert off.max() <= RADIUS_MM + reach
    middle = np.rint(np.linalg.solve(affine[:3, :3], LESION_MM - affine[:3, 3])).astype(int)
    assert not rgba[tuple(middle)].any()


def test_a_surface_touches_the_outside_by_a_face():
    mask = np.random.default_rng(2).random((7, 8, 9)) < 0.9
    padded = np.pad(mask, 1)
    wanted = np.zeros_like(mask)
    for index in np.argwhere(mask) + 1:
        around = [tuple(index + sign * step) for step in np.eye(3, dtype=int) for sign in (-1, 1)]
        wanted[tuple(index - 1)] = not all(padded[one] for one in around)
    assert 0 < wanted.sum() < mask.sum()
    assert np.array_equal(surface(mask), wanted)


def test_without_outlines_the_map_alone_is_coloured(fine):
    attribution = voxel_map(fine, "saliency", "PD", (10, 20, 0))
    rgba, _ = colours(fine, attribution, Look(outlines=False))
    alone, _ = colours(unmasked(fine), attribution)
    assert np.array_equal(rgba, alone)
    assert not np.array_equal(rgba, colours(fine, attribution)[0])


def test_where_both_outlines_lie_on_each_other_they_take_turns(fine):
    attribution = voxel_map(fine, "saliency", "PD", (10, 20, 0))
    same = replace(fine, prior_mask=fine.current_mask)
    rgba, _ = colours(same, attribution)
    prior, current = is_colour(rgba, "prior"), is_colour(rgba, "current")
    line = surface(fine.current_mask[crop_of(fine, viewer_frame(fine))])
    assert np.array_equal(prior | current, line)
    assert prior.sum() / line.sum() == pytest.approx(0.5, abs=0.1)
    apart = replace(fine, prior_mask=distance(fine.grid, (30, 0, 0)) < 9)
    rgba, affine = colours(apart, attribution)
    where = places(is_colour(rgba, "prior"), affine)
    np.testing.assert_allclose(where.mean(axis=0), (30, 0, 0), atol=1.0)


def test_an_unsegmented_pair_has_no_outline_and_an_empty_map_a_note(fine):
    zero = AttributionMap(
        np.zeros((4, *fine.grid.shape), dtype=np.float32),
        fine.grid,
        CHANNELS,
        facts(fine, "saliency", "PD"),
    )
    frame = viewer_frame(fine)
    found = colours_of(unmasked(fine), zero, Look(), frame)
    assert not found.rgba.any()
    assert found.note == "all-zero map"
    assert found.scale.top == 0


def test_the_same_picture_is_the_same_bytes(fine):
    attribution = voxel_map(fine, "saliency", "PD", LESION_MM)
    frame = viewer_frame(fine)
    once, again = (
        colour_bytes(colours_of(fine, attribution, Look(), frame), frame) for _ in range(2)
    )
    assert once == again
    assert int(opened(once).header["datatype"]) == 2304  # RGBA32 of nifti1.h
