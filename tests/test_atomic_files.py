"""Files that are whole or not there."""

from __future__ import annotations

import errno
import math
import os
import stat

import pytest

from xrano.atomic_files import json_text, write_atomically, write_json, write_text


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_writer_sees_a_file_of_the_same_kind_in_the_same_folder(tmp_path):
    path = tmp_path / "a" / "b" / "scan.nii.gz"
    seen = []

    def write(temporary):
        seen.append(temporary)
        temporary.write_bytes(b"whole")
        assert not path.exists()

    write_atomically(path, write)
    assert path.read_bytes() == b"whole"
    assert everything(tmp_path) == ["a/b/scan.nii.gz"]
    (temporary,) = seen
    assert temporary.parent == path.parent
    assert temporary.name.endswith("scan.nii.gz")
    assert temporary.name.startswith("."), "an unfinished file must not look like a result"


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("bytes_written", [0, 3])
def test_nothing_is_left_behind_when_the_writer_fails(tmp_path, error, bytes_written):
    def write(temporary):
        if bytes_written:
            temporary.write_bytes(b"x" * bytes_written)
        raise error("disk full")

    with pytest.raises(error, match="disk full"):
        write_atomically(tmp_path / "new.txt", write)
    assert everything(tmp_path) == []


def test_an_older_file_survives_a_failing_writer(tmp_path):
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def write(temporary):
        temporary.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert everything(tmp_path) == ["kept.txt"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none.txt", lambda _: None)
    assert everything(tmp_path) == []


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "text.txt"
    write_text(path, "a longer first text")
    write_text(path, "größer")
    assert path.read_bytes() == "größer".encode()
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR


def test_equal_content_gives_equal_json(tmp_path):
    assert json_text({"b": [1, 2.5], "a": None}) == json_text({"a": None, "b": [1, 2.5]})
    write_json(tmp_path / "x.json", {"b": 1, "a": 2})
    assert (tmp_path / "x.json").read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'


@pytest.mark.parametrize("bad", [math.nan, math.inf, {1, 2}])
def test_json_that_others_cannot_read_is_refused_and_the_old_file_kept(tmp_path, bad):
    path = tmp_path / "x.json"
    write_json(path, [1])
    with pytest.raises((TypeError, ValueError)):
        write_json(path, [bad])
    assert path.read_text() == "[\n  1\n]\n"
    assert everything(tmp_path) == ["x.json"]


def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    def write_for_the_owner_alone(path):
        path.write_text("x", encoding="utf-8")
        path.chmod(0o600)

    write_atomically(tmp_path / "private.txt", write_for_the_owner_alone)
    (tmp_path / "plain.txt").write_text("x", encoding="utf-8")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_what_stops_a_writer_is_told_of_the_file_that_it_was_to_make(tmp_path):
    def fill(temporary):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "map.nii.gz", fill)
    assert caught.value.filename == str(tmp_path / "map.nii.gz")

    def read_another(temporary):
        temporary.write_bytes((tmp_path / "source").read_bytes())

    # What another file lacks is told of that one.
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "map.nii.gz", read_another)
    assert caught.value.filename == str(tmp_path / "source")
    assert everything(tmp_path) == []


def test_a_folder_that_may_not_be_written_is_told_before_a_library_is_asked(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "touch", refuse)
    called = []
    with pytest.raises(PermissionError) as caught:
        write_atomically(tmp_path / "model.safetensors", called.append)
    assert caught.value.filename == str(tmp_path / "model.safetensors")
    assert not called
