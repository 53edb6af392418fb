"""What a user meets when files, folders and tables are not as they should be."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from unmeasured import unmeasured

from xrano.cli.main import main
from xrano.data.store import open_store

Capture = pytest.CaptureFixture[str]


def prepare(index: Path, out: Path, *options: str) -> int:
    line = ["prepare", str(index), "--out", str(out), "--spacing_mm", "12", "--jobs", "1"]
    return main([*line, *options])


def complaint(capsys: Capture) -> str:
    """The one line that was said, after progress bars."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "xrano: " in line]
    assert line.startswith("xrano: error: ")
    return line


@pytest.fixture
def small_index(phantom_index: Path, tmp_path: Path) -> Path:
    """Three pairs of the phantom cohort, of the first three patients, and a copy of their images.

    The first pair's two sessions are in no other pair.
    """
    pairs = pd.read_csv(phantom_index / "pairs.csv", dtype=str, keep_default_na=False)
    pairs = pairs.drop_duplicates("patient_id").head(3)
    keys = set(zip(pairs["patient_id"], pairs["prior_session"], strict=True))
    keys |= set(zip(pairs["patient_id"], pairs["current_session"], strict=True))
    index = tmp_path / "index"
    index.mkdir()
    pairs.to_csv(index / "pairs.csv", index=False)
    for name in ("sessions.csv", "segmentations.csv"):
        table = pd.read_csv(phantom_index / name, dtype=str, keep_default_na=False)
        kept = [key in keys for key in zip(table["patient_id"], table["session_id"], strict=True)]
        table = table[kept]
        for column in {"T1", "CT1", "T2", "FLAIR", "brain_mask", "path"} & set(table.columns):
            table[column] = [copied(phantom_index / cell, index) for cell in table[column]]
        table.to_csv(index / name, index=False)
    return index


def copied(path: Path, index: Path) -> str:
    """An image's copy below the index, named from there."""
    parts = path.resolve().parts
    name = Path(*parts[parts.index("Imaging") :])
    (index / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, index / name)
    return name.as_posix()


def image_of(index: Path, sequence: str) -> Path:
    """The current scan of the first pair."""
    pair = pd.read_csv(index / "pairs.csv", dtype=str).iloc[0]
    table = pd.read_csv(index / "sessions.csv", dtype=str).set_index(["patient_id", "session_id"])
    return index / table.loc[pair["patient_id"], pair["current_session"]][sequence]


def content(root: Path) -> dict[str, bytes]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def with_nan(path: Path) -> None:
    image = nib.load(path)
    data = image.get_fdata(dtype=np.float32)
    data[3, 4, 5] = np.nan
    nib.save(nib.Nifti1Image(data, image.affine), path)


def with_four_axes(path: Path) -> None:
    image = nib.load(path)
    twice = np.stack([np.asarray(image.dataobj)] * 2, axis=-1)
    nib.save(nib.Nifti1Image(twice, image.affine), path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut_off, ("cut off", "copy it again")),
        (with_nan, ("1 voxels are NaN", "finite")),
        (with_four_axes, ("one volume of three axes is needed",)),
        (Path.unlink, ("does not exist", ".nii.gz file is needed")),
    ],
)
def test_one_bad_scan_is_named_and_the_others_go_on(
    small_index: Path, tmp_path: Path, capsys: Capture, change, words: tuple[str, ...]
):
    """When it is mended, the same command ends with the store of an untroubled run."""
    assert prepare(small_index, tmp_path / "whole") == 0
    scan = image_of(small_index, "FLAIR")
    good, dates = scan.read_bytes(), (scan.stat().st_atime_ns, scan.stat().st_mtime_ns)
    change(scan)
    store = tmp_path / "store"
    capsys.readouterr()
    assert prepare(small_index, store) == 1
    said = complaint(capsys)
    for word in (str(scan), "1 could not be prepared", "problems.csv", *words):
        assert word in said
    pairs = pd.read_csv(small_index / "pairs.csv")["pair_id"]
    assert list(open_store(store).pairs["pair_id"]) == list(pairs[1:])
    excluded = pd.read_csv(store / "exclusions.csv")
    assert "not_prepared" in set(excluded["reason"])
    assert not [name for name in content(store) if Path(name).name.startswith(".")]
    scan.write_bytes(good)
    os.utime(scan, ns=dates)
    assert prepare(small_index, store) == 0
    assert content(store) == content(tmp_path / "whole")


def test_a_byte_that_changed_on_the_disk_is_mended_by_preparing_again(
    small_index: Path, tmp_path: Path, capsys: Capture
):
    store = tmp_path / "store"
    assert prepare(small_index, store) == 0
    before = content(store)
    path = sorted((store / "sessions").rglob("*.safetensors"))[0]
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(data)
    assert main(["check", str(store)]) == 1
    assert str(path) in capsys.readouterr().out
    assert prepare(small_index, store) == 0
    assert main(["check", str(store)]) == 0
    assert content(store) == before


@pytest.mark.parametrize("name", ["../../outside", "a/b", "..", "a\\b"])
@pytest.mark.parametrize("column", ["patient_id", "session_id"])
def test_a_name_that_leads_out_of_the_store_is_refused(
    small_index: Path, tmp_path: Path, capsys: Capture, column: str, name: str
):
    (small_index / "pairs.csv").unlink()
    (small_index / "segmentations.csv").unlink()
    table = pd.read_csv(small_index / "sessions.csv", dtype=str, keep_default_na=False)
    table.loc[1, column] = name
    table.to_csv(small_index / "sessions.csv", index=False)
    before = set(content(tmp_path))
    assert prepare(small_index, tmp_path / "deep" / "store", "--unrated") == 1
    said = complaint(capsys)
    for word in ("sessions.csv, line 3", column, repr(name), "without /"):
        assert word in said
    assert set(content(tmp_path)) == before


@pytest.mark.parametrize("command", ["prepare", "index", "quality"])
def test_a_file_where_a_folder_should_be_is_named(
    command: str, small_index: Path, phantom_tree: Path, tmp_path: Path, capsys: Capture
):
    file = tmp_path / "taken"
    file.write_text("mine")
    given = {"prepare": small_index, "index": phantom_tree, "quality": tmp_path / "store"}[command]
    if command == "quality":
        assert prepare(small_index, given) == 0
    assert main([command, str(given), "--out", str(file)]) == 1
    assert complaint(capsys).endswith(f"but {file} is a file; name another")
    assert file.read_text() == "mine"


def test_a_full_disk_is_told_in_one_line(small_index: Path, tmp_path: Path):
    """A limit on the size of files stands for it: the table fits, a session does not."""
    store = tmp_path / "store"
    line = ["prepare", str(small_index), "--out", str(store), "--spacing_mm", "6", "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "xrano.cli.main", *line],
        capture_output=True,
        text=True,
        env=unmeasured(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("xrano: error: ")
    assert "File too large" in done.stderr
    assert not [name for name in content(store) if name.endswith((".safetensors", "store.json"))]


def test_everybody_may_read_a_store_who_may_read_its_tables(small_index: Path, tmp_path: Path):
    assert prepare(small_index, tmp_path / "store") == 0
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "store").rglob("*.*")}
    assert len(modes) == 1


def test_without_a_pair_the_reasons_are_counted(small_index: Path, tmp_path: Path, capsys: Capture):
    (small_index / "pairs.csv").unlink()
    table = pd.read_csv(small_index / "sessions.csv", dtype=str, keep_default_na=False)
    table["rating"] = ""
    table.drop(columns=["exclude_reason", "role"]).to_csv(small_index / "sessions.csv", index=False)
    assert prepare(small_index, tmp_path / "store") == 1
    said = complaint(capsys)
    for word in (str(small_index), f"no_rating {len(table)}", "--unrated"):
        assert word in said
    assert not (tmp_path / "store").exists()
