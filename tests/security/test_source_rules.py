from __future__ import annotations

import json
from pathlib import Path

import pytest
from source_rules import breaches

import xrano

ROOT = Path(xrano.__file__).parent.parent
FILES = sorted([*(ROOT / "xrano").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", "imports pickle"),
        ("from pickle import loads", "imports pickle"),
        ("from urllib import request", "imports urllib.request"),
        ("def f():\n    import requests", "line 2 imports requests"),
        ("torch.load(path)", "without weights_only=True"),
        ("torch.load(path, weights_only=False)", "without weights_only=True"),
        ("torch.load(path, weights_only=flag)", "without weights_only=True"),
        ("np.load(path)", "without allow_pickle=False"),
        ("np.load(path, allow_pickle=True)", "allows pickle"),
        ("np.save(path, a, allow_pickle=True)", "allows pickle"),
        ("yaml.load(text, Loader=yaml.SafeLoader)", "calls yaml.load"),
        ("yaml.unsafe_load(text)", "calls yaml.unsafe_load"),
        ("eval(text)", "calls eval"),
        ("exec(text)", "calls exec"),
        ("os.system(text)", "calls os.system"),
        ("subprocess.run(text, shell=True)", "with a shell"),
        ("subprocess.run(text, shell=flag)", "with a shell"),
        ("pd.read_pickle(path)", "calls pd.read_pickle"),
        ("nib.load(path)", "calls nib.load"),
    ],
)
def test_what_is_forbidden_is_found(source: str, found: str):
    assert any(found in breach for breach in breaches(source))


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "model.eval()",
        "subprocess.run([a, b], check=True)",
        "yaml.safe_load(text)",
        "from urllib.parse import quote",
        "re.compile(text)",
    ],
)
def test_what_is_allowed_is_passed_over(source: str):
    assert not list(breaches(source))


def test_the_source_executes_nothing_that_a_file_says_and_reaches_no_network():
    assert len(FILES) > 300
    found = {
        str(path.relative_to(ROOT)): breach
        for path in FILES
        for breach in breaches(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_neither_do_the_notebooks():
    books = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for book in books:
        for cell in json.loads(book.read_text(encoding="utf-8"))["cells"]:
            lines = "".join(cell["source"]).splitlines()
            # Lines of the shell and magics are no Python.
            source = "\n".join(line for line in lines if not line.lstrip().startswith(("!", "%")))
            assert cell["cell_type"] != "code" or not list(breaches(source)), book.name
    assert books
