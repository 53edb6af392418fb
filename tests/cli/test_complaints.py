"""Whatever ends a command: one line with the cause and the way out, and its exit status."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from xrano.cli import check_command
from xrano.cli.complaints import complaint
from xrano.cli.main import main
from xrano.errors import CheckpointError, UnknownNameError, XranoWarning

Capture = pytest.CaptureFixture[str]


def failing(error: BaseException):
    def run(store: Path, timed_pairs: int = 5) -> None:
        raise error

    return run


def said(error: BaseException, capsys: Capture, monkeypatch, *more: str) -> tuple[int, str]:
    """The exit status and the one line of a command that ends in an error."""
    monkeypatch.setattr(check_command, "run", failing(error))
    capsys.readouterr()
    status = main(["check", "some/store", *more])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    (line,) = captured.err.splitlines()
    return status, line


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (CheckpointError("weights\n  do not fit"), 1, ("error: weights do not fit",)),
        (UnknownNameError("layer", "a", ["b"]), 1, ("unknown layer 'a'", "choose from: b")),
        (MemoryError("Unable to allocate 9 GiB"), 1, ("out of memory", "9 GiB", "--jobs")),
        (RuntimeError("CUDA out of memory"), 1, ("out of memory", "smaller batch")),
        (BrokenProcessPool("terminated abruptly"), 1, ("worker process was killed", "--jobs")),
        (
            FileNotFoundError(2, "No such file or directory", "a.csv"),
            1,
            ("a.csv: No such file", "name another place"),
        ),
        (PermissionError(13, "Permission denied", "/x/y"), 1, ("/x/y may not be", "rights")),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 1, ("/x may not be", "Read-only")),
        (OSError(5, "Input/output error"), 1, ("Input/output error",)),
        (
            RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [::1]:80"),
            1,
            ("another process of this training has gone", "go on"),
        ),
        (KeyError("scan"), 70, ("KeyError: 'scan'", "bug in xrano", "--debug")),
        (RuntimeError("shapes differ"), 70, ("shapes differ", "bug in xrano")),
        (ZeroDivisionError("x"), 70, ("ZeroDivisionError: x",)),
        (ModuleNotFoundError("gone", name="xrano.gone"), 70, ("bug in xrano",)),
        # It is there, so what is missing in it is not a matter of installing it.
        (ModuleNotFoundError("gone", name="numpy.gone"), 70, ("bug in xrano",)),
    ],
)
def test_one_line_and_a_status(
    error: BaseException, status: int, words: tuple[str, ...], capsys: Capture, monkeypatch
):
    found, line = said(error, capsys, monkeypatch)
    assert found == status
    assert line.startswith("xrano: error: ")
    assert len(line) < 200
    for word in words:
        assert word in line


def test_ctrl_c_says_how_to_go_on(capsys: Capture, monkeypatch):
    assert said(KeyboardInterrupt(), capsys, monkeypatch) == (
        130,
        "xrano: stopped; run the same command again to go on",
    )


@pytest.mark.parametrize("module", ["ants", "openpyxl", "pyarrow", "tensorboard", "ipywidgets"])
def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    module: str, capsys: Capture, monkeypatch
):
    from xrano.doctor import extras

    monkeypatch.setattr(extras, "_is_installed", lambda name: name != module)
    error = ModuleNotFoundError(f"No module named '{module}'", name=f"{module}.inner")
    status, line = said(error, capsys, monkeypatch)
    assert status == 1
    name = next(one.name for one in extras.EXTRAS if module in one.modules)
    assert line.endswith(f'not installed: pip install "xrano[{name}]"')


def test_a_missing_package_that_xrano_needs(capsys: Capture, monkeypatch):
    status, line = said(
        ModuleNotFoundError("No module named 'captom'", name="captom.attr"), capsys, monkeypatch
    )
    assert status == 1
    assert "xrano needs captom" in line
    assert "xrano doctor" in line


# --- disks


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_path_and_what_is_free(
    number: int, tmp_path: Path, capsys: Capture, monkeypatch
):
    place = tmp_path / "not" / "yet"
    for error in (OSError(number, os.strerror(number)), OSError(number, "x", str(place / "f"))):
        found = complaint(error, place)
        assert found.status == 1
        assert found.line.startswith(f"no room to write {place}")
        assert " GB free)" in found.line
        assert "then run the same command again to go on" in found.line
    # What libraries raise because of it, and after it.
    outer = ValueError("could not write")
    outer.__cause__ = OSError(number, os.strerror(number))
    assert complaint(outer, place).line.startswith("no room to write")


def test_a_library_that_speaks_of_its_own_insides_is_put_into_words(tmp_path: Path):
    said = "[enforce fail at inline_container.cc:672] . unexpected pos 1596160 vs 1596052"
    line = complaint(RuntimeError(said), tmp_path).line
    assert line.startswith(f"no room to write {tmp_path} (no space left on the disk; ")
    outer = RuntimeError(said)
    outer.__context__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "(No space left on device; " in complaint(outer, tmp_path).line


def test_the_folder_of_the_command_line_is_named(capsys: Capture, monkeypatch, tmp_path: Path):
    from xrano.cli import phantom_command

    def run(out: Path, patients: int = 1) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(phantom_command, "run", run)
    for words in (["--out", str(tmp_path)], [f"--out={tmp_path}"]):
        assert main(["phantom", *words]) == 1
        assert f"no room to write {tmp_path} (No space left" in capsys.readouterr().err
    _, line = said(OSError(errno.ENOSPC, "No space left on device"), capsys, monkeypatch)
    assert "no room to write some/store (No space" in line


WRITERS = {
    "safetensors": "save_file({'a': np.zeros(100_000)}, path)",
    "torch": "torch.save(torch.zeros(100_000), path)",
    "numpy": "np.zeros(100_000).tofile(path)",
    "text": "open(path, 'w').write('x' * 200_000)",
}


def test_every_library_that_writes_is_understood(tmp_path: Path):
    """Of a file that may not grow; a full disk differs by the number alone."""
    attempts = "".join(
        f"try:\n    {line}\nexcept BaseException as error:\n    say({name!r}, error)\n"
        for name, line in WRITERS.items()
    )
    code = (
        "import numpy as np, torch\n"
        "from pathlib import Path\n"
        "from safetensors.numpy import save_file\n"
        "from xrano.cli.complaints import complaint\n"
        f"path = {str(tmp_path / 'file')!r}\n"
        "def say(name, error):\n"
        "    found = complaint(error, Path(path))\n"
        "    print(name, found.status, found.line)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + attempts],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(WRITERS), done.stderr
    for line in lines:
        assert f" 1 no room to write {tmp_path / 'file'} (" in line


def test_warnings_of_xrano_take_one_line(capsys: Capture, monkeypatch):
    def run(store: Path, timed_pairs: int = 5) -> None:
        for kind in (XranoWarning, UserWarning):
            print(warnings.formatwarning(kind("the scan\n is clipped"), kind, "file.py", 3))

    monkeypatch.setattr(check_command, "run", run)
    usual = warnings.formatwarning
    assert main(["check", "x"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("xrano: warning: the scan is clipped\n")
    assert "file.py:3: UserWarning: the scan\n is clipped" in said
    assert warnings.formatwarning is usual


def test_a_reader_that_has_enough_is_no_error():
    line = f"{sys.executable} -m xrano.cli.main methods --json | head -c 20"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout) == 20
