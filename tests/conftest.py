"""A small phantom cohort, its store, a tiny trained run and a browser, made once for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers side by side: threads of their own would only wait for each other. Set before torch
    # is imported; processes that tests start inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from xrano.data.index import index_cohort
from xrano.data.phantom import PhantomSettings, write_phantom
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import Store, open_store
from xrano.training.config import ModelConfig, RunConfig, TrainingConfig

CHROMIUM = "/usr/bin/chromium"
PHANTOM = PhantomSettings(patients=9, visits=(3, 4), seed=3, spacing_mm=6.0)


@pytest.fixture(scope="session")
def phantom_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom cohort in LUMIERE's tree: 9 patients at 6 mm. Not to be changed."""
    out = tmp_path_factory.mktemp("cohort") / "phantom"
    write_phantom(out, PHANTOM)
    return out


@pytest.fixture(scope="session")
def phantom_index(phantom_tree: Path) -> Path:
    """The tables of the phantom cohort. Not to be changed."""
    index_cohort(phantom_tree, phantom_tree.parent / "index")
    return phantom_tree.parent / "index"


@pytest.fixture(scope="session")
def phantom_store(phantom_index: Path) -> Store:
    """The prepared store of the phantom cohort. Not to be changed."""
    prepare_index(phantom_index, phantom_index.parent / "store", PrepareSettings())
    return open_store(phantom_index.parent / "store")


@pytest.fixture(scope="session")
def tiny_config(phantom_store: Store) -> RunConfig:
    """Two of three folds of a small network on two sequences, for two epochs, on the processor."""
    return RunConfig(
        store=str(phantom_store.root),
        model=ModelConfig("densenet_small", ("CT1", "FLAIR")),
        training=TrainingConfig(epochs=2, batch_size=4, learning_rate=2e-3, accelerator="cpu"),
        n_folds=3,
        folds=(0, 1),
    )


@pytest.fixture(scope="session")
def untrained_config(tiny_config: RunConfig) -> RunConfig:
    """The same without training: random weights."""
    return replace(tiny_config, training=replace(tiny_config.training, epochs=0), folds=())


@pytest.fixture(scope="session")
def tiny_run(tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory):
    """The run of ``tiny_config``. Not to be changed."""
    from xrano.training.train_run import train_run

    return train_run(tiny_config, tmp_path_factory.mktemp("runs") / "tiny", report=lambda *_: None)


@pytest.fixture(scope="session")
def laid_out(tiny_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``run``, ``scores`` and ``explained``. Not to be changed."""
    from xrano.attribution.methods import AttributionSettings
    from xrano.experiments.cohort import CohortSettings, score_cohort
    from xrano.experiments.evaluated_run import evaluate_run
    from xrano.experiments.explained_cohort import CohortRequest, explain_cohort
    from xrano.experiments.summary_files import write_summary
    from xrano.training.run import open_run

    out = tmp_path_factory.mktemp("laid-out")
    shutil.copytree(tiny_run.root, out / "run")
    run = open_run(out / "run")
    evaluate_run(run, n_resamples=50)
    methods, few_steps = ("saliency", "gradcam", "ig:prior"), AttributionSettings(n_steps=2)
    scored = CohortSettings(methods=methods, copies=1, attribution=few_steps)
    write_summary(score_cohort(run, out / "scores", scored), out / "scores", n_resamples=50)
    wanted = CohortRequest(methods, maps="reduced", settings=few_steps)
    explain_cohort(run, out / "explained", wanted)
    return out


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one the test is skipped, or fails if XRANO_NEEDS_BROWSER=1."""
    path = CHROMIUM if Path(CHROMIUM).is_file() else shutil.which("chromium")
    if path is None:
        reason = f"no browser: {CHROMIUM} is not there (apt-get install chromium)"
        if os.environ.get("XRANO_NEEDS_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    # Scans are drawn in software: the 5 s that are usual are short where cores are shared.
    expect.set_options(timeout=60_000)
    with sync_playwright() as tools:
        found = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file as :func:`browser_pages.watched_page` does: ``open_page(path, viewport=PHONE)``.

    At the end of the test, an error that the page reported, or a request that left it, fails it.
    """
    from browser_pages import watched_page

    opened: list[tuple[Any, list[str]]] = []

    def open_watched(path: Path, **options: Any) -> Any:
        opened.append(watched_page(browser, path, **options))
        return opened[-1][0]

    yield open_watched
    for page, _ in opened:
        page.close()
    faults = [fault for _, found in opened for fault in found]
    assert not faults, faults
