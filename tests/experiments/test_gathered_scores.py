"""The rows of a cohort kept small: the tables are those of the rows as they were."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from xrano.experiments.gathered_scores import GatheredScores, write_tables
from xrano.experiments.scored_pair import PairScores
from xrano.scoring.crossed_masks import CohortMasks
from xrano.scoring.null_table import random_weights_rows
from xrano.scoring.score_table import SCORE_COLUMNS
from xrano.scoring.tables import read_table, table_of

NOBODY = CohortMasks("", (), (), (), ())


def scored(pair: int, rows: int = 12) -> PairScores:
    """Rows of a trained network and of its copy, as JSON gives them."""
    words = dict.fromkeys(SCORE_COLUMNS, "word")
    found = []
    for number in range(rows):
        row = words | {"pair_id": f"P{pair}", "fold": pair % 2, "spans_surgery": pair == 1}
        row |= {"metric": f"metric {number // 2}", "weights": ("trained", "random-0")[number % 2]}
        row |= {"value": None if number == 5 else number / 7, "chance": 0.25, "lesion": "all"}
        row |= {"reference": None if number % 3 else 0.5}
        found.append(row | ({"resampled": True} if pair == 2 else {}))
    lesions = [{"pair_id": f"P{pair}", "lesion": 1, "measurable": pair > 0}]
    return PairScores(**json.loads(json.dumps({"scores": found, "lesions": lesions})))


@pytest.mark.parametrize("name", ["scores", "lesions", "nulls"])
def test_a_table_is_that_of_all_rows(name: str):
    pairs = [scored(pair) for pair in range(3)]
    gathered = GatheredScores()
    for one in pairs:
        gathered.add(one)
    rows = [row for one in pairs for row in getattr(one, name)]
    found, expected = gathered.table(name), table_of(name, rows)
    pd.testing.assert_frame_equal(found, expected)
    assert found.to_csv() == expected.to_csv()


def test_nulls_of_random_weights_are_those_of_the_whole_table(tmp_path: Path):
    gathered = GatheredScores()
    for pair in range(3):
        gathered.add(scored(pair))
    table = write_tables(gathered, NOBODY, tmp_path)
    expected = table_of("nulls", random_weights_rows(table))
    # Metric 2 has a value of one kind of weights alone.
    assert len(expected) == 3 * 5
    found = read_table("nulls", tmp_path)
    assert found["observed"].tolist() == pytest.approx(expected["observed"].tolist(), rel=1e-12)
    assert found["pair_id"].tolist() == expected["pair_id"].tolist()


def test_rows_take_a_fifth_of_the_memory_of_dictionaries():
    def held(gather: bool) -> int:
        gathered, kept = GatheredScores(), []
        tracemalloc.start()
        for pair in range(5):
            one = scored(pair, rows=500)
            if gather:
                gathered.add(one)
            else:
                kept.append(one)
        del one
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert held(True) < held(False) / 5
