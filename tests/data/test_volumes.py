from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xrano.data.volumes import read_labels, read_mask, read_scan, require_on_grid
from xrano.errors import GridMismatchError, LabelSchemeError, UnknownNameError, VolumeError

SHAPE = (4, 5, 7)
ANGLE = np.deg2rad(20)
OBLIQUE = np.array(
    [
        [-0.9 * np.cos(ANGLE), 1.4 * np.sin(ANGLE), 0.0, 30.0],
        [0.9 * np.sin(ANGLE), 1.4 * np.cos(ANGLE), 0.0, -20.0],
        [0.0, 0.0, 5.0, 7.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
SCHEME = "lumiere-deepbratumia"


def _save(path: Path, data: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def _values(dtype: type = np.float32) -> np.ndarray:
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)


class TestGoodScans:
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
    def test_values_and_place(self, tmp_path: Path, dtype: type, suffix: str) -> None:
        scan = read_scan(_save(tmp_path / f"T1{suffix}", _values(dtype)))
        assert scan.data.dtype == np.float32
        assert np.array_equal(scan.data, _values())
        assert scan.grid.shape == SHAPE
        assert np.allclose(scan.grid.affine, OBLIQUE, atol=1e-5)
        assert scan.path == tmp_path / f"T1{suffix}"

    def test_header_is_kept(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(_values(), OBLIQUE)
        image.set_sform(OBLIQUE, code=4)
        image.set_qform(OBLIQUE, code=1)
        nib.save(image, tmp_path / "T1.nii.gz")
        header = read_scan(tmp_path / "T1.nii.gz").image.header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 1)

    def test_stored_scale_is_applied(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(_values(np.int16), OBLIQUE)
        image.header.set_slope_inter(0.5, -3)
        nib.save(image, tmp_path / "T1.nii")
        assert np.array_equal(read_scan(tmp_path / "T1.nii").data, 0.5 * _values() - 3)

    def test_trailing_axes_of_size_one_are_dropped(self, tmp_path: Path) -> None:
        path = _save(tmp_path / "T1.nii.gz", _values()[..., None])
        assert nib.load(path).shape == (*SHAPE, 1)
        assert np.array_equal(read_scan(path).data, _values())


class TestBadScans:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match=r"absent\.nii\.gz does not exist"):
            read_scan(tmp_path / "absent.nii.gz")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("kept", [0, 1, 40, 200, 0.6, 0.95])
    def test_cut_off(self, tmp_path: Path, suffix: str, kept: float) -> None:
        rng = np.random.default_rng(0)
        path = _save(tmp_path / f"T1{suffix}", rng.normal(size=SHAPE).astype(np.float32))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
        with pytest.raises(VolumeError, match=rf"T1{suffix} cannot be read"):
            read_scan(path)

    def test_broken_inside(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        path = _save(tmp_path / "T1.nii.gz", rng.normal(size=SHAPE).astype(np.float32))
        content = bytearray(path.read_bytes())
        content[20:60] = bytes(40)
        path.write_bytes(bytes(content))
        with pytest.raises(VolumeError, match=r"T1\.nii\.gz cannot be read"):
            read_scan(path)

    def test_text_under_the_name_of_an_image(self, tmp_path: Path) -> None:
        (tmp_path / "T1.nii.gz").write_bytes(gzip.compress(b"<html>not found</html>" * 40))
        (tmp_path / "T2.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\n")
        for name in ("T1", "T2"):
            with pytest.raises(VolumeError, match=rf"{name}\.nii\.gz cannot be read"):
                read_scan(tmp_path / f"{name}.nii.gz")

    def test_other_format(self, tmp_path: Path) -> None:
        nib.save(nib.MGHImage(_values(), OBLIQUE), tmp_path / "T1.mgz")
        with pytest.raises(VolumeError, match=r"MGHImage; a NIfTI file is needed"):
            read_scan(tmp_path / "T1.mgz")

    @pytest.mark.parametrize("shape", [(4, 5, 7, 2), (4, 5), (4, 5, 7, 1, 3)])
    def test_axes(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        path = _save(tmp_path / "T1.nii.gz", np.ones(shape, np.float32))
        with pytest.raises(VolumeError, match=r"T1\.nii\.gz has shape .* three axes"):
            read_scan(path)

    @pytest.mark.parametrize(
        ("value", "found"), [(np.nan, "1 voxels are NaN"), (-np.inf, "1 infinite")]
    )
    def test_not_finite(self, tmp_path: Path, value: float, found: str) -> None:
        data = _values()
        data[1, 2, 3] = value
        with pytest.raises(VolumeError, match=rf"T1\.nii\.gz: .*{found}.*of 140"):
            read_scan(_save(tmp_path / "T1.nii.gz", data))

    def test_too_large_for_float32(self, tmp_path: Path) -> None:
        data = _values(np.float64)
        data[0, 0, 0] = 1e300
        with pytest.raises(VolumeError, match="1 infinite"):
            read_scan(_save(tmp_path / "T1.nii.gz", data))

    def test_all_zero(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match=r"T1\.nii\.gz: every voxel is 0"):
            read_scan(_save(tmp_path / "T1.nii.gz", np.zeros(SHAPE, np.float32)))

    def test_complex(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match="complex64 voxels; real numbers"):
            read_scan(_save(tmp_path / "T1.nii.gz", _values(np.complex64)))

    def test_affine_that_cannot_be_inverted(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(_values(), None)
        image.header["sform_code"] = 1
        image.header["srow_x"] = [1, 0, 0, 0]
        image.header["srow_y"] = [1, 0, 0, 0]
        image.header["srow_z"] = [0, 0, 1, 0]
        image.to_filename(tmp_path / "T1.nii")
        assert abs(np.linalg.det(nib.load(tmp_path / "T1.nii").affine)) < 1e-9
        with pytest.raises(VolumeError, match=r"T1\.nii: the affine cannot be inverted"):
            read_scan(tmp_path / "T1.nii")


class TestLabels:
    def _labels(self) -> np.ndarray:
        labels = np.zeros(SHAPE, np.uint8)
        labels[1, 2, 3], labels[2, 2, 3], labels[3, 4, 6] = 1, 2, 3
        return labels

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
    def test_values(self, tmp_path: Path, dtype: type) -> None:
        path = _save(tmp_path / "seg.nii.gz", self._labels().astype(dtype))
        segmentation = read_labels(path, SCHEME)
        assert segmentation.labels.dtype == np.uint8
        assert np.array_equal(segmentation.labels, self._labels())
        assert (segmentation.scheme, segmentation.path) == (SCHEME, path)

    def test_nearly_integers_are_rounded(self, tmp_path: Path) -> None:
        data = self._labels() - np.float32(3e-8) * self._labels()
        data[1, 2, 3] = 0.9995
        segmentation = read_labels(_save(tmp_path / "seg.nii.gz", data), SCHEME)
        assert np.array_equal(segmentation.labels, self._labels())

    def test_not_integers(self, tmp_path: Path) -> None:
        data = self._labels().astype(np.float32)
        data[0, 0, 0] = 0.37
        with pytest.raises(VolumeError, match=r"seg\.nii\.gz: 1 voxels .*0\.37"):
            read_labels(_save(tmp_path / "seg.nii.gz", data), SCHEME)

    def test_unknown_label(self, tmp_path: Path) -> None:
        data = self._labels()
        data[0, 0, 0] = 4
        with pytest.raises(LabelSchemeError, match=r"seg\.nii\.gz: labels \[4\]"):
            read_labels(_save(tmp_path / "seg.nii.gz", data), SCHEME)

    def test_a_label_does_not_wrap_around(self, tmp_path: Path) -> None:
        data = self._labels().astype(np.int16)
        data[0, 0, 0] = 257
        with pytest.raises(LabelSchemeError, match=r"labels \[257\]"):
            read_labels(_save(tmp_path / "seg.nii.gz", data), SCHEME)

    def test_an_empty_segmentation_is_fine(self, tmp_path: Path) -> None:
        path = _save(tmp_path / "seg.nii.gz", np.zeros(SHAPE, np.uint8))
        assert not read_labels(path, SCHEME).labels.any()

    def test_not_finite(self, tmp_path: Path) -> None:
        data = self._labels().astype(np.float32)
        data[0, 0, 0] = np.nan
        with pytest.raises(VolumeError, match="1 voxels are NaN"):
            read_labels(_save(tmp_path / "seg.nii.gz", data), SCHEME)

    def test_unknown_scheme_before_the_file_is_looked_for(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownNameError, match="label scheme 'brats'"):
            read_labels(tmp_path / "absent.nii.gz", "brats")


class TestMasks:
    @pytest.mark.parametrize("value", [1, 255, 0.99999997])
    def test_values(self, tmp_path: Path, value: float) -> None:
        data = np.zeros(SHAPE, np.float64)
        data[1:3, 2, 4:] = value
        mask = read_mask(_save(tmp_path / "mask.nii.gz", data)).mask
        assert mask.dtype == np.bool_
        assert np.array_equal(mask, data > 0)

    def test_empty(self, tmp_path: Path) -> None:
        path = _save(tmp_path / "mask.nii.gz", np.zeros(SHAPE, np.uint8))
        with pytest.raises(VolumeError, match=r"mask\.nii\.gz: the mask is empty"):
            read_mask(path)
        assert not read_mask(path, allow_empty=True).mask.any()

    @pytest.mark.parametrize(("value", "found"), [(0.4, "probability map"), (-1.0, "found -1")])
    def test_no_mask(self, tmp_path: Path, value: float, found: str) -> None:
        data = np.zeros(SHAPE, np.float32)
        data[0, 0, 0] = value
        with pytest.raises(VolumeError, match=found):
            read_mask(_save(tmp_path / "mask.nii.gz", data))


class TestGrids:
    def test_one_grid(self, tmp_path: Path) -> None:
        scan = read_scan(_save(tmp_path / "T1.nii.gz", _values()))
        require_on_grid(read_mask(_save(tmp_path / "mask.nii.gz", _values(np.int16))), scan)

    def test_other_shape_or_affine_names_both_files(self, tmp_path: Path) -> None:
        scan = read_scan(_save(tmp_path / "T1.nii.gz", _values()))
        moved = OBLIQUE.copy()
        moved[2, 3] += 0.5
        shorter = read_mask(_save(tmp_path / "short.nii.gz", _values(np.int16)[:, :, 1:]))
        shifted = read_mask(_save(tmp_path / "shifted.nii.gz", _values(np.int16), moved))
        with pytest.raises(GridMismatchError, match=r"short\.nii\.gz and .*T1\.nii\.gz.*4, 5, 6"):
            require_on_grid(shorter, scan)
        with pytest.raises(GridMismatchError, match=r"shifted\.nii\.gz .*7\.5.* 7\]"):
            require_on_grid(shifted, scan)
