"""A plugin of pytest that keeps the first case of each test.

    python -m pytest -p benchmarks.one_case_pytest

Whether xrano gets along with other versions of its packages is told by every test once; that its
numbers hold in every case is told by the whole suite.
"""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out every case of a test but its first."""
    known: set[tuple[str, str]] = set()
    kept, left_out = [], []
    for item in items:
        name = item.nodeid.partition("::")[2].partition("[")[0]
        test = (str(item.path), name)
        (left_out if test in known else kept).append(item)
        known.add(test)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
