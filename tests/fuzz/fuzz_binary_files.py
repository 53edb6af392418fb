"""Files of numbers: what whole ones look like, and readers that take them in several ways."""

from __future__ import annotations

import gzip
import io
import json
import struct
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from safetensors.numpy import save

from xrano.data.volumes import read_labels, read_mask, read_scan
from xrano.errors import XranoError
from xrano.models.weight_files import read_weights
from xrano.nifti_header import header_text
from xrano.training.checkpoint import load_resume

SHAPE = (3, 4, 2)


AFFINE = np.array([[-2.0, 0.1, 0, 9], [0.1, 2.5, 0, -3], [0, 0, 3, 1], [0, 0, 0, 1]])


@cache
def nifti_seeds() -> tuple[bytes, ...]:
    values = np.arange(24).reshape(SHAPE)
    images = [nib.Nifti1Image(values.astype(kind), AFFINE) for kind in ("f4", "i2", "u1")]
    described = nib.Nifti1Image((values > 9).astype("u1"), AFFINE)
    described.header["descrip"] = b"some words"
    described.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"fourteen signs"))
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    turned = nib.Nifti1Image(values.astype(">i2"), AFFINE, header)
    return tuple(image.to_bytes() for image in (*images, described, turned))


def read_images(content: bytes, folder: Path) -> None:
    path = folder / ("T1.nii.gz" if content.startswith(b"\x1f\x8b") else "T1.nii")
    path.write_bytes(content)
    refused = []
    for read in (
        read_scan,
        lambda path: read_mask(path, allow_empty=True),
        lambda path: read_labels(path, "binary"),
        header_text,
    ):
        try:
            read(path)
        except XranoError as error:
            refused.append(error)
    # An image may be a scan and no mask; what none of them takes is refused.
    if len(refused) > 2:
        raise refused[0]


@cache
def packed_map() -> bytes:
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE)
    return gzip.compress(image.to_bytes(), mtime=0)


MAT_TOKENS = (b"\xff" * 4, b"\x00\x00\x00\x7f", b"\0", b"\x01\0\0\0", b"\x0c\0\0\0", b"\x14\0\0\0")


@cache
def mat_seed() -> bytes:
    """ITK's binary form: level 4 of MATLAB's, a matrix of parameters and one of the centre."""
    made = b""
    for name, values in (
        (b"AffineTransform_double_3_3", [1.0, 0, 0, 0, 1, 0, 0, 0, 1, 4, 5, 6]),
        (b"fixed", [0.0, 0, 0]),
    ):
        made += struct.pack("<5i", 0, len(values), 1, 0, len(name) + 1) + name + b"\0"
        made += np.array(values, "<f8").tobytes()
    return made


@cache
def session_seed() -> bytes:
    details = {
        "patient_id": "P1",
        "session_id": "week-000",
        "sequences": ["T1"],
        "schemes": {"expert": "binary"},
        "scale": {"T1": 100.0},
        "key": "k",
    }
    arrays = {
        "T1": np.ones(SHAPE, np.float16),
        "brain": np.ones(SHAPE, np.uint8),
        "segmentation/expert": np.zeros(SHAPE, np.uint8),
    }
    return save(arrays, {"xrano": json.dumps(details)})


@cache
def weight_seeds() -> tuple[bytes, ...]:
    found = []
    for old in (False, True):
        file = io.BytesIO()
        content = {"network": {"w": torch.ones(2)}, "optimizer": {}, "progress": {}}
        torch.save(content, file, _use_new_zipfile_serialization=not old)
        found.append(file.getvalue())
    return tuple(found)


@cache
def model_seed() -> bytes:
    details = {"model": "densenet_small", "sequences": ["T1"], "num_classes": 4}
    return save({"w": np.ones(2, np.float32)}, {"xrano": json.dumps(details)})


@cache
def organ_seeds() -> tuple[bytes, ...]:
    arrays = {
        f"{part}_images": np.zeros((11, 28, 28, 28), np.uint8) for part in ("train", "val", "test")
    }
    for part in ("train", "val", "test"):
        arrays[f"{part}_labels"] = np.arange(11, dtype=np.uint8)[:, None]
    packed, single = io.BytesIO(), io.BytesIO()
    np.savez_compressed(packed, **arrays)
    np.save(single, np.zeros((2, 3)))
    return packed.getvalue(), single.getvalue()


def read_weight_file(content: bytes, folder: Path) -> None:
    (folder / "w.pth").write_bytes(content)
    refused = None
    for read in (read_weights, load_resume):
        try:
            read(folder / "w.pth")
        except XranoError as error:
            refused = error
    if refused is not None:
        raise refused
