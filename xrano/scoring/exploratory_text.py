"""The exploratory tables as a few lines for a terminal."""

from __future__ import annotations

import pandas as pd

from xrano.scoring.cell_table import CHANCE
from xrano.scoring.pair_values import COPIES_SUFFIX, NO_CHOICE
from xrano.scoring.summary import ALL, DESCRIPTIVE_BELOW, PRIMARY_METRIC

LEVEL = 0.05
"""False discovery rate at which cells are counted."""

_CR_SCOPES = ("core/prior", "core/vanished", "core/current")


def format_exploratory(table: pd.DataFrame) -> str:
    """What an exploratory table looked at, what survives, and where CR stands; at most 12 lines.

    Args:
        table: one of :func:`~xrano.scoring.exploratory.exploratory_tables`.

    Returns:
        Lines without a trailing newline; empty for an empty table.
    """
    if table.empty:
        return ""
    tested, found = table["p"].notna(), table["q"] <= LEVEL
    above, below = (
        int((found & side).sum()) for side in (table["estimate"] > 0, table["estimate"] < 0)
    )
    undefined = table["n_pairs"] == 0
    few = table["descriptive"] & ~undefined
    rest = int((~tested & ~few & ~undefined).sum())
    against = "chance" if table["against"].eq(CHANCE).all() else "the other side"
    lines = [
        "exploratory, not named beforehand: a cell that stands out is a question, not an answer",
        f"  {len(table):,} cells ({_spread(table)})",
        f"  {int(tested.sum()):,} tested: {int(found.sum()):,} differ from {against} at a false "
        f"discovery rate of {LEVEL:.0%} (Benjamini–Hochberg), {above:,} above and {below:,} below",
        f"  {int(few.sum()):,} descriptive: fewer than {DESCRIPTIVE_BELOW} patients, no p",
        f"  {int(undefined.sum()):,} without any value, counted by status",
    ]
    if rest:
        lines.append(f"  {rest:,} not tested: reference maps, copies, correlations")
    return "\n".join([*lines, *_cr_lines(table)])


def _spread(table: pd.DataFrame) -> str:
    counted = (
        ("response", "responses"),
        ("method", "methods"),
        ("target_choice", "target choices"),
        ("segmentation_source", "segmentations"),
        ("region", "regions"),
        ("stratum", "strata"),
        ("metric", "metrics"),
    )
    numbers = ((table[column].nunique(), words) for column, words in counted)
    return ", ".join(f"{number} {words}" for number, words in numbers if number > 1)


def _cr_lines(table: pd.DataFrame) -> list[str]:
    """Each scope that CR is scored against, and the current mask that it cannot be scored against.

    Of the first target choice and segmentation in the table.
    """
    own = table[
        (table["response"] == "CR")
        & (table["stratum"] == ALL)
        & (table["metric"] == PRIMARY_METRIC)
        & (table["against"] == CHANCE)
        & (table["target_choice"] != NO_CHOICE)
        & ~table["method"].str.endswith(COPIES_SUFFIX)
    ]
    lines = []
    for scope in _CR_SCOPES:
        cells = own[own["region"] == scope]
        for column in ("target_choice", "segmentation_source"):
            cells = cells[cells[column] == cells[column].iloc[0]] if len(cells) else cells
        if cells.empty:
            continue
        valued = cells[cells["n_pairs"] > 0]
        lifts = ", ".join(
            f"{method} {estimate:+.2f}"
            for method, estimate in zip(valued["method"], valued["estimate"], strict=True)
        )
        first = cells.iloc[0]
        empty = f"{first['n_empty_mask']} of {first['n_pairs'] + first['n_undefined']} masks empty"
        lines.append(f"  CR in {scope} ({empty}): {lifts or 'no number'}")
    return lines
