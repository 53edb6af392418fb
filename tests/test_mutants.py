"""What ``python -m benchmarks.mutation`` changes."""

from __future__ import annotations

import ast
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "benchmarks" / "mutants.py"
SPEC = spec_from_file_location("mutants", PATH)
mutants = sys.modules["mutants"] = module_from_spec(SPEC)
SPEC.loader.exec_module(mutants)


def names(source: str) -> list[str]:
    return [mutant.name.removeprefix("module: ") for mutant in mutants.find_mutants("a.py", source)]


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("a < b", ["a <= b", "a >= b"]),
        ("a == b", ["a != b"]),
        ("a in b", ["a not in b"]),
        ("a < b < c", ["a <= b < c", "a >= b < c", "a < b <= c", "a < b >= c"]),
        ("a + b", ["a - b"]),
        ("a / b", ["a * b"]),
        ("a & b", ["a | b"]),
        ("a and b and c", ["a or b or c"]),
        ("not a", ["a"]),
        ("-a", ["a"]),
        ("~a", ["a"]),
        ("a if b else c", ["a", "c"]),
        ("a[b:c]", ["a[:c]", "a[b:]"]),
        ("a[:1]", [":2", ":0"]),
        ("x = True", ["False"]),
        ("x = 0", ["1", "-1"]),
        ("x = 0.5", ["1.0"]),
        ("x = 0.0", ["1.0"]),
        ("x = 1e-09", ["0.0", "1.0"]),
        ("x = 'word'", ["'XXword'"]),
        ("x = ''", ["'XX'"]),
        ("f(side='left')", ["pass", "side='right'"]),
        ("x = min(a)", ["max(a)"]),
        ("x = a.any()", ["a.all()"]),
        ("x = sorted(a, key=b)", ["list(a)"]),
        ("x = abs(a)", ["a"]),
        ("x = [a for a in b if c]", ["[a for a in b]"]),
        ("x += 1", ["x -= 1", "2", "0"]),
        ("if f(a):\n    b", ["if not f(a):\n    b"]),
        ("if a:\n    raise ValueError('no')", ["if not a:\n    raise ValueError('no')", "pass"]),
        ("for a in b:\n    continue", ["break"]),
    ],
)
def test_each_change(source: str, changed: list[str]):
    assert [name.split(" → ")[1] for name in names(source)] == changed


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "x = 'some prose'",
        "x = f'{a + 1} of {b}'",
        "x: Literal['a']",
        "def f(x: Array[1]) -> Array[2]: ...",
        "@dataclass(frozen=True)\nclass A: ...",
        "__all__ = ['a']",
        "from a import b",
        "x = zip(a, b, strict=True)",
        "x = f(a, workers=2, repr=False)",
    ],
)
def test_what_decides_nothing_is_left(source: str):
    assert names(source) == []


SOURCE = '''"""Of two functions."""

LEAST = 2


def total(values, scale=1.0):
    """Sum."""
    found = 0
    for value in values:
        if value < LEAST and value < LEAST:
            continue
        found += value * scale
    return found


class Box:
    def size(self):
        return self.sizes[0] - self.sizes[0]
'''


def test_every_mutant_is_another_program_with_a_name_of_its_own():
    found = mutants.find_mutants("a.py", SOURCE)
    trees = [ast.unparse(mutants.mutated_tree(SOURCE, mutant.number)) for mutant in found]
    assert len({mutant.name for mutant in found}) == len(found)
    assert len({*trees, ast.unparse(ast.parse(SOURCE))}) == len(found) + 1
    assert "total: value < LEAST → value <= LEAST (2)" in {mutant.name for mutant in found}
    assert "Box.size: return self.sizes[0] - self.sizes[0] → return None" in {
        mutant.name for mutant in found
    }


def test_a_mutant_differs_at_its_lines_only():
    lines = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in mutants.find_mutants("a.py", ast.unparse(ast.parse(SOURCE))):
        tree = mutants.mutated_tree("\n".join(lines), mutant.number)
        changed = ast.unparse(tree).splitlines()
        first, last = mutant.lines
        assert changed[: first - 1] == lines[: first - 1]
        assert changed[first - 1 : last] != lines[first - 1 : last]
        assert changed[last:] == lines[last:]


def test_there_is_no_mutant_beyond_the_last():
    with pytest.raises(IndexError, match="no mutant 99"):
        mutants.mutated_tree(SOURCE, 99)
