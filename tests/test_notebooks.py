"""The notebooks run from top to bottom, on the small phantom run of the tests."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from experiments.audit.audit_tables import made
from nbclient import NotebookClient

from xrano.experiments.audit.audit_files import write_audit
from xrano.experiments.study.study_files import COLUMNS
from xrano.viz.figure_files import save_figure
from xrano.viz.forest_figure import forest_figure
from xrano.viz.forest_rows import ForestRow

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ALL = sorted(NOTEBOOKS.glob("*.ipynb"))
PNG = b"\x89PNG"


def named(start: str) -> Path:
    (found,) = NOTEBOOKS.glob(f"{start}_*.ipynb")
    return found


@pytest.fixture
def execute(tiny_run, tmp_path, monkeypatch):
    """Runs a notebook on the tiny run; folders that are not named do not exist."""

    def run(path: Path, own: Path | None = None, **folders: Path):
        monkeypatch.setenv("XRANO_RUN", str(own or tiny_run.root))
        for name in ("SCORES", "AUDIT", "STUDY"):
            folder = folders.get(name.lower(), tmp_path / "nothing" / name.lower())
            monkeypatch.setenv(f"XRANO_{name}", str(folder))
        monkeypatch.delenv("MPLBACKEND", raising=False)
        notebook = nbformat.read(path, as_version=4)
        where = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=300, resources=where).execute()
        return notebook

    return run


def outputs_of(cell: Any) -> list[Any]:
    return list(cell.get("outputs", []))


def text_of(notebook: Any) -> str:
    parts = []
    for cell in notebook.cells:
        for output in outputs_of(cell):
            data = output.get("data", {})
            parts.append(
                output.get("text") or data.get("text/markdown") or data.get("text/html", "")
            )
    return "\n".join(parts)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_runs_on_the_phantom(path, execute):
    notebook = execute(path)
    for cell in notebook.cells:
        if cell["source"].rstrip().endswith(("figure()", "figure(summary)")):
            assert any("image/png" in output.get("data", {}) for output in outputs_of(cell))
    outputs = [output for cell in notebook.cells for output in outputs_of(cell)]
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []
    if "xrano.explore(" in "".join(cell["source"] for cell in notebook.cells):
        assert_drew(notebook)


def assert_drew(notebook: Any) -> None:
    """The explorer of a notebook has a picture and no error, as the page would have got them."""
    (kept,) = notebook.metadata["widgets"].values()
    models = list(kept["state"].values())
    (picture,) = [model for model in models if model["model_name"] == "ImageModel"]
    (buffer,) = picture["buffers"]
    assert base64.b64decode(buffer["data"])[:4] == PNG
    texts = [
        model["state"].get("value", "") for model in models if model["model_name"] == "HTMLModel"
    ]
    assert not any('role="alert"' in text for text in texts)
    assert any("core/union" in text for text in texts)


def test_a_finished_audit_is_read(execute, tmp_path):
    write_audit(made(4), tmp_path / "audit")
    text = text_of(execute(named("03"), audit=tmp_path / "audit"))
    assert (tmp_path / "audit" / "verdict.txt").read_text().splitlines()[0] in text
    assert "No finished audit" not in text
    assert "<table" in text


def test_finished_scores_are_read(execute, laid_out):
    text = text_of(execute(named("02"), laid_out / "run", scores=laid_out / "scores"))
    assert "pairs, of scores" in text
    assert "Grad-CAM" in text or "gradcam" in text


def test_a_scored_run_is_placed_on_an_audit(execute, laid_out, tmp_path):
    write_audit(made(4), tmp_path / "audit")
    scores = laid_out / "scores"
    notebook = execute(named("03"), laid_out / "run", audit=tmp_path / "audit", scores=scores)
    assert "run on the scale of the audit:" in text_of(notebook)


def test_a_finished_study_is_read(execute, tmp_path):
    study = tmp_path / "study"
    row = dict.fromkeys(COLUMNS, 0.5) | {"name": "siamese", "kind": "arm", "verdict": "better"}
    other = row | {"name": "majority class", "kind": "reference", "verdict": "worse"}
    study.mkdir()
    pd.DataFrame([row, other]).to_csv(study / "study.csv", index=False)
    rows = [ForestRow("siamese", "subtraction", 0.6, 0.5, 0.7, n_pairs=20)]
    save_figure(forest_figure(rows), study / "forest.png")
    notebook = execute(named("04"), study=study)
    text = text_of(notebook)
    assert "siamese" in text
    assert "majority class" in text
    assert "No finished study" not in text
    outputs = [output for cell in notebook.cells for output in outputs_of(cell)]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_is_kept_without_outputs_and_says_what_it_needs_and_what_not_to_conclude(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = notebook.cells
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in cells)
    assert cells[0]["source"].startswith(f"# {int(path.stem[:2])}. ")
    for words in ("**You need**", "takes**", "not a medical device"):
        assert words in cells[0]["source"]
    ends = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    assert ends[-1].startswith("## What may not be concluded")
    # Thin: what is worth a function belongs into the package.
    assert all("def " not in cell["source"] or "class Mine" in cell["source"] for cell in cells)


def test_notebooks_are_numbered_from_one_on():
    assert [int(path.stem[:2]) for path in ALL] == list(range(1, len(ALL) + 1))
