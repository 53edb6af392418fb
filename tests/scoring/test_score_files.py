"""Tables on disk: schemas, scores that stand twice, Parquet, and the list of all tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xrano.errors import ManifestError, UnknownNameError
from xrano.scoring import table_files
from xrano.scoring.score_table import (
    ASKED_COLUMNS,
    SCORE_COLUMNS,
    read_scores,
    score_table,
    write_scores,
)
from xrano.scoring.tables import TABLES, read_table, table_of, tables_in, write_table


def row(pair: str = "P_a_b", **changes: object) -> dict[str, object]:
    return {
        **dict.fromkeys(SCORE_COLUMNS, ""),
        "run": "demo",
        "weights": "trained",
        "fold": 0,
        "pair_id": pair,
        "method": "ig",
        "baseline": "zero",
        "target": "PD",
        "region": "core/union",
        "lesion": "all",
        "metric": "auroc",
        "value": 0.25,
        "chance": 0.5,
        "reference": math.nan,
        "status": "ok",
        "spans_surgery": False,
        **changes,
    }


# --- schemas


def test_a_table_of_the_schema_before_rating_sources_is_refused_by_its_number(tmp_path: Path):
    old = score_table([row()]).drop(columns="rating_source").assign(colour="blue")
    path = tmp_path / "scores.csv"
    old.to_csv(path, index=False)
    with pytest.raises(ManifestError) as refused:
        read_scores(path)
    for words in (str(path), "schema 3", "lacks the columns rating_source", "has colour beyond",
                  "it is of schema 1", "xrano score RUN"):  # fmt: skip
        assert words in str(refused.value)


def test_a_table_without_references_is_read_with_none(tmp_path: Path):
    table = score_table([row(), row("P_b_c", reference=0.5)])
    table.drop(columns="reference").to_csv(tmp_path / "scores.csv", index=False)
    read = read_table("scores", tmp_path)
    assert tuple(read.columns) == SCORE_COLUMNS
    assert read["reference"].isna().all()
    assert read["value"].tolist() == table["value"].tolist()
    write_scores(table, tmp_path / "scores.csv")
    np.testing.assert_array_equal(read_table("scores", tmp_path)["reference"], [math.nan, 0.5])


def test_a_table_of_no_schema_is_not_given_one(tmp_path: Path):
    path = tmp_path / "scores.csv"
    path.write_text("pair_id,value\np,1\n")
    with pytest.raises(ManifestError, match="lacks the columns run, weights") as refused:
        read_scores(path)
    assert "it is of schema" not in str(refused.value)
    assert "beyond" not in str(refused.value)


def test_columns_that_were_not_asked_for_are_not_there_and_come_back_if_they_were(tmp_path: Path):
    plain = score_table([row()])
    assert tuple(plain.columns) == SCORE_COLUMNS
    asked = score_table(
        [row(), row("P_b_c", resampled=True), row("P_c_d", metric="dice_tuned", threshold=0.35)]
    )
    assert tuple(asked.columns) == (*SCORE_COLUMNS, *ASKED_COLUMNS)
    write_scores(asked, tmp_path / "scores.csv")
    read = read_scores(tmp_path / "scores.csv")
    assert read["resampled"].tolist() == [False, True, False]
    np.testing.assert_array_equal(read["threshold"], [math.nan, math.nan, 0.35])


# --- twice


def test_a_score_that_stands_twice_is_refused_with_both_origins(tmp_path: Path):
    path = tmp_path / "scores.csv"
    table = score_table([row(), row("P_b_c"), row(fold=3, value=0.75)])
    with pytest.raises(ManifestError) as refused:
        write_scores(table, path)
    assert not path.exists()
    table.to_csv(path, index=False)
    with pytest.raises(ManifestError) as read:
        read_scores(path)
    for error in (refused, read):
        for words in (str(path), "P_a_b is scored twice by ig:zero", "auroc in core/union",
                      "row 1 (run demo, fold 0", "value 0.25", "row 3 (run demo, fold 3",
                      "value 0.75"):  # fmt: skip
            assert words in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "random-0"},
        {"baseline": "prior"},
        {"target": "SD"},
        {"layer": "features"},
        {"region": "core/prior"},
        {"lesion": "2"},
        {"metric": "pointing_game"},
        {"segmentation_source": "other"},
        {"run": "seed-1"},
        {"rectification": "positive"},
    ],
)
def test_what_tells_two_scores_apart(tmp_path: Path, change: dict[str, str]):
    write_scores(score_table([row(), row(**change)]), tmp_path / "scores.csv")
    assert len(read_scores(tmp_path / "scores.csv")) == 2


# --- Parquet


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """Frames that would have been written as Parquet, whose file then holds a word."""
    frames: list[pd.DataFrame] = []

    def to_parquet(frame: pd.DataFrame, path: Path, *, index: bool) -> None:
        assert index is False
        frames.append(frame)
        Path(path).write_text("parquet")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", to_parquet)
    return frames


def test_parquet_is_written_beside_where_it_can_be(written, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(table_files, "find_spec", lambda name: name == "pyarrow" or None)
    mixed = score_table([row(fold=0), row("P_b_c", fold="")])
    write_table("scores", mixed, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "scores.parquet"]
    (frame,) = written
    assert tuple(frame.columns) == tuple(mixed.columns)
    # One type a column, without which Parquet is refused; numbers and flags stay what they are.
    assert frame["fold"].tolist() == ["0", ""]
    assert frame["value"].dtype.kind == "f"
    assert frame["spans_surgery"].dtype.kind == "b"
    write_table("lesions", table_of("lesions", []), tmp_path)
    assert len(written) == 1


def test_without_pyarrow_there_is_csv_alone_and_no_older_parquet(
    written, monkeypatch, tmp_path: Path
):
    monkeypatch.setattr(table_files, "find_spec", lambda _name: None)
    (tmp_path / "scores.parquet").write_text("of an older table")
    write_table("scores", score_table([row()]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
    assert not written


def test_parquet_comes_back_as_it_was(tmp_path: Path):
    pytest.importorskip("pyarrow")
    table = score_table([row(), row("P_b_c", fold="", value=math.nan)])
    write_table("scores", table, tmp_path)
    read = pd.read_parquet(tmp_path / "scores.parquet")
    pd.testing.assert_frame_equal(read.astype({"fold": str}), table.astype({"fold": str}),
                                  check_dtype=False)  # fmt: skip


# --- the list of tables


@pytest.mark.parametrize("name", TABLES)
def test_every_table_comes_back_with_its_types(name: str, tmp_path: Path):
    known = TABLES[name]
    kinds = {
        **dict.fromkeys(known.numbers, 0.1),
        **dict.fromkeys(known.counts, 3),
        **dict.fromkeys(known.flags, True),
    }
    assert set(kinds) <= set(known.columns)
    full = {column: kinds.get(column, "word") for column in known.columns}
    bare = {**full, **dict.fromkeys(known.numbers, math.nan), **dict.fromkeys(known.flags, False)}
    bare.update({column: "" for column in known.columns if column not in kinds})
    rows = [{key: value for key, value in item.items() if key != "p_bh"} for item in (full, bare)]
    frame = table_of(name, rows)
    assert tuple(frame.columns) == known.columns
    write_table(name, frame, tmp_path)
    read = read_table(name, tmp_path)
    pd.testing.assert_frame_equal(read, frame, check_exact=True, check_dtype=False)
    for columns, kind in ((known.numbers, "f"), (known.counts, "i"), (known.flags, "b")):
        assert {read[column].dtype.kind for column in columns} <= {kind}
    assert list(tables_in(tmp_path)) == [name]
    empty = table_of(name, [])
    write_table(name, empty, tmp_path)
    assert tuple(read_table(name, tmp_path).columns) == known.columns


def test_infinite_numbers_keep_their_sign(tmp_path: Path):
    row_of = dict.fromkeys(TABLES["summary"].columns, 0) | {"lift": -math.inf}
    write_table("summary", table_of("summary", [row_of]), tmp_path)
    assert read_table("summary", tmp_path)["lift"].tolist() == [-math.inf]


def test_tables_that_are_none(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="did you mean 'nulls'"):
        read_table("null", tmp_path)
    with pytest.raises(ManifestError, match=r"nulls\.csv"):
        read_table("nulls", tmp_path)
    (tmp_path / "nulls.csv").write_text("null,p,colour\nplacement,0.1,blue\n")
    with pytest.raises(ManifestError, match=r"nulls\.csv lacks.*p_bh.*has colour beyond.*Score"):
        read_table("nulls", tmp_path)
    with pytest.raises(ManifestError, match="lacks the columns claim"):
        write_table("claims", pd.DataFrame({"p": [1]}), tmp_path)
