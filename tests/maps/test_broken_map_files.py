"""Maps whose files are missing, cut off or damaged, and maps that cannot be saved."""

from __future__ import annotations

import gzip
import re

import nibabel as nib
import numpy as np
import pytest
from map_cases import CHANNELS, GRID, cam, voxel_map

from xrano.errors import ConfigError, VolumeError
from xrano.map_files import find_maps, load_map, save_map, sidecar_path
from xrano.maps import AttributionMap


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
