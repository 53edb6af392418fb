from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from affines import rigid_matrix
from fuzz_limits import bounded
from nibabel.affines import apply_affine

from xrano.data.registration.ants_images import load_ants
from xrano.data.registration.itk_transforms import read_itk_transform, write_itk_transform
from xrano.errors import VolumeError

HEAD = "#Insight Transform File V1.0\n"
POINTS = np.array([[0.0, 0.0, 0.0], [10.0, -20.0, 30.0], [-55.5, 7.25, 81.0]])
FILES = {
    "MatrixOffsetTransformBase": (
        "1.01 0.02 -0.03 -0.015 0.98 0.04 0.025 -0.05 1.03 4 -5 6",
        "0.5 13 -14.75",
    ),
    "AffineTransform": ("0.9 0 0.1 0 1.1 0 -0.1 0.2 1 1 2 3", "-7 8 9"),
    "Euler3DTransform": ("0.1 -0.2 0.3 4 5 -6", "1 -2 3 0"),
    "Euler3DTransform about z, y, x": ("0.1 -0.2 0.3 4 5 -6", "1 -2 3 1"),
    "VersorRigid3DTransform": ("0.05 -0.1 0.2 7 -8 9", "10 20 -30"),
    "TranslationTransform": ("1.5 -2.5 3.5", ""),
}


def write(path: Path, kind: str, parameters: str, fixed: str, number: int = 0) -> str:
    text = (
        f"#Transform {number}\nTransform: {kind.split()[0]}_double_3_3\n"
        f"Parameters: {parameters}\nFixedParameters: {fixed}\n"
    )
    path.write_text(HEAD + text)
    return text


def lps(points: np.ndarray) -> np.ndarray:
    return points * [-1, -1, 1]


@pytest.mark.parametrize("kind", FILES)
def test_points_go_where_itk_takes_them(kind: str, tmp_path: Path):
    path = tmp_path / "given.txt"
    write(path, kind, *FILES[kind])
    transform = load_ants().read_transform(str(path))
    expected = [transform.apply_to_point(list(point)) for point in lps(POINTS)]
    # The binding works in float32.
    found = apply_affine(read_itk_transform(path), POINTS)
    np.testing.assert_allclose(found, lps(np.array(expected)), rtol=0, atol=5e-5)


def test_left_and_back_become_right_and_front(tmp_path: Path):
    path = tmp_path / "shift.tfm"
    write(path, "AffineTransform", "1 0 0 0 1 0 0 0 1 10 20 30", "0 0 0")
    np.testing.assert_array_equal(read_itk_transform(path)[:3, 3], (-10, -20, 30))


def test_the_centre_stays_in_a_turn_about_it(tmp_path: Path):
    path = tmp_path / "turn.txt"
    write(path, "Euler3DTransform", "0 0 0.5 0 0 0", "10 20 30")
    np.testing.assert_allclose(
        apply_affine(read_itk_transform(path), (-10, -20, 30)), (-10, -20, 30), atol=1e-12
    )


def test_of_several_transforms_the_last_is_applied_first(tmp_path: Path):
    path = tmp_path / "composite.txt"
    double = write(path, "AffineTransform", "2 0 0 0 2 0 0 0 2 0 0 0", "0 0 0")
    shift = write(path, "AffineTransform", "1 0 0 0 1 0 0 0 1 0 0 5", "0 0 0", 1)
    composite = "#Transform 0\nTransform: CompositeTransform_double_3_3\n"
    path.write_text(HEAD + composite + double + shift)
    np.testing.assert_array_equal(apply_affine(read_itk_transform(path), (0, 0, 1)), (0, 0, 12))


@pytest.mark.parametrize("suffix", [".txt", ".tfm"])
def test_a_written_matrix_is_read_back_bit_for_bit(suffix: str, tmp_path: Path):
    matrix = rigid_matrix()
    matrix[0, 1] += 0.123456789
    path = tmp_path / f"found{suffix}"
    write_itk_transform(path, matrix)
    np.testing.assert_array_equal(read_itk_transform(path), matrix)


def test_ants_reads_what_is_written_and_its_mat_is_read(tmp_path: Path):
    ants = load_ants()
    text, binary = tmp_path / "found.txt", tmp_path / "found.mat"
    write_itk_transform(text, rigid_matrix())
    ants.write_transform(ants.read_transform(str(text)), str(binary))
    np.testing.assert_allclose(read_itk_transform(binary), rigid_matrix(), rtol=0, atol=1e-5)


ZEROS = " ".join(["0"] * 12)


@pytest.mark.parametrize(
    ("kind", "parameters", "fixed", "message"),
    [
        ("", "1", "", "what kind of transform"),
        ("AffineTransform_double_3_3", "1 x", "", "no number"),
        ("AffineTransform_double_2_2", "1 0 0 1 5 6", "0 0", "with 6 parameters"),
        ("BSplineTransform_double_3_3", "1 2", "0", "BSplineTransform"),
        ("AffineTransform_double_3_3", ZEROS, "0 0 0", "cannot be inverted"),
    ],
)
def test_what_is_no_linear_transform_is_refused(
    kind: str, parameters: str, fixed: str, message: str, tmp_path: Path
):
    path = tmp_path / "bad.txt"
    path.write_text(
        f"{HEAD}Transform: {kind}\nParameters: {parameters}\nFixedParameters: {fixed}\n"
    )
    with pytest.raises(VolumeError, match=message) as caught:
        read_itk_transform(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 5\n0 1 0 6\n0 0 1 7\n0 0 0 1\n", "must begin with '#Insight"),
        (HEAD, "must hold Transform, Parameters, FixedParameters"),
    ],
)
def test_files_that_hold_no_linear_transform_are_refused(text: str, message: str, tmp_path: Path):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(VolumeError, match=message) as caught:
        read_itk_transform(path)
    assert str(path) in str(caught.value)


def test_missing_and_binary_files_are_refused(tmp_path: Path):
    with pytest.raises(VolumeError, match="does not exist"):
        read_itk_transform(tmp_path / "missing.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VolumeError, match=r"binary form ends in \.mat"):
        read_itk_transform(tmp_path / "bytes.txt")
    (tmp_path / "bytes.mat").write_bytes(b"\x00\x01")
    with pytest.raises(VolumeError, match="cannot be read as an ITK transform"):
        read_itk_transform(tmp_path / "bytes.mat")


def mat(name: bytes, values: list[float], rows: int | None = None, length: int | None = None):
    """A matrix in the form of MATLAB 4: kind, rows, columns, complex or not, length of the name."""
    shape = (len(values) if rows is None else rows, 1)
    head = struct.pack("<5i", 0, *shape, 0, len(name) + 1 if length is None else length)
    return head + name + b"\0" + np.array(values, "<f8").tobytes()


AFFINE = [0.0, 1.0, 0, -1.0, 0, 0, 0, 0, 1.0, 4.0, 5.0, 6.0]
FIXED = mat(b"fixed", [1.0, 2.0, 3.0])


def test_a_binary_file_is_read_without_ants(tmp_path: Path):
    text = tmp_path / "t.txt"
    numbers = " ".join(map(str, AFFINE))
    text.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 1 2 3\n"
    )
    (tmp_path / "t.mat").write_bytes(mat(b"AffineTransform_double_3_3", AFFINE) + FIXED)
    np.testing.assert_array_equal(read_itk_transform(tmp_path / "t.mat"), read_itk_transform(text))


@pytest.mark.parametrize(
    "content",
    [
        mat(b"AffineTransform_double_3_3", AFFINE, rows=500_000_000) + FIXED,
        mat(b"AffineTransform_double_3_3", AFFINE, rows=2**31 - 1) + FIXED,
        mat(b"AffineTransform_double_3_3", AFFINE, rows=-5) + FIXED,
        mat(b"AffineTransform_double_3_3", AFFINE, length=2**31 - 1),
        mat(b"Evil", AFFINE) + FIXED,
        mat(b"AffineTransform_double_3_3", AFFINE),
        (mat(b"AffineTransform_double_3_3", AFFINE) + FIXED) * 2,
        mat(b"AffineTransform_double_3_3", AFFINE) + FIXED + bytes(1 << 16),
        b"MATLAB 5.0 MAT-file" + bytes(105) + b"\x00\x01IM",
        b"",
    ],
)
def test_binary_files_that_claim_or_hold_something_else_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "t.mat").write_bytes(content)
    with bounded(memory=50 << 20), pytest.raises(VolumeError, match=r"t\.mat") as caught:
        read_itk_transform(tmp_path / "t.mat")
    assert "\n" not in str(caught.value)
