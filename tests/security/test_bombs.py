"""Small files that would become large ones: checkpoints and workbooks; images are elsewhere."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
import torch
from fuzz_limits import bounded

from xrano.data.datasets.clinical_tables import read_workbook
from xrano.errors import CheckpointError, ManifestError
from xrano.models.torch_files import read_torch_file
from xrano.models.weight_files import read_weights
from xrano.training.checkpoint import load_resume

STATE = {"network": {"w": torch.zeros(15_000_000)}, "optimizer": {}, "progress": {}}


def rewritten(
    path: Path,
    state: object,
    change: Callable[[bytes], bytes] = bytes,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A file of torch.save with its pickle changed, or its members compressed."""
    torch.save(state, path.with_suffix(".whole"))
    with (
        zipfile.ZipFile(path.with_suffix(".whole")) as whole,
        zipfile.ZipFile(path, "w", compression) as made,
    ):
        for name in whole.namelist():
            content = whole.read(name)
            made.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return path


@pytest.mark.parametrize("read", [load_resume, read_weights])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_compressed_checkpoint_is_refused_before_it_is_inflated(
    tmp_path: Path, read: Callable[[Path], object], method: int
):
    path = rewritten(tmp_path / "w.pt", STATE, compression=method)
    assert path.stat().st_size < 1 << 20
    with bounded(memory=40 << 20), pytest.raises(CheckpointError, match=r"w\.pt.*compressed"):
        read(path)


def test_a_checkpoint_whose_members_are_one_another_is_refused(tmp_path: Path):
    # Two entries of the directory for one place in the file: stored, and still more than it has.
    path = tmp_path / "w.pt"
    torch.save({"w": torch.zeros(50_000)}, path)
    with zipfile.ZipFile(path, "a") as packed:
        entry = next(info for info in packed.infolist() if info.file_size > 100_000)
        packed.filelist += [entry] * 20
        packed._didModify = True
    with pytest.raises(CheckpointError, match=r"members claim 4,2\d\d,\d{3} bytes, and it has 2"):
        read_weights(path)


def asked(name: bytes) -> Callable[[bytes], bytes]:
    """A pickle that calls something with 300 million."""
    return lambda _: b"\x80\x02c" + name + b"\nJ" + struct.pack("<i", 300_000_000) + b"\x85R."


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (b"builtins\nbytearray", "asks for bytes that it does not hold"),
        (b"__builtin__\nbytearray", "asks for bytes|broken"),
        (b"torch\nFloatTensor", "tensors claim 1,200,000,000 bytes"),
    ],
)
def test_a_checkpoint_cannot_ask_for_memory(tmp_path: Path, name: bytes, found: str):
    path = rewritten(tmp_path / "w.pt", {}, asked(name))
    with bounded(memory=40 << 20), pytest.raises(CheckpointError, match=found) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("old", [False, True])
def test_what_torch_saves_is_read(tmp_path: Path, old: bool):
    # Views that share one storage count once, and so does a container that holds itself.
    whole = torch.arange(5000.0)
    state = {"a": whole, "b": whole[10:20], "c": [whole.reshape(50, 100)], "d": torch.zeros(0)}
    state["e"] = {"f": (torch.tensor(3), "text", 1.5, None), 4: [True]}
    loop: list[object] = []
    loop.append(loop)
    state["g"] = loop
    path = tmp_path / "w.pt"
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    found = read_torch_file(path)
    assert torch.equal(found["c"][0].ravel(), whole)
    assert found["e"][4] == [True]


# --- workbooks


def workbook(path: Path, cells: dict[str, object], styled: str = "") -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "S"
    for place, value in cells.items():
        sheet[place] = value
    if styled:
        sheet[styled].font = openpyxl.styles.Font(bold=True)
    book.save(path)
    return path


TABLE = {"A1": "id", "B1": "age", "A2": "P1", "B2": 61}


def test_a_workbook_that_inflates_is_refused(tmp_path: Path):
    path = workbook(tmp_path / "t.xlsx", TABLE)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/filler.xml", bytes(70 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ManifestError, match=r"t\.xlsx would be 73 MB when unpacked"):
        read_workbook(path, "S")


@pytest.mark.parametrize("place", ["XFD1048576", "A1048576", "XFD200"])
def test_a_cell_at_the_end_of_a_sheet_does_not_fill_it(tmp_path: Path, place: str):
    path = workbook(tmp_path / "t.xlsx", {**TABLE, place: "x"})
    assert path.stat().st_size < 10_000
    with bounded(memory=60 << 20), pytest.raises(ManifestError, match=r"t\.xlsx, sheet S: .*reach"):
        read_workbook(path, "S")


def test_a_sheet_whose_empty_cells_are_formatted_is_read(tmp_path: Path):
    path = workbook(tmp_path / "t.xlsx", TABLE, styled="C90000")
    assert read_workbook(path, "S").iloc[:, :2].values.tolist() == [["P1", "61"]]
