"""What pages tell to type: Python blocks run, and commands parse."""

from __future__ import annotations

import re

import matplotlib as mpl
import pytest
from doc_pages import NAMES, PAGES, blocks, prose, xrano_commands
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from xrano.cli import main
from xrano.experiments.study.study_file import read_study

WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.fixture
def desk(tiny_run, tmp_path, monkeypatch):
    """A working folder in which the run of the tests stands where a demo's would."""
    (tmp_path / "xrano-demo").mkdir()
    (tmp_path / "xrano-demo/run").symlink_to(tiny_run.root, target_is_directory=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_blocks_run_in_order(page, desk):
    before = mpl.get_backend()
    examples = list(Sybil(parsers=[PythonCodeBlockParser()]).parse(page).examples())
    assert len(examples) == len(blocks(page, "python"))
    for example in examples:
        example.evaluate()
    assert mpl.get_backend() == before


def test_a_broken_block_would_be_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nraise KeyError('seen')\n```\n")
    (example,) = Sybil(parsers=[PythonCodeBlockParser()]).parse(page).examples()
    with pytest.raises(KeyError, match="seen"):
        example.evaluate()


def test_the_study_of_the_page_is_one(tmp_path):
    files = [(page, text) for page in PAGES for text in blocks(page, "yaml")]
    assert [page.name for page, _ in files] == ["studies.md"]
    path = tmp_path / "study.yaml"
    path.write_text(files[0][1].text)
    study = read_study(path)
    assert [arm.name for arm in study.arms][:2] == ["concatenation", "subtraction"]
    assert len(study.arms) == 4


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_parse(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line, words in xrano_commands(page):
        if "--help" in words:
            continue
        try:
            main.parsed([main.underscored(word) for word in words])
        except SystemExit:
            complaint = capsys.readouterr().err
            pytest.fail(f"{page.name}:{line}: xrano {' '.join(words)}: {complaint}")


OF_OTHERS = {
    *("--help", "--version", "--strict", "--doctest-modules", "--extra-index-url", "--cov"),
    *("--cov-report", "--seconds", "--share", "--commands", "--all-tests"),
    *("--array", "--gres", "--gpus-per-task", "--ntasks", "--ntasks-per-node"),
}
"""Options of pip, pytest, mkdocs, benchmarks and SLURM, and those that every command has."""


@pytest.fixture(scope="module")
def known_options():
    parsers = next(
        action.choices for action in main.build_parser()._actions if action.dest == "subcommand"
    )
    every = [main.build_parser(), *parsers.values()]
    return {name for one in every for action in one._actions for name in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_options_that_are_named_exist(page, known_options):
    spans = re.findall(r"`([^`]+)`", prose(page))
    named = {name for span in spans for name in re.findall(r"(?<!\S)--[\w.-]+", span)}
    own = {name for name in named - OF_OTHERS if main.underscored(name) not in known_options}
    assert own == set()


def test_a_wrong_option_would_be_noticed(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("```bash\nsrun xrano explain runs/first --al --out x   # oops\n```\n")
    ((line, words),) = xrano_commands(page)
    assert (line, words) == (2, ["explain", "runs/first", "--al", "--out", "x"])
    with pytest.raises(SystemExit):
        main.parsed(words)
    assert "--al" in capsys.readouterr().err


def test_commands_are_found_in_readme_and_pages():
    counts = {name: len(xrano_commands(page)) for name, page in zip(NAMES, PAGES, strict=True)}
    assert counts["README.md"] >= 5
    assert sum(counts.values()) >= 40
