"""The rows of one pair in a file, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xrano.experiments.score_parts import pack_rows, read_part, unpack_rows, write_part
from xrano.experiments.scored_pair import PairScores

ROWS = [
    {"pair": "P", "fold": 0, "flag": True, "value": 0.1, "chance": None},
    {"pair": "P", "fold": 0, "flag": 1, "value": 1 / 3, "chance": None},
    {"pair": "P", "fold": 0, "flag": 1.0, "value": 0.1, "chance": None},
]


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS])
def test_rows_come_back_as_they_were(rows):
    packed = json.loads(json.dumps(pack_rows(rows)))
    found = unpack_rows(packed)
    assert found == rows
    for one, other in zip(found, rows, strict=True):
        assert {k: type(v) for k, v in one.items()} == {k: type(v) for k, v in other.items()}


def test_what_all_share_is_written_once():
    packed = pack_rows(ROWS)
    assert packed["same"] == {"pair": "P", "fold": 0, "chance": None}
    assert packed["columns"] == ["flag", "value"]


def test_a_column_that_some_rows_lack_is_undefined_there():
    rows = [{"pair": "P", "value": 1.0}, {"pair": "P", "value": 2.0, "threshold": 0.3}]
    for given in (rows, rows[::-1]):
        found = unpack_rows(pack_rows(given))
        assert [row["threshold"] for row in found] == [row.get("threshold") for row in given]
        assert [row["value"] for row in found] == [row["value"] for row in given]


def test_a_part_is_read_if_it_is_whole_and_of_the_same_things(tmp_path: Path):
    path = tmp_path / "parts" / "P.json"
    scores = PairScores(scores=ROWS, crossed=[{"mass": [0.5, None]}])
    write_part(path, "key", scores)
    assert read_part(path, "key") == scores
    assert read_part(path, "other") is None
    assert read_part(tmp_path / "none.json", "key") is None
    text = path.read_text()
    strange = json.dumps({"key": "key", "colours": {"same": {}, "columns": [], "rows": []}})
    nested = "[" * 100_000
    for broken in (
        text[:-5],
        "[]",
        "3",
        nested,
        '{"key": "key", "scores": [], "nulls": []}',
        strange,
    ):
        path.write_text(broken)
        assert read_part(path, "key") is None
    with pytest.raises(ValueError, match="Out of range"):
        write_part(path, "key", PairScores(scores=[{"value": float("nan")}]))
