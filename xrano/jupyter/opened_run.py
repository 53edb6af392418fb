"""For notebooks: a run, a pair and a figure in three lines.

>>> import xrano
>>> run = xrano.open_run("xrano-demo/run")                        # doctest: +SKIP
>>> run.explain(run.pairs()[0], ["saliency", "gradcam"]).figure()  # doctest: +SKIP
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import load_pair
from xrano.experiments.cohort import masks_of, score_one
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.panels import explanation_panel
from xrano.explain import Explanation
from xrano.jupyter.answers import Answers
from xrano.jupyter.explanation_html import explained_words, explanation_html
from xrano.jupyter.map_html import show_with
from xrano.jupyter.run_html import run_html, run_words
from xrano.jupyter.shown_pair import ShownPair
from xrano.jupyter.shown_scores import ShownScores
from xrano.maps import AttributionMap
from xrano.progress import Progress, quiet
from xrano.scoring.score_table import score_table
from xrano.training import run as runs


@dataclass(frozen=True, eq=False)
class Explored:
    """An explanation with its pictures and scores."""

    explanation: Explanation

    def __post_init__(self) -> None:
        for item in self.maps:
            show_with(item, self.explanation.pair)

    def __repr__(self) -> str:
        return f"<Explored {explained_words(self.explanation)}; {len(self.maps)} maps>"

    def _repr_html_(self) -> str:
        return explanation_html(self.explanation)

    @property
    def maps(self) -> tuple[AttributionMap, ...]:
        """The attribution maps, methods in the order asked for."""
        return self.explanation.maps

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each response."""
        return dict(self.explanation.probabilities)

    @property
    def predicted(self) -> str:
        """The most probable response."""
        return self.explanation.predicted

    def figure(self, **options: Any) -> Figure:
        """The case panel; options are those of :func:`xrano.viz.panel.case_panel`."""
        _draw_figures_inline()
        return explanation_panel(self.explanation, **options)

    def scores(self, *, reduction: str = "sum") -> pd.DataFrame:
        """Overlap of every map with every region, as tidy rows."""
        masks = masks_of(self.explanation.pair)
        rows = [row for item in self.maps for row in score_one(item, masks, reduction)]
        return ShownScores(score_table(rows))


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run to look at: its pairs, predictions and explanations."""

    run: runs.Run

    def __repr__(self) -> str:
        return f"<OpenRun {run_words(self.run)}>"

    def _repr_html_(self) -> str:
        return run_html(self.run)

    def pairs(self, *, response: str | None = None) -> list[str]:
        """Ids of the pairs that this run can explain, of one response if named."""
        table = self.run.tested_pairs()
        if response is not None:
            table = table[table["response"] == response]
        return list(table["pair_id"])

    @property
    def predictions(self) -> pd.DataFrame:
        """Out-of-fold predictions."""
        return self.run.predictions

    def pair(self, pair_id: str) -> ShownPair:
        """The normalised scans, brain and segmentations of a pair, drawn in a notebook.

        Raises:
            UnknownNameError: if there is no such pair.
        """
        return ShownPair(**vars(load_pair(self.run.store, self.run.pair(pair_id), self.run.layout)))

    def scores(
        self,
        pair_ids: Iterable[str] | None = None,
        methods: Sequence[str] = ("saliency", "gradcam"),
        *,
        progress: Progress = quiet,
    ) -> pd.DataFrame:
        """Overlap of the maps of several pairs as one table, of the trained network alone.

        ``xrano score`` adds what a gain needs: random-weight copies and reference maps.

        Args:
            pair_ids: pairs of :meth:`pairs`; all of them if not given.
            methods: as in :meth:`explain`; each map explains the predicted class.
            progress: how to show progress.

        Raises:
            As :meth:`explain`.
        """
        # No map is looked at twice here.
        answers = Answers(self.run, AttributionSettings(), room_gb=0)
        wanted = list(answers.records) if pair_ids is None else list(pair_ids)
        tables = []
        for pair_id in progress(wanted, "explaining and scoring"):
            masks = masks_of(answers.pair(pair_id))
            found = [answers.explained(pair_id, method, "predicted") for method in methods]
            rows = [
                row for one in found for item in one.maps for row in score_one(item, masks, "sum")
            ]
            tables.append(score_table(rows))
        return ShownScores(pd.concat(tables, ignore_index=True) if tables else score_table([]))

    def explain(
        self,
        pair_id: str,
        methods: Sequence[str] = ("saliency", "gradcam", "ig:prior"),
        *,
        target: str = "predicted",
        layer: str | None = None,
        n_steps: int = 32,
        memory_gb: float = 2.0,
    ) -> Explored:
        """Explain one pair by the network that never saw its patient.

        Args:
            pair_id: a pair of :meth:`pairs`.
            methods: ``saliency``, ``gradcam``, ``ig:zero``, ``ig:brain_mean``, ``ig:prior``.
            target: ``predicted``, ``response``, ``all``, or a response by name.
            layer: module for Grad-CAM; the network's coarsest if not given.
            n_steps: points of integrated gradients.
            memory_gb: what one chunk of these may take.

        Raises:
            UnknownNameError: for an unknown pair, method, layer or target.
            SplitError: if the pair's own fold was not trained.
        """
        settings = AttributionSettings(layer, n_steps, memory_gb)
        pair = self.pair(pair_id)
        explainers = explainers_by_fold(self.run, [self.run.pair(pair_id)], methods, settings)
        return Explored(next(iter(explainers.values())).explain(pair, target))


def open_run(root: str | Path, *, store: str | Path | None = None) -> OpenRun:
    """Open the folder of a run.

    Args:
        root: folder that ``xrano train`` or ``xrano demo`` wrote.
        store: where its prepared store is now, if it was moved.

    Raises:
        ConfigError: if the folder is no run.
    """
    _draw_figures_inline()
    return OpenRun(runs.open_run(Path(root), store=None if store is None else Path(store)))


def _draw_figures_inline() -> None:
    """Let a notebook show figures that do not belong to pyplot, as xrano's do not."""
    if "IPython" not in sys.modules:
        return
    shell = sys.modules["IPython"].get_ipython()
    if shell is not None:
        pylabtools = import_module("IPython.core.pylabtools")
        pylabtools.select_figure_formats(shell, {"png"})
