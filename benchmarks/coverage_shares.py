"""The share of lines that the tests reach, and of branches in what computes.

    python -m pytest -q --cov --cov-report json
    python -m benchmarks.coverage_shares [coverage.json]

Needed: 95 % of the lines of xrano; the exit status is 1 below that. (coverage's own total, which
``fail_under`` holds, is of lines and branches together.) Branches are told of metrics, grids, the
RANO rules and pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

NEEDED = 95.0
NUMERICS = ("xrano/metrics/", "xrano/geometry.py", "xrano/rano.py", "xrano/data/pairing/")


def share(
    files: Mapping[str, Mapping[str, Any]], parts: Iterable[str], found: str, of: str
) -> float:
    """Per cent of what there is in the files whose names begin with one of the parts.

    Args:
        files: of coverage's report, by path relative to the repository.
        parts: folders, each with a slash at its end, or files.
        found: the count of what was reached, such as ``covered_lines``.
        of: the count of what there is, such as ``num_statements``.

    Raises:
        ValueError: if there is nothing to count.
    """
    begins = tuple(parts)
    counted = [entry["summary"] for name, entry in files.items() if name.startswith(begins)]
    total = sum(summary[of] for summary in counted)
    if not total:
        raise ValueError(f"no {of} in {', '.join(begins)}: was it measured with branches?")
    return 100.0 * sum(summary[found] for summary in counted) / total


def main(words: Sequence[str] | None = None) -> int:
    """Print the shares; the exit status is 1 if too few lines are reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, nargs="?", default=Path("coverage.json"))
    arguments = parser.parse_args(words)
    files = json.loads(arguments.report.read_text(encoding="utf-8"))["files"]
    lines = share(files, ["xrano/"], "covered_lines", "num_statements")
    held = lines >= NEEDED
    print(f"lines of xrano: {lines:.2f} % (needed: {NEEDED:g} %) {'met' if held else 'MISSED'}")
    for part in NUMERICS:
        reached = share(files, [part], "covered_branches", "num_branches")
        print(f"branches of {part}: {reached:.2f} %")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
