"""The rows of all pairs of a cohort, kept small, and the tables that they make together."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.experiments.score_parts import pack_rows
from xrano.experiments.scored_pair import PairScores
from xrano.scoring.crossed_masks import CohortMasks
from xrano.scoring.null_table import random_weights_rows, shuffle_rows
from xrano.scoring.report import REPORT_FILE
from xrano.scoring.shuffle import shuffle_primary
from xrano.scoring.tables import TABLES, table_of, write_table


class GatheredScores:
    """Rows by the table that they go to, those of each pair packed as in its part.

    As dictionaries the rows of a pair and one method take a megabyte, those of a cohort soon more
    than the network; packed they take a tenth of that.
    """

    def __init__(self) -> None:
        self._packed: dict[str, list[dict[str, Any]]] = {}

    def add(self, scores: PairScores) -> None:
        """Take in the rows of a pair."""
        for name, rows in vars(scores).items():
            self.extend(name, rows)

    def extend(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in some rows of a table."""
        if rows:
            packed = pack_rows(rows)
            packed["rows"] = [tuple(map(_shared, row)) for row in packed["rows"]]
            self._packed.setdefault(name, []).append(packed)

    def table(self, name: str) -> pd.DataFrame:
        """A table of :data:`~xrano.scoring.tables.TABLES`, undefined numbers NaN."""
        parts = self._packed.get(name, [])
        columns = dict.fromkeys(one for part in parts for one in (*part["same"], *part["columns"]))
        # A column at a time: as lists all of them would be larger than the table.
        return table_of(name, {one: pd.Series(_values(one, parts)) for one in columns})


def write_tables(scores: GatheredScores, cohort: CohortMasks, out: Path) -> pd.DataFrame:
    """Write every table that follows from the rows of all pairs; the score table is returned.

    A table of single pairs is a field of :class:`~xrano.experiments.scored_pair.PairScores`, with a
    row in :data:`~xrano.scoring.tables.TABLES`; one of the whole cohort is a line here.
    """
    table = scores.table("scores")
    # It is written last, once everything is there: with it a folder of scores is whole.
    (Path(out) / REPORT_FILE).unlink(missing_ok=True)
    write_table("scores", table, out)
    if table["weights"].str.startswith("random").any():
        for _, of_pair in table.groupby("pair_id", sort=False):
            scores.extend("nulls", random_weights_rows(of_pair))
    crossed, masks = scores.table("crossed"), cohort.table()
    shuffle = shuffle_primary(crossed, masks)
    scores.extend("nulls", shuffle_rows(shuffle, table))
    whole = {"crossed": crossed, "cohort_masks": masks, "shuffle": shuffle}
    for name in vars(PairScores()):
        if name in TABLES and name not in ("scores", *whole):
            write_table(name, scores.table(name), out)
    for name, frame in whole.items():
        write_table(name, frame, out)
    return table


def _values(column: str, parts: Iterable[Mapping[str, Any]]) -> list[Any]:
    """One column of all rows; ``None`` where a part lacks it."""
    found: list[Any] = []
    for part in parts:
        if column in part["columns"]:
            place = part["columns"].index(column)
            found += [row[place] for row in part["rows"]]
        else:
            found += [part["same"].get(column)] * len(part["rows"])
    return found


def _shared(value: Any) -> Any:
    """One word for all that are equal: JSON makes each anew."""
    return sys.intern(value) if type(value) is str else value
