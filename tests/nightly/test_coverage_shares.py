"""Shares of lines and branches by ``python -m benchmarks.coverage_shares``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.coverage_shares import NUMERICS, main, share


def summary(lines: tuple[int, int], branches: tuple[int, int] = (3, 4)) -> dict[str, object]:
    names = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    return {"summary": dict(zip(names, (*lines, *branches), strict=True))}


def report(folder: Path, elsewhere: tuple[int, int]) -> str:
    files = {name + "a.py" * name.endswith("/"): summary((10, 10)) for name in NUMERICS}
    path = folder / "coverage.json"
    path.write_text(json.dumps({"files": {**files, "xrano/cli/a.py": summary(elsewhere)}}))
    return str(path)


def test_a_share_is_of_all_lines_together():
    files = {"xrano/metrics/a.py": summary((1, 1)), "xrano/metrics/b.py": summary((1, 3))}
    files["xrano/metrics_of_others.py"] = summary((0, 100))
    assert share(files, ["xrano/metrics/"], "covered_lines", "num_statements") == 50.0
    assert share(files, ["xrano/metrics/"], "covered_branches", "num_branches") == 75.0


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match=r"no num_branches in xrano/rano\.py"):
        share({"xrano/rano.py": summary((1, 1), (0, 0))}, ["xrano/rano.py"], "x", "num_branches")


@pytest.mark.parametrize(("elsewhere", "status"), [((55, 60), 0), ((54, 60), 1)])
def test_95_of_100_lines_are_needed(tmp_path: Path, capsys, elsewhere, status):
    assert main([report(tmp_path, elsewhere)]) == status
    said = capsys.readouterr().out
    assert ("MISSED" in said) == bool(status)
    assert "branches of xrano/metrics/: 75.00 %" in said
