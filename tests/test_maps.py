"""Attribution maps: reduction by hand, files that keep place and bytes, and left stays left."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError, VolumeError
from xrano.geometry import Grid, image_grid
from xrano.map_files import find_maps, load_map, save_map, sidecar_path, write_description
from xrano.maps import MERGED_CHANNEL, AttributionMap, rectify
from xrano.resampling import resample


def affine_of(linear, origin=(-31.0, 42.5, 7.25)):
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = origin
    return affine


def rotation(*degrees):
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


SHAPE = (5, 6, 7)
OBLIQUE = affine_of(rotation(17, 8, -12) @ np.diag([-1.1, 2.3, 3.7]))
GRID = Grid(SHAPE, OBLIQUE)
CHANNELS = ("prior_T1", "prior_FLAIR", "current_T1", "current_FLAIR")
META = {
    "pair_id": "Patient-042_week-000-1_week-012",
    "patient_id": "Patient-042",
    "prior": "week-000-1",
    "current": "week-012",
    "method": "ig",
    "baseline": "prior",
    "target": 3,
    "target_name": "PD",
    "layer": "",
    "logits": {"CR": -0.1, "PD": 2.5},
}


def voxel_map(grid=GRID, **meta):
    data = np.random.default_rng(3).normal(size=(4, *grid.shape)).astype(np.float32)
    return AttributionMap(data, grid, CHANNELS, {**META, **meta})


def cam(grid=GRID, data=None, **meta):
    if data is None:
        data = np.random.default_rng(4).normal(size=grid.shape)
    meta = {**META, "method": "gradcam", "baseline": "", "layer": "features.block1", **meta}
    return AttributionMap(data[None].astype(np.float32), grid, (MERGED_CHANNEL,), meta)


# Two channels at four voxels, so that every rule gives another answer somewhere.
A = [3.0, -3.0, 1.0, -1.0]
B = [1.0, -4.0, -2.0, 0.0]
BY_HAND = {
    ("absolute", "sum"): [4.0, 7.0, 3.0, 1.0],
    ("absolute", "mean"): [2.0, 3.5, 1.5, 0.5],
    ("absolute", "max"): [3.0, 4.0, 2.0, 1.0],
    ("positive", "sum"): [4.0, 0.0, 1.0, 0.0],
    ("positive", "mean"): [2.0, 0.0, 0.5, 0.0],
    ("positive", "max"): [3.0, 0.0, 1.0, 0.0],
    ("negative", "sum"): [0.0, 7.0, 2.0, 1.0],
    ("negative", "mean"): [0.0, 3.5, 1.0, 0.5],
    ("negative", "max"): [0.0, 4.0, 2.0, 1.0],
    ("none", "sum"): [4.0, -7.0, -1.0, -1.0],
    ("none", "mean"): [2.0, -3.5, -0.5, -0.5],
    ("none", "max"): [3.0, -4.0, -2.0, -1.0],
}


def two_channels():
    data = np.array([A, B], dtype=np.float32).reshape(2, 1, 2, 2)
    return AttributionMap(data, Grid((1, 2, 2), OBLIQUE), ("prior_T1", "current_T1"), META)


class TestReduced:
    @pytest.mark.parametrize(("rule", "expected"), BY_HAND.items())
    def test_by_hand(self, rule, expected):
        found = two_channels().reduced(*rule)
        assert found.shape == (1, 2, 2)
        assert found.ravel().tolist() == expected

    def test_every_rule_is_held_by_hand(self):
        rules = itertools.product(
            ("absolute", "positive", "negative", "none"), ("sum", "mean", "max")
        )
        assert set(rules) == set(BY_HAND)

    def test_the_default_is_the_sum_of_magnitudes(self):
        assert two_channels().reduced().ravel().tolist() == BY_HAND["absolute", "sum"]

    @pytest.mark.parametrize("reduction", ["sum", "mean", "max"])
    @pytest.mark.parametrize("rectification", ["absolute", "positive", "negative", "none"])
    def test_one_channel_is_only_rectified(self, rectification, reduction):
        found = two_channels().reduced(rectification, reduction, channels=("current_T1",))
        assert found.ravel().tolist() == rectify(np.array(B), rectification).tolist()

    def test_rectified_maps_are_never_negative(self):
        for rectification in ("absolute", "positive", "negative"):
            assert (voxel_map().reduced(rectification) >= 0).all()
        parts = [voxel_map().reduced(name) for name in ("positive", "negative", "absolute")]
        assert np.allclose(parts[0] + parts[1], parts[2])

    def test_the_map_stays(self):
        attribution = two_channels()
        for rectification, reduction in BY_HAND:
            attribution.reduced(rectification, reduction)[:] = 99
        assert attribution.data.ravel().tolist() == [*A, *B]

    def test_unknown_names(self):
        with pytest.raises(UnknownNameError, match="absolute, negative, none, positive"):
            two_channels().reduced("relu")
        with pytest.raises(UnknownNameError, match="max, mean, sum"):
            two_channels().reduced("absolute", "median")
        with pytest.raises(UnknownNameError, match="current_T1, prior_T1"):
            two_channels().reduced(channels=("T1",))
        with pytest.raises(ConfigError, match="at least one channel"):
            two_channels().reduced(channels=())


class TestChecks:
    @pytest.mark.parametrize("shape", [SHAPE, (3, *SHAPE), (4, 6, 5, 7), (4, *SHAPE, 1)])
    def test_data_grid_and_channels_fit_together(self, shape):
        with pytest.raises(GridMismatchError, match=r"needs shape \(4, 5, 6, 7\)"):
            AttributionMap(np.zeros(shape, np.float32), GRID, CHANNELS, META)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
    def test_values_must_be_finite_as_float32(self, bad):
        data = np.zeros((4, *SHAPE))
        data[2, 1, 5, 6] = bad
        with pytest.raises(VolumeError, match="ig map of Patient-042_week-000-1_week-012"):
            AttributionMap(data, GRID, CHANNELS, META)

    def test_values_are_kept_raw_as_float32(self):
        data = voxel_map().data.astype(np.float64) * 1e-30
        attribution = AttributionMap(data, GRID, CHANNELS, META)
        assert attribution.data.dtype == np.float32
        assert np.array_equal(attribution.data, data.astype(np.float32))


class TestFiles:
    @pytest.mark.parametrize("make", [voxel_map, cam])
    def test_round_trip(self, tmp_path, make):
        attribution = make()
        loaded = load_map(save_map(attribution, tmp_path))
        assert np.array_equal(loaded.data, attribution.data)
        assert loaded.data.dtype == np.float32
        assert loaded.grid.matches(attribution.grid)
        assert (loaded.channels, dict(loaded.meta)) == (attribution.channels, attribution.meta)
        assert loaded.coarse == attribution.coarse

    @pytest.mark.parametrize("shape", [(5, 6, 1), (1, 6, 7), (1, 1, 1)])
    def test_axes_of_one_voxel_are_kept(self, tmp_path, shape):
        for make in (voxel_map, cam):
            attribution = make(Grid(shape, OBLIQUE))
            assert load_map(save_map(attribution, tmp_path)).data.shape == attribution.data.shape

    def test_any_nifti_reader_sees_the_axes_and_the_place(self, tmp_path):
        attribution = voxel_map()
        image = nib.load(save_map(attribution, tmp_path))
        assert image.shape == (*SHAPE, 4)
        assert np.array_equal(image.get_fdata()[..., 2], attribution.data[2])
        assert np.allclose(image.affine, OBLIQUE, atol=1e-5)
        assert np.allclose(image.get_qform(), OBLIQUE, atol=1e-4)
        assert image.header.get_xyzt_units()[0] == "mm"
        assert image.get_data_dtype() == np.float32
        single = nib.load(save_map(cam(), tmp_path))
        assert single.shape == SHAPE

    @pytest.mark.parametrize(
        ("codes", "kept"),
        [((1, 0), (1, 0)), ((0, 1), (0, 1)), ((4, 1), (4, 1)), ((0, 0), (2, 0)), (None, (2, 2))],
    )
    def test_codes_of_the_reference(self, tmp_path, codes, kept):
        reference = None
        if codes is not None:
            reference = nib.Nifti1Image(np.zeros(SHAPE, np.int16), OBLIQUE)
            reference.set_sform(OBLIQUE, codes[0])
            reference.set_qform(OBLIQUE, codes[1])
            nib.save(reference, tmp_path / "scan.nii.gz")
            reference = nib.load(tmp_path / "scan.nii.gz")
        grid = GRID if reference is None else image_grid(reference)
        path = save_map(voxel_map(grid), tmp_path / "out", reference=reference)
        header = nib.load(path).header
        assert (int(header["sform_code"]), int(header["qform_code"])) == kept
        assert load_map(path).grid.matches(grid)

    def test_a_sheared_affine_is_kept(self, tmp_path):
        grid = Grid(SHAPE, affine_of(np.array([[1.1, 0.4, 0], [0, 2.3, 0.3], [0.1, 0, 3.7]])))
        assert load_map(save_map(voxel_map(grid), tmp_path)).grid.matches(grid)

    def test_another_grid_than_the_references_is_refused_before_anything_is_written(self, tmp_path):
        reference = nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([-1.1, 2.3, 3.7, 1]))
        with pytest.raises(GridMismatchError, match="its reference image"):
            save_map(voxel_map(), tmp_path, reference=reference)
        assert not list(tmp_path.iterdir())

    def test_the_sidecar(self, tmp_path):
        path = save_map(voxel_map(convergence_delta=0.25), tmp_path)
        content = json.loads(sidecar_path(path).read_text())
        extra = {"convergence_delta": 0.25, "channels": list(CHANNELS), "grid": list(SHAPE)}
        assert content == {**META, **extra}
        description = json.loads((tmp_path / "dataset_description.json").read_text())
        assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} <= set(description)
        assert description["DatasetType"] == "derivative"

    @pytest.mark.parametrize("make", [voxel_map, cam])
    def test_the_same_map_gives_the_same_bytes(self, tmp_path, make, monkeypatch):
        first = save_map(make(), tmp_path / "a")
        monkeypatch.setattr(os, "getpid", lambda: 7654321)
        again = save_map(make(), tmp_path / "b")
        reloaded = save_map(load_map(first), tmp_path / "c")
        for other in (again, reloaded):
            assert first.read_bytes() == other.read_bytes()
            assert sidecar_path(first).read_bytes() == sidecar_path(other).read_bytes()
        before = first.read_bytes()
        save_map(make(), tmp_path / "a")
        assert first.read_bytes() == before

    def test_only_whole_maps_are_found(self, tmp_path):
        paths = [save_map(voxel_map(target_name=name), tmp_path) for name in ("PD", "CR")]
        unfinished = save_map(voxel_map(target_name="SD"), tmp_path)
        sidecar_path(unfinished).unlink()
        assert find_maps(tmp_path) == sorted(paths)

    def test_a_description_of_the_user_is_kept(self, tmp_path):
        (tmp_path / "dataset_description.json").write_text("{}")
        write_description(tmp_path)
        assert (tmp_path / "dataset_description.json").read_text() == "{}"


class TestBrokenFiles:
    def test_no_sidecar(self, tmp_path):
        path = save_map(voxel_map(), tmp_path)
        sidecar_path(path).unlink()
        with pytest.raises(VolumeError, match=r"statmap\.nii\.gz has no sidecar"):
            load_map(path)

    def test_no_image(self, tmp_path):
        path = save_map(voxel_map(), tmp_path)
        path.unlink()
        with pytest.raises(VolumeError, match=re.escape(str(path))):
            load_map(path)

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.95])
    def test_a_truncated_image(self, tmp_path, share):
        path = save_map(voxel_map(), tmp_path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(VolumeError, match=re.escape(str(path))):
            load_map(path)

    def test_a_damaged_image(self, tmp_path):
        path = save_map(voxel_map(), tmp_path)
        whole = bytearray(path.read_bytes())
        whole[60:400] = bytes(0xFF for _ in range(340))
        path.write_bytes(bytes(whole))
        with pytest.raises(VolumeError, match=re.escape(str(path))):
            load_map(path)

    def test_an_image_with_nan(self, tmp_path):
        path = save_map(cam(), tmp_path)
        image = nib.load(path)
        data = image.get_fdata().astype(np.float32)
        data[1, 2, 3] = np.nan
        nib.save(nib.Nifti1Image(data, image.affine), path)
        with pytest.raises(VolumeError, match=rf"{re.escape(str(path))}.*NaN"):
            load_map(path)

    @pytest.mark.parametrize("content", ["", "{", "[1]", "null", "{}", '{"channels": ["T1"]}'])
    def test_a_sidecar_that_is_not_this_maps(self, tmp_path, content):
        path = save_map(voxel_map(), tmp_path)
        sidecar_path(path).write_text(content)
        with pytest.raises(VolumeError, match="statmap"):
            load_map(path)

    def test_not_an_image(self, tmp_path):
        path = save_map(voxel_map(), tmp_path)
        path.write_bytes(gzip.compress(b"no image" * 100))
        with pytest.raises(VolumeError, match=re.escape(str(path))):
            load_map(path)

    @pytest.mark.parametrize("bad", [np.float32(1), float("nan"), {1, 2}])
    def test_a_meta_that_json_cannot_hold_leaves_nothing(self, tmp_path, bad):
        with pytest.raises(ConfigError, match="must hold JSON values"):
            save_map(voxel_map(extra=bad), tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_new_image_is_never_left_beside_an_old_sidecar(self, tmp_path, monkeypatch):
        path = save_map(voxel_map(), tmp_path)

        def interrupted(_path, _text):
            raise KeyboardInterrupt

        monkeypatch.setattr("xrano.map_files.write_text", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_map(voxel_map(logits={}), tmp_path)
        assert find_maps(tmp_path) == []
        assert path.is_file()

    def test_what_a_name_is_made_of_must_be_there(self, tmp_path):
        bare = AttributionMap(voxel_map().data, GRID, CHANNELS, {"method": "ig"})
        with pytest.raises(ConfigError, match="patient_id, prior, current, target_name"):
            save_map(bare, tmp_path)


class TestNames:
    def test_bids(self):
        stem = voxel_map().stem
        folder, session, name = stem.split("/")
        assert (folder, session) == ("sub-Patient042", "ses-week012")
        entities = name.split("_")
        assert entities[:2] == [folder, session]
        assert entities[-1] == "statmap"
        labels = dict(entity.split("-") for entity in entities[:-1])
        assert list(labels) == ["sub", "ses", "desc", "stat"]
        assert all(label.isascii() and label.isalnum() for label in labels.values())
        assert "igPriorPD" in labels["desc"]
        assert "week000x1" in labels["desc"]

    @pytest.mark.parametrize(
        "meta",
        [
            {"patient_id": "Patient-043"},
            {"prior": "week-001"},
            {"current": "week-013"},
            {"method": "saliency"},
            {"baseline": "zero"},
            {"baseline": ""},
            {"target_name": "SD"},
            {"layer": "backbone.features.denseblock2"},
        ],
    )
    def test_what_differs_has_another_name(self, meta):
        assert voxel_map(**meta).stem != voxel_map().stem

    @pytest.mark.parametrize(
        ("a", "b"),
        [("net.1.10", "net.11.0"), ("block1.0.conv", "block10.conv"), ("0.1.1", "0.11"), ("1", "")],
    )
    def test_layers_of_a_sequence_keep_apart(self, a, b):
        assert cam(layer=a).stem != cam(layer=b).stem

    def test_patients_numbered_by_centre_keep_apart(self):
        assert voxel_map(patient_id="1-10").stem != voxel_map(patient_id="11-0").stem
        assert voxel_map(current="week-000-1").stem != voxel_map(current="week-0001").stem


LEFT = np.array([-34.0, 12.0, 18.0])
"""World mm in the patient's left hemisphere."""


def centred(shape, linear):
    return Grid(shape, affine_of(linear, np.array([1.0, -3, 8]) - linear @ np.divide(shape, 2)))


SCANS = {
    "RAS": centred((31, 27, 25), np.diag([3.5, 4.1, 3.9])),
    "LAS": centred((31, 27, 25), np.diag([-3.5, 4.1, 3.9])),
    "PIR": centred((27, 25, 31), np.array([[0, 0, 3.5], [-4.1, 0, 0], [0, -3.9, 0]])),
    "oblique": centred((33, 29, 27), rotation(17, 8, -12) @ np.diag([-3.3, 4.1, 3.9])),
}


def blob(grid, width=9.0):
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return np.exp(-((np.linalg.norm(world - LEFT, axis=-1) / width) ** 2))


def centre_of_mass(volume, grid):
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return (world * volume[..., None]).sum(axis=(0, 1, 2)) / volume.sum()


class TestOtherGrids:
    @pytest.mark.parametrize("there", SCANS)
    @pytest.mark.parametrize("here", SCANS)
    def test_left_stays_left_through_file_and_resampling(self, tmp_path, here, there):
        source, target = SCANS[here], SCANS[there]
        data = np.zeros((2, *source.shape), np.float32)
        data[1] = blob(source)
        start = AttributionMap(data, source, ("prior_T1", "current_T1"), META)
        loaded = load_map(save_map(start, tmp_path))
        for attribution in (loaded, loaded.resample_to(target)):
            found = centre_of_mass(attribution.data[1], attribution.grid)
            assert found == pytest.approx(LEFT, abs=0.5)
            assert not attribution.data[0].any()
        moved = loaded.resample_to(target)
        assert moved.grid is target
        assert moved.channels == loaded.channels
        assert moved.meta == {**loaded.meta, "resampled": True}
        back = load_map(save_map(moved, tmp_path / "moved"))
        assert centre_of_mass(back.data[1], back.grid) == pytest.approx(LEFT, abs=0.5)
        peak = np.unravel_index(back.data[1].argmax(), target.shape)
        assert back.grid.world(peak) == pytest.approx(LEFT, abs=4)

    def test_every_channel_is_carried_alone(self):
        attribution, target = voxel_map(), SCANS["LAS"]
        moved = attribution.resample_to(target)
        for index in range(4):
            expected = resample(attribution.data[index], GRID, target)
            assert np.array_equal(moved.data[index], expected)

    def test_a_coarse_cam_speaks_for_what_lies_beyond_its_outermost_centres(self):
        cells = Grid((2, 3, 2), affine_of(np.diag([32.0, 28.0, 36.0]), (-16, -28, -18)))
        data = np.arange(1.0, 13).reshape(cells.shape)
        fine = Grid((9, 11, 13), affine_of(np.diag([-12.0, 11.0, 9.0]), (48, -55, -54)))
        attribution = cam(cells, data)
        assert attribution.coarse
        moved = attribution.resample_to(fine).data[0]
        for index in itertools.product(*(range(size) for size in fine.shape)):
            position = np.clip(cells.voxel(fine.world(index)), 0, np.array(cells.shape) - 1)
            # Linear in the index, so that trilinear interpolation is exact.
            assert moved[index] == pytest.approx(1 + position @ (6, 2, 1), rel=1e-5)

    def test_a_voxel_map_says_nothing_beyond_its_own_field(self):
        ones = AttributionMap(np.ones((4, *SHAPE), np.float32), GRID, CHANNELS, META)
        assert not ones.coarse
        bigger = GRID.crop((-3, -2, -4), (11, 10, 15))
        moved = ones.resample_to(bigger).data
        inside = np.zeros(bigger.shape, dtype=bool)
        inside[3:8, 2:8, 4:11] = True
        assert np.array_equal(moved, np.broadcast_to(inside, moved.shape))

    def test_a_merged_map_without_a_layer_is_not_coarse(self):
        assert not cam(layer="").coarse

    def test_a_single_cell_covers_everything(self):
        cell = Grid((1, 1, 1), affine_of(np.diag([32.0, 32.0, 32.0]), (3, 4, 5)))
        moved = cam(cell, np.full((1, 1, 1), 0.5)).resample_to(SCANS["oblique"])
        assert (moved.data == 0.5).all()


def test_another_output_is_another_file():
    names = {voxel_map(output=output).stem for output in ("logit", "log_softmax", "probability")}
    assert len(names) == 3
    assert voxel_map(output="logit").stem == voxel_map().stem
