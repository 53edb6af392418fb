"""Bytes that a reader may be given: good files, changed here and there, and plain noise."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence

from hypothesis import strategies as st

TEXT_TOKENS = (
    *(b"\0", b'"', b"'", b"\n", b"\r", b",", b"\t", b";", b"=", b":", b"-", b"^", b"|", b"#"),
    *(b"[", b"]", b"{", b"}", b"[[", b"{}", b"[]", b"&a ", b"*a", b"<<: *a", b"? ", b"- ", b"%"),
    *(b"null", b"true", b"false", b"NaN", b"Infinity", b"1e400", b"-1", b"0", b"1.5", b"9" * 40),
    *(b"0x" + b"F" * 60, b"1:" * 30, b"2019-13-45", b"!!int ''", b"!!timestamp ''", b"!!float ''"),
    *(b"!!python/object/apply:os.system ['false']", b"!!binary '*'", b"!!set {a, b}"),
    *(b"..", b"../", b"../../etc/passwd", b"/etc/passwd", b"C:\\\\", b"\\u0000", b"\\ud800"),
    *("é".encode(), "٣".encode(), "²".encode(), "\u2028".encode(), "\ufeff".encode(), b"\xff\xfe"),
    *(b"a" * 300, b"[" * 3000, b" " * 2000, b"patient_id", b"T1", b".nii.gz", b"week-", b"sub-"),
)

_EDGES = (0, 1, -1, 2, 3, 7, 8, 127, 255, 256, 511, 512, 768, 32767, -32768)
_FLOATS = (0.0, -1.0, 1e-40, 1e38, float("nan"), float("inf"), -float("inf"), 351.0, 353.5, 1e9)

_HALVES = (*range(40, 56, 2), 70, 72, 252, 254)
"""Where NIfTI-1 keeps whole numbers of two bytes (nifti1.h): dim, datatype, bitpix, form codes."""

_REALS = (*range(76, 108, 4), 108, 112, 116, *range(256, 328, 4))
"""And floats: pixdim, vox_offset, slope, intercept, quaternions, offsets, rows of the sform."""


@st.composite
def mutated(
    draw: st.DrawFn, seeds: Sequence[bytes], tokens: Sequence[bytes] = TEXT_TOKENS
) -> bytes:
    """One of the seeds with up to six pieces replaced by a token, noise, or themselves twice."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.integers(0, 24)))
        kind = draw(st.sampled_from(("token", "token", "noise", "twice", "none", "cut")))
        if kind == "cut":
            content = content[:at]
            continue
        new = {"token": b"", "noise": b"", "twice": content[at:end] * 2, "none": b""}[kind]
        if kind == "token":
            new = draw(st.sampled_from(tokens))
        elif kind == "noise":
            new = draw(st.binary(max_size=8))
        content = content[:at] + new + content[end:]
    return content


@st.composite
def mutated_nifti(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A NIfTI-1 file with fields of its header changed, cut, lengthened, perhaps compressed."""
    content = bytearray(draw(st.sampled_from(seeds)))
    end = ">" if content[:4] == struct.pack(">i", 348) else "<"
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            value, where = draw(st.sampled_from(_EDGES)), draw(st.sampled_from(_HALVES))
            struct.pack_into(f"{end}h", content, where, value)
        else:
            real, where = draw(st.sampled_from(_FLOATS)), draw(st.sampled_from(_REALS))
            struct.pack_into(f"{end}f", content, where, real)
    if draw(st.booleans()):
        # The flag of extensions, and what an extension says of its own size.
        content[348] = draw(st.integers(0, 255))
        size = draw(st.sampled_from((0, 8, 16, -16, 2**31 - 1, -(2**31))))
        struct.pack_into(f"{end}i", content, 352, size)
    changed = draw(mutated([bytes(content)], (b"\0", b"\xff" * 4, b"n+1\0", b"ni1\0")))
    whole = bytes(content) if draw(st.booleans()) else changed
    if draw(st.booleans()):
        packed = gzip.compress(whole, 1, mtime=0)
        return packed if draw(st.booleans()) else draw(mutated([packed], (b"\0", b"\xff")))
    return whole
