from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xrano.data.nifti_files import open_nifti, read_grid, read_nifti
from xrano.data.phantom.anatomy import rotation
from xrano.data.volumes import read_labels, read_mask, read_scan, require_on_grid
from xrano.errors import GridMismatchError, LabelSchemeError, VolumeError, XranoWarning

SHAPE = (5, 3, 6)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = rotation(np.array([12.0, 5.0, -17.0])) @ np.diag([-0.9, 1.2, 5.0])
OBLIQUE[:3, 3] = 40.0, -33.0, 2.0


def save(path: Path, data: np.ndarray, affine: np.ndarray = OBLIQUE, kind=nib.Nifti1Image) -> Path:
    nib.save(kind(data, affine), path)
    return path


def numbers(dtype: type = np.float32) -> np.ndarray:
    return np.arange(1, 1 + np.prod(SHAPE)).reshape(SHAPE).astype(dtype)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["T1.nii", "T1.nii.gz", "Frühe Bilder 1/T1 nativ ä.nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_values_keep_their_stored_type_and_place(tmp_path: Path, kind, name: str, dtype):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    image, values, grid = read_nifti(save(path, numbers(dtype), kind=kind))
    assert values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(values, numbers())
    assert grid.shape == SHAPE
    np.testing.assert_allclose(grid.affine, OBLIQUE, atol=1e-5)
    assert isinstance(image, kind)


def test_files_from_machines_that_write_the_other_end_first(tmp_path: Path):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.save(nib.Nifti1Image(numbers(">i2"), OBLIQUE, header), tmp_path / "T1.nii")
    _, values, grid = read_nifti(tmp_path / "T1.nii")
    assert values.dtype == np.dtype(">i2")
    np.testing.assert_array_equal(values, numbers())
    np.testing.assert_allclose(grid.affine, OBLIQUE, atol=1e-5)
    np.testing.assert_array_equal(read_scan(tmp_path / "T1.nii").data, numbers())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_grid_is_read_from_the_header_alone(tmp_path: Path, suffix: str):
    rng = np.random.default_rng(0)
    path = save(tmp_path / f"T1{suffix}", rng.normal(size=(20, 30, 25)).astype(np.float32))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if suffix == ".nii.gz":
        assert read_grid(path).shape == (20, 30, 25)
        assert open_nifti(path)[1].matches(read_grid(path))
    with pytest.raises(VolumeError, match="cut off or broken: copy it again"):
        read_nifti(path)


@pytest.mark.parametrize("read", [read_grid, read_nifti, open_nifti])
def test_what_a_header_can_tell_is_told_without_voxels(tmp_path: Path, read):
    (tmp_path / "text.nii").write_text("no image at all, but long enough to be read as one" * 20)
    flat = numbers()[..., 0]
    singular = OBLIQUE.copy()
    singular[:3, 2] = singular[:3, 1]
    for name, path in {
        "does not exist": tmp_path / "nowhere.nii",
        "is a folder; a": tmp_path,
        "cannot be read": tmp_path / "text.nii",
        r"shape \(5, 3\); one volume of three axes": save(tmp_path / "flat.nii", flat),
        "cannot be inverted": save(tmp_path / "singular.nii", numbers(), singular),
        "MGHImage; a NIfTI file": save(tmp_path / "T1.mgz", numbers(), kind=nib.MGHImage),
    }.items():
        with pytest.raises(VolumeError, match=name) as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_voxels_that_are_no_real_numbers_are_refused(tmp_path: Path, dtype):
    with pytest.raises(VolumeError, match=r"T1\.nii holds .* voxels; real numbers"):
        read_nifti(save(tmp_path / "T1.nii", np.ones(SHAPE, dtype)))


def test_a_trailing_axis_of_one_is_dropped(tmp_path: Path):
    _, values, grid = read_nifti(save(tmp_path / "T1.nii", numbers()[..., None, None]))
    assert values.shape == grid.shape == SHAPE


# --- intensities that scanners and tools leave behind


def test_int16_with_negative_values(tmp_path: Path):
    data = numbers(np.int16) - 40
    scan = read_scan(save(tmp_path / "T1.nii.gz", data))
    np.testing.assert_array_equal(scan.data, data.astype(np.float32))
    assert scan.data.min() == -39


@pytest.mark.parametrize(
    ("dtype", "ceiling", "slope"),
    [(np.int16, 32767, 1.0), (np.uint8, 255, 1.0), (np.uint16, 65535, 1.0), (np.int16, 32767, 0.5)],
)
def test_a_scan_clipped_at_the_largest_value_is_remarked(tmp_path: Path, dtype, ceiling, slope):
    data = numbers(dtype)
    data[0] = ceiling
    image = nib.Nifti1Image(data, OBLIQUE)
    image.header.set_slope_inter(slope, 0)
    nib.save(image, tmp_path / "T1.nii.gz")
    share = 18 / data.size
    words = rf"T1\.nii\.gz: {share:.1%} of the voxels sit at {ceiling * slope:g}.*clipped"
    with pytest.warns(XranoWarning, match=words):
        found = read_scan(tmp_path / "T1.nii.gz")
    assert found.data.max() == ceiling * slope


@pytest.mark.filterwarnings("error")
def test_one_voxel_at_the_ceiling_or_a_float_of_that_value_is_not_clipping(tmp_path: Path):
    whole = np.full((20, 30, 2), 7, np.int16)
    whole[0, 0, 0] = 32767
    read_scan(save(tmp_path / "one.nii", whole))
    read_scan(save(tmp_path / "float.nii", np.full(SHAPE, 32767, np.float32)))


# --- masks and labels


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_a_hair_off_their_integer_are_that_integer(tmp_path: Path, dtype):
    data = np.zeros(SHAPE, dtype)
    data[1:3] = 0.99999997
    data[3] = 2.0000002
    path = save(tmp_path / "mask.nii.gz", data)
    assert read_mask(path).mask.sum() == np.count_nonzero(data)
    found = read_labels(path, "lumiere-deepbratumia").labels
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(np.unique(found, return_counts=True)[1], [36, 36, 18])
    assert (found[1:3] == 1).all()


@pytest.mark.parametrize("value", [0.5, 0.99, -0.02, 1.4])
def test_probabilities_are_neither_mask_nor_labels(tmp_path: Path, value: float):
    data = np.zeros(SHAPE, np.float32)
    data[1, 1, 1] = value
    path = save(tmp_path / "mask.nii", data)
    for read in (lambda p: read_mask(p, allow_empty=True), lambda p: read_labels(p, "binary")):
        with pytest.raises(VolumeError, match=r"mask\.nii: 1 voxels are no integer"):
            read(path)


def test_masks_and_labels_out_of_range_are_refused(tmp_path: Path):
    path = save(tmp_path / "mask.nii", numbers(np.int16) - 5)
    with pytest.raises(VolumeError, match="positive values, found -4"):
        read_mask(path)
    with pytest.raises(LabelSchemeError, match=r"mask\.nii"):
        read_labels(path, "binary")
    empty = save(tmp_path / "empty.nii", np.zeros(SHAPE, np.uint8))
    with pytest.raises(VolumeError, match="the mask is empty"):
        read_mask(empty)
    assert not read_mask(empty, allow_empty=True).mask.any()
    assert not read_labels(empty, "binary").labels.any()


def test_files_are_joined_by_the_world_and_not_by_the_order_of_axes(tmp_path: Path):
    scan = read_scan(save(tmp_path / "T1.nii", numbers()))
    turned = nib.Nifti1Image(numbers(np.uint8), OBLIQUE).as_reoriented(
        np.array([[2, -1], [0, 1], [1, -1]])
    )
    nib.save(turned, tmp_path / "mask.nii")
    mask = read_mask(tmp_path / "mask.nii")
    assert mask.grid.shape != scan.grid.shape
    require_on_grid(mask, scan)
    # The same array and shape, but another world.
    mirrored = OBLIQUE @ np.diag([-1.0, 1.0, 1.0, 1.0])
    other = read_mask(save(tmp_path / "other.nii", numbers(np.uint8), mirrored))
    with pytest.raises(GridMismatchError, match=r"other\.nii and .*T1\.nii"):
        require_on_grid(other, scan)
