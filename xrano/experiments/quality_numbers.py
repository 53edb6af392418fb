"""Numbers of the quality table in words, as the pages and the list show them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from xrano.viz.session_page import PageNumber

_Row = Mapping[str, Any]

_PATH_LETTERS = 22


@dataclass(frozen=True)
class PageTable:
    """The lines of a page's table.

    Args:
        row: of the quality table.
        flagged: its columns that stand apart.
        sequences: those of the session, in order.
        alignment: how the session was registered, from its file; empty if it was not.
    """

    row: _Row
    flagged: Collection[str]
    sequences: Sequence[str]
    alignment: Mapping[str, Any]

    def lines(self) -> list[PageNumber]:
        """All lines, with headings."""
        parts = {
            "Grid": self._grids(),
            "Brain mask": [
                self._line("volume", "brain_ml", ".0f", " ml"),
                self._line("Dice with the session before", "dice_previous", ".3f"),
                self._line("Dice with the first session", "dice_first", ".3f"),
            ],
            "Mutual information, nats": self._information(),
            "Share of the brain": [
                self._line(f"{name} {words}", f"{start}{name}", ".3%")
                for start, words in (
                    ("ceiling_share_", "at its largest value"),
                    ("empty_share_", "exactly 0"),
                )
                for name in self.sequences
            ],
            "Whole tumour": [
                self._line(column.removeprefix("tumour_ml_"), column, ".1f", " ml")
                for column in self._columns("tumour_ml_")
            ]
            or [PageNumber("not segmented")],
            "Registration": alignment_lines(self.alignment),
        }
        found = [PageNumber("sequences", " ".join(self.sequences))]
        if not _missing(self.row.get("missing")):
            found.append(PageNumber("missing", str(self.row["missing"])))
        for heading, lines in parts.items():
            if lines:
                found += [PageNumber(""), PageNumber(heading, heading=True), *lines]
        return found

    def _grids(self) -> list[PageNumber]:
        sources = [
            PageNumber(f"{name} as scanned", _grid(self.row, f"source_{name}"))
            for name in self.sequences
        ]
        return [*sources, PageNumber("prepared", _grid(self.row, "grid"))]

    def _information(self) -> list[PageNumber]:
        before = [
            self._line(f"{name} with the session before", f"mi_previous_{name}", ".2f")
            for name in self.sequences
        ]
        between = [
            self._line(column.removeprefix("mi_").replace("_", " with "), column, ".2f")
            for column in self._columns("mi_")
            if not column.startswith("mi_previous_")
        ]
        return [*before, *between]

    def _columns(self, start: str) -> list[str]:
        return [
            name for name in self.row if name.startswith(start) and not _missing(self.row[name])
        ]

    def _line(self, name: str, column: str, form: str, unit: str = "") -> PageNumber:
        value = _shown(self.row.get(column), form, unit)
        return PageNumber(name, value, flagged=column in self.flagged)


def alignment_lines(alignment: Mapping[str, Any]) -> list[PageNumber]:
    """The steps of a registration: mutual information (nats) before and after, rotation, shift.

    A step may lack any of it; what it has is shown.
    """
    lines = []
    if alignment.get("anchor"):
        lines.append(PageNumber("sequence that the others follow", str(alignment["anchor"])))
    for step in alignment.get("steps") or []:
        ends = [_short_path(str(step[end])) for end in ("moving", "fixed") if step.get(end)]
        information = " → ".join(
            _shown(value, ".2f")
            for end in ("before", "after")
            for key, value in step.items()
            if key.endswith(end) and isinstance(value, (int, float))
        )
        moved = [
            _shown(step[key], ".1f", unit)
            for key, unit in (("rotation_deg", "°"), ("translation_mm", " mm"))
            if key in step
        ]
        value = ", ".join(part for part in (information, *moved) if part)
        lines.append(PageNumber(" to ".join(ends) or "step", value))
    return lines


def _short_path(path: str) -> str:
    """The end of a path, as much as fits: ``week-012/T1.nii.gz``."""
    short = "/".join(PurePath(path).parts[-2:])
    return short if len(short) <= _PATH_LETTERS else f"…{short[1 - _PATH_LETTERS :]}"


INDEX_COLUMNS = (
    "Sequences",
    "Brain, ml",
    "Dice, before",
    "Dice, first",
    "MI, before",
    "MI, within",
    "At ceiling",
    "Tumour, ml",
)


def index_numbers(row: _Row) -> list[str]:
    """What the list of sessions shows of a row: see :data:`INDEX_COLUMNS`."""
    before = [value for name, value in row.items() if name.startswith("mi_previous_")]
    within = [
        value
        for name, value in row.items()
        if name.startswith("mi_") and not name.startswith("mi_previous_")
    ]
    ceiling = [value for name, value in row.items() if name.startswith("ceiling_share_")]
    tumour = [value for name, value in row.items() if name.startswith("tumour_ml_")]
    return [
        "" if _missing(row.get("sequences")) else str(row["sequences"]),
        _shown(row.get("brain_ml"), ".0f"),
        _shown(row.get("dice_previous"), ".3f"),
        _shown(row.get("dice_first"), ".3f"),
        _shown(min(_known(before), default=None), ".2f"),
        _shown(min(_known(within), default=None), ".2f"),
        _shown(max(_known(ceiling), default=None), ".2%"),
        " / ".join(f"{value:.1f}" for value in _known(tumour)),
    ]


def _known(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values if not _missing(value)]


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _shown(value: Any, form: str, unit: str = "") -> str:
    return "–" if _missing(value) else f"{value:{form}}{unit}"


def _grid(row: _Row, start: str) -> str:
    """``240×240×155, 1×1×1 mm, RAS``; the angle where the grid is oblique."""
    if _missing(row.get(f"{start}_shape")):
        return "not recorded: prepare again"
    angle = float(row[f"{start}_obliquity_deg"])
    oblique = f", {angle:.1f}° oblique" if angle >= 0.05 else ""
    shape, spacing = row[f"{start}_shape"], row[f"{start}_spacing_mm"]
    return f"{shape}, {spacing} mm, {row[f'{start}_axes']}{oblique}"
