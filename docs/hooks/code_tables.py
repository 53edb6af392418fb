"""Tables of methods and metrics, made from the tables in the code.

A page writes ``<!-- table: metrics -->`` on a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

_MARK = re.compile(r"^<!-- table: (\w+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put each table in the place of its mark."""
    return _MARK.sub(lambda mark: TABLES[mark[1]](), markdown)


def methods_table() -> str:
    """Every attribution method: what defines it, what it needs."""
    from xrano.attribution.method_table import METHODS

    return _table(
        ("name", "source", "values", "fits"),
        (
            (
                f"`{name}`",
                f"{spec.title}: {spec.citation}",
                ("signed" if spec.signed else "not negative")
                + (", × input" if spec.multiplicative else "")
                + f", on {'cells' if spec.coarse else 'voxels'}",
                spec.fits,
            )
            for name, spec in METHODS.items()
        ),
    )


def metrics_table() -> str:
    """Every overlap metric."""
    from xrano.metrics.records import MAP_METRICS, MASK_METRICS

    return _table(
        ("metric", "what it is", "range", "better", "source"),
        (
            (
                f"`{name}`",
                row.definition,
                _range(row.lowest, row.highest, getattr(row, "unit", "")),
                _direction(row.higher_is_better),
                row.citation,
            )
            for name, row in {**MASK_METRICS, **MAP_METRICS}.items()
        ),
    )


def faithfulness_table() -> str:
    """Every number of ``xrano faithfulness``."""
    from xrano.faithfulness.catalogue import FAITHFULNESS

    return _table(
        ("name", "what it is", "better", "chance", "beside it", "source"),
        (
            (
                f"`{name}`",
                row.definition,
                _direction(row.higher_is_better),
                row.chance or "–",
                row.reference or "–",
                row.citation,
            )
            for name, row in FAITHFULNESS.items()
        ),
    )


def datasets_table() -> str:
    """Every dataset that is read by name."""
    from xrano.data.datasets.catalogue import READERS

    return _table(
        ("name", "dataset", "layout", "source and terms"),
        (
            (f"`{reader.name}`", reader.description, f"`{reader.layout}`", reader.source)
            for reader in READERS.values()
        ),
    )


def statuses_table() -> str:
    """Exit codes of the commands."""
    from xrano.cli.help_pages import STATUSES

    return _table(("code", "means"), ((str(code), what) for code, what in STATUSES.items()))


TABLES: dict[str, Callable[[], str]] = {
    "methods": methods_table,
    "metrics": metrics_table,
    "faithfulness": faithfulness_table,
    "datasets": datasets_table,
    "statuses": statuses_table,
}


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(heads)]
    lines.append(("---",) * len(lines[0]))
    lines += [tuple(cell.replace("|", r"\|") for cell in row) for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _range(lowest: float, highest: float, unit: str) -> str:
    ends = ["∞" if abs(end) == float("inf") else f"{end:g}" for end in (lowest, highest)]
    if lowest == -float("inf"):
        ends[0] = "−∞"
    return f"{ends[0].replace('-', '−')} to {ends[1]}{f' {unit}' if unit else ''}"


def _direction(higher_is_better: bool | None) -> str:
    return {True: "higher", False: "lower", None: "–"}[higher_is_better]
