"""The notebooks run from top to bottom, on the small phantom run of the tests."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_runs_on_the_phantom(path, tiny_run, monkeypatch):
    monkeypatch.setenv("XRANO_RUN", str(tiny_run.root))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == sum(".figure(" in cell["source"] for cell in notebook.cells) > 0
    complaints = [output["text"] for output in outputs if output.get("name") == "stderr"]
    # A dependency misses ipywidgets, which xrano does not need.
    assert [text for text in complaints if "IProgress" not in text] == []


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_is_kept_without_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    assert all(not cell.get("outputs") for cell in cells)
