"""The list of all quality pages as one HTML file: nothing is loaded from elsewhere, no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem; color: #1c1c1c; background: #fff; }
table { border-collapse: collapse; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: left;
         vertical-align: top; }
th { position: sticky; top: 0; background: #f4f4f4; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.flagged { background: #fff1e6; }
td.flags { color: #b34700; font-weight: 600; max-width: 34rem; }
footer { margin-top: 1.5rem; color: #666; }
"""


@dataclass(frozen=True)
class IndexRow:
    """One session: its words, its flags, its numbers in words, and its page beside the index.

    ``page`` is a relative path with forward slashes, not yet quoted; empty where there is none.
    """

    patient_id: str
    session_id: str
    page: str
    flags: Sequence[str]
    numbers: Sequence[str]


def session_index(
    title: str, notes: Iterable[str], columns: Sequence[str], rows: Sequence[IndexRow]
) -> str:
    """The HTML of the list, sessions with flags first, in the order given otherwise.

    Args:
        title: heading.
        notes: sentences above the table.
        columns: names of the rows' numbers.
        rows: the sessions.
    """
    ordered = sorted(rows, key=lambda row: not row.flags)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("Session", "Flags", *columns))
    body = "\n".join(_row(row) for row in ordered)
    paragraphs = "\n".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{paragraphs}\n"
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        "<footer>Research software, not a medical device.</footer>\n</body>\n</html>\n"
    )


def _row(row: IndexRow) -> str:
    name = escape(f"{row.patient_id} {row.session_id}")
    linked = f'<a href="{escape(quote(row.page))}">{name}</a>' if row.page else name
    flags = "<br>".join(escape(flag) for flag in row.flags)
    numbers = "".join(f'<td class="number">{escape(number)}</td>' for number in row.numbers)
    kind = ' class="flagged"' if row.flags else ""
    return f'<tr{kind}><td>{linked}</td><td class="flags">{flags}</td>{numbers}</tr>'
