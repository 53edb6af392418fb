"""A tiny run with everything beside it, as ``xrano demo`` lays it out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from xrano.attribution.methods import AttributionSettings
from xrano.experiments.cohort import CohortSettings, score_cohort
from xrano.experiments.evaluated_run import evaluate_run
from xrano.experiments.explained_cohort import CohortRequest, explain_cohort
from xrano.experiments.summary_files import write_summary
from xrano.training.run import Run, open_run

METHODS = ("saliency", "gradcam", "ig:prior")
SETTINGS = AttributionSettings(n_steps=2)


@pytest.fixture(scope="session")
def laid_out(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``run``, ``scores`` and ``explained``. Not to be changed."""
    out = tmp_path_factory.mktemp("laid-out")
    shutil.copytree(tiny_run.root, out / "run")
    run = open_run(out / "run")
    evaluate_run(run, n_resamples=50)
    scored = CohortSettings(methods=METHODS, copies=1, attribution=SETTINGS)
    write_summary(score_cohort(run, out / "scores", scored), out / "scores", n_resamples=50)
    wanted = CohortRequest(METHODS, maps="reduced", settings=SETTINGS)
    explain_cohort(run, out / "explained", wanted)
    return out


@pytest.fixture
def own_copy(laid_out: Path, tmp_path: Path) -> Path:
    """The same folder to change."""
    shutil.copytree(laid_out, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def own_run(own_copy: Path) -> Run:
    """The run in it."""
    return open_run(own_copy / "run")
