"""``python -m benchmarks.faults`` in small: it runs, and it would notice."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.fault_cases import BEFORE, COMMANDS, Case
from benchmarks.fault_comparison import differences, digests, half_written
from benchmarks.fault_processes import Said
from benchmarks.fault_trials import Trials, fault_of, judge
from xrano.data.store import Store
from xrano.text_files import read_json

ROOT = Path(__file__).parents[2]


def harness(*words: str) -> str:
    """The row of the table of one command."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-2]


@pytest.mark.slow
def test_each_kind_of_fault_is_tried_on_preparing():
    row = harness(
        *("--commands", "prepare", "--kills", "1", "--files", "1", "--folders", "1"),
        *("--disks", "0.5"),
    )
    # Of the files one is of the store and one of the cohort.
    assert re.findall(r"(\d+)/(\d+) \(", row) == [("1", "1"), ("2", "2"), ("1", "1")]
    assert row.endswith("| 0 |")


@pytest.mark.slow
def test_a_study_is_killed():
    row = harness(
        *("--commands", "study", "--kills", "2", "--files", "0", "--folders", "0", "--disks")
    )
    assert re.match(r"\| study, \d+ s, \d+ files \| 2 \(", row)
    assert row.endswith("| 0 |")


def test_what_a_command_reads_is_made_before_it():
    for number, name in enumerate(COMMANDS):
        assert set(BEFORE[name]) <= set(COMMANDS[:number])


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A command that left one table."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.csv").write_text("x\n1\n")
    return Case("score", ("score",), out, (), expected=digests(out))


SAID = "xrano: error: a.csv is cut off"


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (Said(1, "", SAID + "\n"), ""),
        (Said(1, "", f"Traceback\n{SAID}\n"), "a traceback"),
        (Said(70, "", SAID), "exit status 70"),
        (Said(1, "", "something"), "0 lines of complaint"),
        (Said(1, "", f"{SAID}\n{SAID}"), "2 lines of complaint"),
        (Said(1, "", "xrano: error: a file is cut off"), "not said: a.csv"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_file(case: Case, said: Said, fault: str):
    assert fault_of(said, ["a.csv"]).startswith(fault)
    assert bool(fault_of(said, ["a.csv"])) == bool(fault)
    trials = Trials()
    judge(case, said, ["a.csv"], trials, "a.csv truncated")
    assert (trials.tried, trials.refused, len(trials.wrong)) == (1, not fault, bool(fault))


def test_success_with_another_content_is_wrong(case: Case):
    trials = Trials()
    judge(case, Said(0, "", ""), ["a.csv"], trials, "a.csv truncated")
    assert (trials.mended, trials.wrong) == (1, [])
    (case.out / "a.csv").write_text("x\n2\n")
    judge(case, Said(0, "", ""), ["a.csv"], trials, "a.csv truncated")
    assert trials.wrong == ["a.csv truncated: no complaint, and a.csv differs"]


def test_a_refusal_that_leaves_half_a_file_is_wrong(case: Case):
    trials = Trials()
    (case.out / "b.csv").write_text("x\n2")
    judge(case, Said(1, "", SAID), ["a.csv"], trials, "a.csv truncated")
    (wrong,) = trials.wrong
    assert wrong == "a.csv truncated: b.csv (ValueError: its last line has no end) is not whole"


def test_the_damaged_file_may_stay_as_it_is_where_it_was_refused(case: Case):
    trials = Trials()
    (case.out / "a.csv").write_text("x\n2")
    judge(case, Said(1, "", SAID), ["a.csv"], trials, "a.csv truncated")
    assert (trials.refused, trials.wrong) == (1, [])


# --- what two folders have in common


def test_the_comparison_sees_what_differs(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.json").write_text("{}")
    expected = digests(tmp_path)
    assert differences(tmp_path, expected) == []
    (tmp_path / ".hidden").write_text("temporary")
    assert differences(tmp_path, expected) == []
    (tmp_path / "a.csv").write_text("x\n2\n")
    (tmp_path / "b.json").unlink()
    (tmp_path / "c.md").write_text("new\n")
    assert differences(tmp_path, expected) == ["a.csv", "b.json", "c.md"]
    assert half_written(tmp_path) == []
    (tmp_path / "a.csv").write_text("x\n2")
    (tmp_path / "d.json").write_text("{")
    assert [fault.partition(" ")[0] for fault in half_written(tmp_path)] == ["a.csv", "d.json"]


@pytest.fixture
def store(phantom_store: Store, tmp_path: Path) -> Path:
    """A store that may be changed."""
    return Path(shutil.copytree(phantom_store.root, tmp_path / "store"))


def test_checksums_that_are_right_are_alike_whatever_they_are(store: Path):
    expected = digests(store)
    assert half_written(store) == []
    sums = read_json(store / "checksums.json")
    name = sorted(sums)[0]
    record = (store / name).with_suffix(".json")
    # As if the scans' files were of another time: other bytes, of one and the same content.
    content = (store / name).read_bytes()
    key = read_json(record)["key"].encode()
    assert content.count(key) == 1
    (store / name).write_bytes(content.replace(key, key[::-1]))
    stale = [store / "checksums.json", record]
    assert differences(store, expected) == [path.relative_to(store).as_posix() for path in stale]
    right = hashlib.sha256((store / name).read_bytes()).hexdigest()
    for path in stale:
        path.write_text(path.read_text().replace(sums[name], right))
    assert differences(store, expected) == []
    assert half_written(store) == []


@pytest.mark.parametrize("beside", [False, True])
def test_one_wrong_checksum_is_seen(store: Path, beside: bool):
    expected = digests(store)
    name, value = sorted(read_json(store / "checksums.json").items())[0]
    path = (store / name).with_suffix(".json") if beside else store / "checksums.json"
    path.write_text(path.read_text().replace(value, "0" * 64))
    wrong = path.relative_to(store).as_posix()
    assert differences(store, expected) == [wrong]
    (fault,) = half_written(store)
    assert fault.startswith(f"{wrong} (ValueError: its checksum of ")
