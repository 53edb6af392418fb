"""Files of maps: they keep place, values and bytes, and every map has a name of its own."""

from __future__ import annotations

import json
import os

import nibabel as nib
import numpy as np
import pytest
from map_cases import CHANNELS, GRID, META, OBLIQUE, SHAPE, affine_of, cam, voxel_map

from xrano.errors import GridMismatchError
from xrano.geometry import Grid, image_grid
from xrano.map_files import find_maps, load_map, save_map, sidecar_path, write_description


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


def test_another_output_is_another_file():
    names = {voxel_map(output=output).stem for output in ("logit", "log_softmax", "probability")}
    assert len(names) == 3
    assert voxel_map(output="logit").stem == voxel_map().stem
