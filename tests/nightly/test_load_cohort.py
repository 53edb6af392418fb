"""What ``python -m benchmarks.load`` measures by, and when it is not content."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import load
from benchmarks.load_cohort import gigabytes, side_by_side

ROOT = Path(__file__).parents[2]


MEASURED = """
from benchmarks.load_cohort import side_by_side, together
large, brief = side_by_side(
    ("-c", "import time; x = bytearray(b'x') * (300 << 20); time.sleep(0.5)"), ("-c", "pass")
)
print(large.peak_gb, brief.peak_gb, large.seconds, brief.seconds)
assert together([brief, large]) == large
"""


def test_each_process_has_its_own_time_and_memory():
    # In a process of its own, as a fork counts what the one before it held.
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    large, small, long, brief = map(float, done.stdout.split())
    assert large > 300 / 1024 > small
    assert long > 0.5
    assert brief < long


def test_each_process_has_one_thread():
    side_by_side(("-c", "import os; assert os.environ['OMP_NUM_THREADS'] == '1'"))


def test_a_command_that_fails_ends_all():
    with pytest.raises(SystemExit, match="no such cohort"):
        side_by_side(
            ("-c", "import sys; sys.exit('no such cohort')"), ("-c", "import time; time.sleep(60)")
        )


def test_the_size_of_a_folder(tmp_path: Path):
    (tmp_path / "below").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (tmp_path / "below" / "b").write_bytes(b"x" * 2000)
    assert gigabytes(tmp_path) == 3e-6


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"sessions indexed": 638, "pairs scored": 500}, []),
        ({"sessions indexed": 637}, ["637 sessions indexed, 638 are needed"]),
        ({"pairs scored": 499}, ["499 pairs scored, 500 are needed"]),
        ({"sessions at 1 mm": 39}, ["39 sessions at 1 mm, 40 are needed"]),
    ],
)
def test_too_small_a_cohort_is_missed(found: dict[str, int], words: list[str]):
    assert load.enough(found) == words


@pytest.mark.parametrize("missed", [[], ["the memory of score grows", "1 session"]])
def test_what_is_missed_is_said_and_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missed: list[str]
):
    kept: list[list[int]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda _pid, cores: kept.append(cores))
    monkeypatch.setitem(load.PARTS, "size", lambda _root, _patients: missed)
    assert load.main(["--parts", "size"]) == bool(missed)
    (cores,) = kept
    assert 1 <= len(cores) <= 2
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("MISSED")] == [
        f"MISSED: {one}" for one in missed
    ]
