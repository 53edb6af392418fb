from __future__ import annotations

import json
from pathlib import Path

import pytest
from source_rules import breaches, unbounded

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
        ("eval(text)", "calls builtins.eval"),
        ("exec(text)", "calls builtins.exec"),
        ("os.system(text)", "calls os.system"),
        ("subprocess.run(text, shell=True)", "with a shell"),
        ("subprocess.run(text, shell=flag)", "with a shell"),
        ("pd.read_pickle(path)", "calls pandas.read_pickle"),
        ("nib.load(path)", "calls nibabel.load"),
        ("from os import system", "imports os.system"),
        ("from os import system as run\nrun(text)", "line 2 calls os.system"),
        ("import os as o\no.system(text)", "calls os.system"),
        ("from torch import load\nload(path)", "line 2 calls torch.load without"),
        ("from torch import load as read\nread(path)", "line 2 calls torch.load without"),
        ("from numpy import load\nload(path)", "line 2 calls numpy.load without"),
        ("from yaml import load\nload(text)", "imports yaml.load"),
        ("import yaml as y\ny.unsafe_load(text)", "calls yaml.unsafe_load"),
        ("from nibabel import load", "imports nibabel.load"),
        ("import numpy\nnumpy.load(path, allow_pickle=flag)", "allows pickle"),
        ("from os import *", "imports whatever there is"),
        ("import builtins\nbuiltins.eval(text)", "calls builtins.eval"),
        ("subprocess.getoutput(text)", "calls subprocess.getoutput"),
        ("os.execv(path, words)", "calls os.execv"),
        ("os.spawnlp(os.P_WAIT, text)", "calls os.spawnlp"),
        ("import runpy", "imports runpy"),
        ("pd.eval(text)", "calls pandas.eval"),
        ("table.query(text)", "by .query"),
        ("table.query(f'{name} > 1')", "by .query"),
        ("table.eval(text)", "by .eval"),
        ("archive.extractall(folder)", "calls .extractall"),
        ("shutil.unpack_archive(path)", "calls shutil.unpack_archive"),
        ("map(eval, texts)", "hands on builtins.eval"),
        ("read = torch.load", "hands on torch.load"),
        ("partial(yaml.load, Loader=loader)", "hands on yaml.load"),
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
        "from re import compile\ncompile(text)",
        "from torch import load\nload(path, weights_only=True)",
        "KDTree(points).query(others)",
        "os.execv(sys.executable, words)",
        "evaluate(text)",
    ],
)
def test_what_is_allowed_is_passed_over(source: str):
    assert not list(breaches(source))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("json.loads(path.read_text())", "json.loads"),
        ("from json import loads\nloads(file.read())", "json.loads"),
        ("json.load(file)", "json.load"),
    ],
)
def test_json_of_files_without_bounds_is_found(source: str, found: str):
    assert [found in breach for breach in unbounded(source)] == [True]
    assert not list(unbounded("json.loads(text); read_json(path)"))


def test_the_package_reads_json_within_bounds():
    package = [path for path in FILES if path.is_relative_to(ROOT / "xrano")]
    found = {
        str(path.relative_to(ROOT)): breach
        for path in package
        for breach in unbounded(path.read_text(encoding="utf-8"))
    }
    assert not found


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
