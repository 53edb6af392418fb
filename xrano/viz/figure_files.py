"""Figures as files: whole or not there, and the same bytes for the same figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from xrano.atomic_files import write_atomically
from xrano.errors import UnknownNameError

# None leaves an entry out: dates and versions would make equal figures differ.
_METADATA: Mapping[str, Mapping[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": "xrano"},
    ".pdf": {"CreationDate": None, "Creator": "xrano", "Producer": None},
}


def save_figure(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a figure as PNG, SVG or PDF, chosen by the suffix.

    Args:
        figure: the figure.
        path: file to write; folders are made, an existing file is replaced at once.
        dpi: pixels an inch, of the pictures inside an SVG or PDF too.

    Raises:
        UnknownNameError: for another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _METADATA:
        raise UnknownNameError("figure format", suffix, _METADATA)
    with matplotlib.rc_context({"svg.hashsalt": "xrano"}):
        write_atomically(
            Path(path),
            lambda temporary: figure.savefig(
                temporary,
                dpi=dpi,
                format=suffix[1:],
                facecolor=figure.get_facecolor(),
                metadata=dict(_METADATA[suffix]),
            ),
        )
