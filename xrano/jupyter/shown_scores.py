"""A table of scores for notebooks: what is the same in all rows is said once, above them."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import pandas as pd

from xrano.jupyter import html

FEW_COLUMNS = 12
"""Whoever chose so few wants to see just these."""

ROWS = 24
"""Rows shown."""


class ShownScores(pd.DataFrame):
    """A data frame of scores that shows itself; so does what is filtered from it."""

    @property
    def _constructor(self) -> Callable[..., ShownScores]:
        return ShownScores

    def _repr_html_(self) -> str | None:
        if len(self) < 2 or len(self.columns) <= FEW_COLUMNS:
            return pd.DataFrame(self)._repr_html_()  # type: ignore[operator, no-any-return]
        return scores_html(self)


def scores_html(scores: pd.DataFrame) -> str:
    """Scores as HTML: columns that differ between rows, and a line with all others.

    Args:
        scores: two rows or more.
    """
    same = {
        str(name): column.iloc[0]
        for name, column in scores.items()
        if column.nunique(dropna=False) == 1
    }
    differing = [str(name) for name in scores.columns if name not in same]
    rows = scores[differing].head(ROWS).itertuples(index=False)
    shown = f"{len(scores)} rows" + (f", the first {ROWS} shown" if len(scores) > ROWS else "")
    told = "; ".join(f"{name} {_word(value)}" for name, value in same.items())
    # Not the table's caption, which would be no wider than a few columns.
    above = f"<div>The same in all: {escape(told)}.</div>" if told else ""
    table = html.table(differing, [[_word(value) for value in row] for row in rows], shown)
    return html.card("Scores", above, table)


def _word(value: object) -> str:
    if isinstance(value, float):
        return html.number(value, ".3g")
    return str(value) or "–"
