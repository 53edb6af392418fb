import base64
import dataclasses
import gzip

import nibabel as nib
import numpy as np
import pytest
from viewer_cases import (
    CHANNELS,
    CLASSES,
    case_maps,
    case_of,
    cell_map,
    facts,
    left_lesion,
    oblique_grid,
    plain_grid,
    voxel_map,
)

from xrano.experiments.report.case_layers import encoded_method, method_layers
from xrano.experiments.report.case_viewer import viewer_content
from xrano.experiments.report.case_volumes import (
    blank_bytes,
    brain_frame,
    coarser,
    coarser_grid,
    factors,
    map_bytes,
    mask_bytes,
    window_bytes,
)
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.report.case_page import case_page
from xrano.report.viewer import niivue_base64, viewer_json
from xrano.viz.panel_maps import MapStyle, read_maps, tops_of


def opened(content):
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_a_map_is_off_by_half_a_step_and_keeps_its_affine(rng):
    grid = oblique_grid()
    data = rng.standard_normal(grid.shape).astype(np.float32)
    image = opened(map_bytes(data, grid, 0.01))
    assert image.get_data_dtype() == np.int16
    assert np.abs(image.get_fdata() - data).max() <= 0.005 * (1 + 1e-6)
    np.testing.assert_allclose(image.affine, grid.affine, atol=1e-5)
    assert map_bytes(data, grid, 0.01) == map_bytes(data.copy(), grid, 0.01)


def test_a_step_too_small_for_16_bits_is_made_larger():
    grid = plain_grid((2, 3, 4), (1, 2, 3))
    data = np.zeros(grid.shape, dtype=np.float32)
    data[1, 2, 3] = -5e4
    image = opened(map_bytes(data, grid, 1e-3))
    assert image.get_fdata().min() == pytest.approx(-5e4, rel=1e-4)
    assert opened(map_bytes(0 * data, grid, 0.0)).get_fdata().any() == False  # noqa: E712


def test_a_scan_has_256_greys_of_its_window(rng):
    grid = plain_grid((5, 6, 7), (1, 2, 3))
    data = rng.uniform(-1, 4, grid.shape).astype(np.float32)
    image = opened(window_bytes(data, grid, (-0.5, 3.0)))
    assert image.get_data_dtype() == np.uint8
    error = np.abs(image.get_fdata() - np.clip(data, -0.5, 3.0))
    assert error.max() <= 3.5 / 510 * 1.001


def test_masks_and_the_blank_volume_have_the_grid(rng):
    grid = plain_grid((5, 6, 7), (1, 2, 3))
    mask = rng.random(grid.shape) > 0.5
    assert np.array_equal(opened(mask_bytes(mask, grid)).get_fdata(), mask)
    blank = opened(blank_bytes(grid))
    assert blank.shape == grid.shape
    assert int(blank.header["datatype"]) == 2304  # RGBA32 of nifti1.h


def test_coarser_voxels_are_means_of_blocks_at_their_middle(rng):
    grid = oblique_grid()
    data = rng.standard_normal((6, 9, 8)).astype(np.float32)
    grid = Grid(data.shape, grid.affine)
    coarse, small = coarser(data, (2, 3, 4)), coarser_grid(grid, (2, 3, 4))
    assert coarse.shape == small.shape == (3, 3, 2)
    for index in np.ndindex(coarse.shape):
        block = tuple(slice(n * f, (n + 1) * f) for n, f in zip(index, (2, 3, 4), strict=True))
        assert coarse[index] == pytest.approx(data[block].mean(), abs=1e-6)
        voxels = np.stack(np.mgrid[block], axis=-1).reshape(-1, 3)
        np.testing.assert_allclose(small.world(index), grid.world(voxels).mean(axis=0), atol=1e-9)


def test_an_incomplete_block_repeats_its_last_voxel():
    assert coarser(np.array([1.0, 2.0, 5.0]).reshape(3, 1, 1), (2, 1, 1)).ravel().tolist() == [
        1.5,
        5,
    ]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.4, 0.4, 6.0), (4.0, 3.0, 5.0)])
def test_levels_start_fine_and_only_become_coarser(spacing):
    levels = np.array(list(factors(spacing)))
    assert levels[0].tolist() == [1, 1, 1]
    assert (np.diff(levels, axis=0) >= 0).all()
    assert (np.diff(levels, axis=0).sum(axis=1) > 0).all()
    assert (levels[-1] * spacing).min() >= 6


def test_the_frame_lies_along_the_world_and_holds_the_brain():
    case = left_lesion(oblique_grid())
    frame = brain_frame(case.grid, case.brain)
    assert np.array_equal(frame.affine[:3, :3], np.diag(np.diag(frame.affine)[:3]))
    assert (np.diag(frame.affine)[:3] > 0).all()
    index = frame.voxel(case.grid.world(np.argwhere(case.brain)))
    assert index.min() >= 0
    assert (index <= np.array(frame.shape) - 1).all()


def test_a_brain_along_the_axes_is_only_turned_and_cropped():
    affine = np.array([[0, 0, -3.0, 9], [2, 0, 0, 4], [0, 5, 0, 1], [0, 0, 0, 1]])
    grid = Grid((20, 22, 24), affine)
    brain = np.zeros(grid.shape, dtype=bool)
    brain[6:12, 7:15, 8:14] = True
    frame = brain_frame(grid, brain, margin_mm=0)
    assert frame.shape == (6, 6, 8)
    np.testing.assert_allclose(grid.voxel(frame.world((0, 0, 0))), (6, 7, 13))
    assert brain_frame(grid, ~brain & brain).shape == (24, 20, 22)


def test_scale_is_that_of_the_panel_and_shared_by_the_classes():
    case = left_lesion(plain_grid((40, 48, 30), (3, 4, 5)))
    maps = case_maps(case)
    content = viewer_content(case, maps, budget_bytes=10**7)
    tops = tops_of(read_maps(case, maps, MapStyle()))
    assert [method.top for method in content.methods] == pytest.approx(
        list(tops.values()), rel=1e-5
    )
    assert [len(method.maps) for method in content.methods] == [4, 2]
    assert [one.target for one in content.methods[0].maps] == list(CLASSES)
    assert all(method.error <= 0.006 * method.top for method in content.methods)


def test_parts_of_a_map_add_up_to_its_reduction():
    case = left_lesion(plain_grid((40, 48, 30), (3, 4, 5)))
    attribution = voxel_map(case, "saliency", "PD", (10, 0, 0))
    content = viewer_content(case, [attribution], budget_bytes=10**7)
    method = content.methods[0]
    images = [opened(method.maps[0].parts[name]) for name in ("prior", "current")]
    start = case.grid.voxel(images[0].affine[:3, 3]).round().astype(int)
    box = tuple(slice(at, at + size) for at, size in zip(start, images[0].shape, strict=True))
    whole = attribution.reduced("absolute", "sum")[box]
    error = np.abs(sum(image.get_fdata() for image in images) - whole)
    assert error.max() <= method.error * (1 + 1e-5)
    # 0.1 + 0.1 of the prior channels, 0.3 + 0.3 of the current ones.
    prior, current = (image.get_fdata().max() for image in images)
    assert current == pytest.approx(3 * prior, rel=0.02)


def test_a_map_on_cells_keeps_its_cells():
    case = left_lesion(oblique_grid())
    cells = case_maps(case)[-1]
    (one,) = viewer_content(case, [cells], budget_bytes=10**7).methods[0].maps
    image = opened(one.parts["both"])
    assert one.cells
    np.testing.assert_allclose(image.affine, cells.grid.affine)
    np.testing.assert_allclose(image.get_fdata(), cells.data[0], atol=1e-4)


def test_notes_say_why_nothing_is_seen():
    case = left_lesion(oblique_grid())
    data = np.ones((4, *case.grid.shape), dtype=np.float32)
    data[:2] = 0
    meta = facts(case, "ig", "PD", baseline="prior")
    prior_zero = AttributionMap(data, case.grid, CHANNELS, meta)
    nothing = AttributionMap(0 * data, case.grid, CHANNELS, facts(case, "saliency", "PD"))
    methods = viewer_content(case, [prior_zero, nothing], budget_bytes=10**7).methods
    assert "zero by construction: the baseline is the prior scan" in methods[0].maps[0].note
    assert methods[1].maps[0].note == "all-zero map"
    assert methods[1].top == 0


def test_signed_maps_keep_their_sign():
    case = left_lesion(plain_grid((40, 48, 30), (3, 4, 5)))
    frame = brain_frame(case.grid, case.brain)
    attribution = voxel_map(case, "saliency", "PD", (0, 0, 0))
    negative = dataclasses.replace(attribution, data=-attribution.data)
    (method,) = method_layers(case, [negative], "none", frame)
    encoded = encoded_method(method, frame, np.ones(frame.shape, bool), (1, 1, 1), 99.5)
    assert encoded.signed
    image = opened(encoded.maps[0].parts["prior"])
    assert image.get_fdata().min() == pytest.approx(-0.2, rel=0.1)


def volume_letters(content):
    """What the volumes of a viewer take in a page."""
    parts = [
        part for method in content.methods for one in method.maps for part in one.parts.values()
    ]
    volumes = [*content.scans.values(), *content.masks.values(), content.blank, content.brain]
    return sum(len(base64.b64encode(volume)) for volume in [*volumes, *parts])


def test_a_smaller_budget_gives_coarser_volumes_but_the_same_outlines():
    case = left_lesion(plain_grid((70, 90, 60), (2, 2, 2)))
    maps = case_maps(case)
    rich = viewer_content(case, maps, budget_bytes=10**7)
    poor = viewer_content(case, maps, budget_bytes=300_000)
    assert volume_letters(rich) > 300_000 >= volume_letters(poor)
    assert "as they were explained" in rich.notes[0]
    assert "means over voxels of 2 mm" in poor.notes[0]
    assert rich.masks == poor.masks
    shapes = [opened(one.scans["current"]).shape for one in (rich, poor)]
    assert shapes[1] < shapes[0]


def test_an_impossible_budget_gives_the_coarsest_page():
    case = left_lesion(plain_grid((70, 90, 60), (2, 2, 2)))
    content = viewer_content(case, case_maps(case), budget_bytes=0)
    assert max(opened(content.scans["prior"]).shape) < 16


def test_the_crosshair_starts_inside_the_tumour():
    case = left_lesion(oblique_grid())
    content = viewer_content(case, [], budget_bytes=10**7)
    index = np.rint(case.grid.voxel(content.start_mm)).astype(int)
    assert case.current_mask[tuple(index)]
    assert content.start_words == "tumour"
    empty = dataclasses.replace(case, current_mask=None, prior_mask=None)
    content = viewer_content(empty, [], budget_bytes=10**7)
    assert np.linalg.norm(content.start_mm) < 5
    assert content.start_words == "middle of the brain"
    assert content.masks == {}


def test_what_the_script_reads_cannot_end_it():
    case = left_lesion(oblique_grid())
    content = viewer_content(case, [], budget_bytes=10**7)
    text = viewer_json(dataclasses.replace(content, sequence="</script><!--'&"))
    assert not set("<>&'") & set(text)


def test_inputs_stay_as_they_were():
    case = left_lesion(oblique_grid())
    maps = case_maps(case)
    before = [case.current["CT1"].copy(), case.brain.copy(), *(one.data.copy() for one in maps)]
    viewer_content(case, maps, budget_bytes=10**7)
    after = [case.current["CT1"], case.brain, *(one.data for one in maps)]
    assert all(np.array_equal(*both) for both in zip(before, after, strict=True))


@pytest.mark.slow
def test_a_case_of_three_methods_and_four_classes_at_1_mm_fits_into_5_mb(rng):
    case = left_lesion(plain_grid((182, 218, 182), (1, 1, 1)))
    noise = rng.standard_normal((2, *case.grid.shape), dtype=np.float32)
    maps = [
        AttributionMap(noise, case.grid, ("prior_CT1", "current_CT1"), facts(case, method, target))
        for method in ("saliency", "ig")
        for target in CLASSES
    ]
    maps += [
        dataclasses.replace(
            cell_map(case, target, (0, 0, 0)), meta=facts(case, "gradcam", target, layer="x")
        )
        for target in CLASSES
    ]
    panel = rng.bytes(900_000)
    budget = 4_500_000 - len(niivue_base64()) - 4 * len(panel) // 3
    viewer = viewer_content(case, maps, budget_bytes=budget)
    page = case_page(case_of(case, [], viewer=viewer, panel=panel))
    assert 2_500_000 < len(page.encode()) < 5_000_000
    assert opened(viewer.scans["current"]).shape >= (40, 50, 35)
