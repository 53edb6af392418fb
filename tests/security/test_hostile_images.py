from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xrano.checked_nifti import LIMIT_VARIABLE, open_checked, read_voxels, volume_limit
from xrano.data.nifti_files import read_nifti
from xrano.data.volumes import read_labels, read_mask, read_scan
from xrano.errors import ConfigError, VolumeError
from xrano.map_files import load_map

SHAPE = (5, 3, 4)
AFFINE = np.array([[-2.0, 0.1, 0, 9], [0.1, 2.5, 0, -3], [0, 0, 3, 1], [0, 0, 0, 1]])


def plain(dtype: str = "<f4") -> bytearray:
    header = nib.Nifti1Header(endianness=dtype[0])
    header.set_data_dtype(dtype)
    values = np.arange(60).reshape(SHAPE).astype(dtype)
    return bytearray(nib.Nifti1Image(values, AFFINE, header).to_bytes())


def with_fields(content: bytearray, fields: dict[int, tuple[str, float]]) -> bytearray:
    """Changed at the places of nifti1.h, little-endian."""
    for at, (kind, value) in fields.items():
        struct.pack_into(f"<{kind}", content, at, value)
    return content


def claimed(i: int, j: int, k: int) -> bytearray:
    shape = {40: ("h", 3), 42: ("h", i), 44: ("h", j), 46: ("h", k)}
    return with_fields(plain(), shape)


@pytest.fixture(params=[".nii", ".nii.gz"])
def write(request: pytest.FixtureRequest, tmp_path: Path):
    def run(content: bytes | bytearray) -> Path:
        path = tmp_path / f"T1{request.param}"
        packed = request.param.endswith(".gz")
        path.write_bytes(gzip.compress(bytes(content)) if packed else content)
        return path

    return run


READERS = (read_scan, read_mask, lambda path: read_labels(path, "binary"), read_nifti)


@pytest.mark.parametrize("read", READERS)
def test_a_claim_of_terabytes_is_refused_by_every_reader(write, read):
    path = write(claimed(32767, 32767, 32767))
    with pytest.raises(VolumeError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "32767×32767×32767 voxels of float32, 140,724.6 GB" in message
    assert "more than the 4 GB that one volume may take; if it is right, allow it" in message
    assert f"{LIMIT_VARIABLE}=140725" in message


def test_map_files_go_the_same_way(tmp_path: Path):
    path = tmp_path / "m_statmap.nii.gz"
    path.write_bytes(gzip.compress(bytes(claimed(32767, 32767, 32767))))
    (tmp_path / "m_statmap.json").write_text('{"channels": ["all"]}')
    with pytest.raises(VolumeError, match="more than the 4 GB"):
        load_map(path)


def test_the_limit_is_raised_and_lowered_by_the_variable(write, monkeypatch: pytest.MonkeyPatch):
    path = write(plain())
    monkeypatch.setenv(LIMIT_VARIABLE, "0.000000239")
    with pytest.raises(VolumeError, match="5×3×4 voxels of float32"):
        read_scan(path)
    monkeypatch.setenv(LIMIT_VARIABLE, "0.00000024")
    assert read_scan(path).data.shape == SHAPE
    for wrong in ("many", "0", "-3", "nan", "inf"):
        monkeypatch.setenv(LIMIT_VARIABLE, wrong)
        with pytest.raises(ConfigError, match=f"{LIMIT_VARIABLE} must be a number"):
            read_scan(path)
    monkeypatch.delenv(LIMIT_VARIABLE)
    assert volume_limit() == 4_000_000_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({42: ("h", 0)}, r"claims the shape \(0, 3, 4\); every axis"),
        ({44: ("h", -3)}, r"claims the shape \(5, -3, 4\); every axis"),
        ({40: ("h", 2)}, r"after the last voxel|has shape \(5, 3\); one volume of three axes"),
        ({70: ("h", 9999)}, "cannot be read"),
        ({70: ("h", 0)}, "cannot be read"),
        ({108: ("f", float("nan"))}, "cannot be read"),
        ({108: ("f", float("inf"))}, "cannot be read"),
        ({108: ("f", -16.0)}, "cannot be read"),
        ({108: ("f", 3e38)}, "voxels start at byte"),
        ({280: ("f", float("nan"))}, "an affine is a finite 4 x 4 matrix"),
        (dict.fromkeys(range(280, 328, 4), ("f", 0.0)), "cannot be inverted"),
        ({300: ("f", 0.0), 296: ("f", 0.0)}, "cannot be inverted"),
    ],
)
def test_headers_that_make_no_sense_are_refused(write, fields: dict, message: str):
    path = write(with_fields(plain(), fields))
    with pytest.raises(VolumeError, match=message) as caught:
        read_scan(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kept", [0, 3, 200, 350, 352, 500, 591])
def test_files_that_are_cut_off_are_refused(write, kept: int):
    with pytest.raises(VolumeError, match=r"cannot be read .*copy it again"):
        read_scan(write(plain()[:kept]))


def test_more_than_the_header_tells_of_is_refused(write):
    with pytest.raises(VolumeError, match=r"after the last voxel that its header tells of"):
        read_scan(write(plain() + b"garbage"))


def test_a_compressed_file_is_read_to_its_checksum(tmp_path: Path):
    path = tmp_path / "T1.nii.gz"
    whole = gzip.compress(bytes(plain()))
    wrong = bytearray(whole)
    wrong[-6] ^= 1
    for content in (bytes(wrong), whole + b"garbage", whole[:-4]):
        path.write_bytes(content)
        with pytest.raises(VolumeError, match=r"T1\.nii\.gz cannot be read"):
            read_scan(path)
    # Two parts after each other, and the zeros of a tape's block, are gzip (RFC 1952).
    content = bytes(plain())
    path.write_bytes(gzip.compress(content[:300]) + gzip.compress(content[300:]) + bytes(100))
    assert read_scan(path).data[4, 2, 3] == 59


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("T1.nii.gz", plain(), "is named .gz and is not compressed"),
        ("T1.nii", gzip.compress(bytes(plain())), "is compressed; name it .nii.gz"),
        ("T1.nii.gz", zlib.compress(bytes(plain())), "is not compressed by gzip"),
        ("T1.nii.gz", b"", "it is empty"),
        ("T1.nii", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("T1.nii", b"/annex/objects/MD5E-s3--0.nii\n", "pointer of Git LFS or git-annex"),
        ("T1.nii", plain()[:344] + b"ni1\0" + plain()[348:], r"pair of files \(.hdr and .img\)"),
        ("T1.nii.bz2", plain(), r"named \.nii or \.nii\.gz is needed"),
        ("T1", plain(), r"named \.nii or \.nii\.gz is needed"),
    ],
)
def test_files_that_are_not_what_they_are_called(tmp_path: Path, name: str, content, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VolumeError, match=message) as caught:
        read_scan(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("size", [0, 8, -16, 2**31 - 1, -(2**31)])
def test_what_extensions_claim_of_themselves_is_never_followed(write, size: int):
    content = plain()
    content[348] = 1
    content[352:352] = struct.pack("<ii", size, 6) + bytes(24)
    struct.pack_into("<f", content, 108, 384.0)
    path = write(content)
    assert read_scan(path).data[4, 2, 3] == 59


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2", ">i2", ">f4", "|u1", "<u2", "<i4", "<i8"])
@pytest.mark.parametrize(
    "scale", [(1.0, 0.0), (0.5, -3.0), (1e-8, 2.0), (np.nan, 0.0), (3e38, 0.0)]
)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_values_are_those_of_nibabel(write, dtype: str, scale: tuple[float, float], kind):
    header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    values = np.arange(60).reshape(SHAPE).astype(dtype)
    content = bytearray(kind(values, AFFINE, header).to_bytes())
    length = len(header.binaryblock)
    stored = kind.header_class(bytes(content[:length]))
    stored["scl_slope"], stored["scl_inter"] = scale
    content[:length] = stored.binaryblock
    path = write(content)
    expected = np.asanyarray(nib.load(path).dataobj)
    found = read_voxels(path, open_checked(path))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


# --- memory, in a process of its own

_MEASURE = """
import resource, sys
from pathlib import Path
from xrano.data.volumes import read_mask, read_scan
from xrano.nifti_header import header_text
from xrano.errors import VolumeError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    for read in (read_scan, read_mask, header_text):
        try:
            read(path)
        except VolumeError as error:
            print(path.name, error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_are_refused_before_memory_is_taken(tmp_path: Path):
    zeros = bytes(1 << 20)

    def bomb(name: str, head: bytes, megabytes: int) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        with (tmp_path / name).open("wb") as file:
            file.write(packer.compress(head))
            for _ in range(megabytes):
                file.write(packer.compress(zeros))
            file.write(packer.flush())

    # A small image and 150 MB after it; 150 MB of an extension that runs to the end of the file;
    # 600 MB that the header claims, of which there are none; terabytes.
    bomb("after.nii.gz", bytes(plain()), 150)
    endless = plain()
    endless[348] = 1
    endless[352:360] = struct.pack("<ii", 0, 6)
    bomb("extension.nii.gz", bytes(with_fields(endless, {108: ("f", 0.0)})), 150)
    bomb("far.nii.gz", bytes(with_fields(plain(), {108: ("f", 4e8)})), 150)
    (tmp_path / "claim.nii.gz").write_bytes(gzip.compress(bytes(claimed(500, 600, 500))))
    (tmp_path / "tera.nii").write_bytes(claimed(32767, 32767, 32767))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 << 20
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    *refusals, megabytes = done.stdout.splitlines()
    refused = {line.split()[0] for line in refusals}
    assert refused >= {path.name for path in tmp_path.iterdir()} - {"extension.nii.gz"}
    assert int(megabytes) < 60, done.stdout
