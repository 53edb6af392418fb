"""Several methods beside each other on the same slice of several pairs of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import load_pair
from xrano.errors import ConfigError
from xrano.experiments.explained_pairs import explainers_by_fold, save_on_scan
from xrano.experiments.panels import PanelFiles, explained_case
from xrano.experiments.scan_panel import scan_case
from xrano.experiments.scan_place import scan_place
from xrano.maps import AttributionMap
from xrano.progress import Progress, quiet
from xrano.training.run import Run
from xrano.viz.comparison_figure import comparison_figure
from xrano.viz.panel_case import PanelCase

NAME = "comparison"
"""Of the figure's files."""


def compare_methods(
    run: Run,
    pair_ids: Sequence[str],
    methods: Sequence[str],
    out: Path,
    *,
    target: str = "predicted",
    settings: AttributionSettings | None = None,
    save_maps: bool = True,
    panel: Mapping[str, Any] | None = None,
    scan: str = "",
    formats: Sequence[str] = ("png",),
    progress: Progress = quiet,
) -> list[Path]:
    """Explain pairs, each by the network that never saw its patient, and draw them in one figure.

    One pair is held at a time. The figure is made anew each time.

    Args:
        run: the run.
        pair_ids: pairs of its store, a row each.
        methods: methods, with baselines, a column each.
        out: folder; the figure is ``panels/comparison.png`` in it.
        target: one class a pair: not ``all``.
        settings: of the methods.
        save_maps: whether to write the maps as well.
        panel: options of :func:`xrano.viz.comparison_figure.comparison_figure`.
        scan: sequence of the current scan that is drawn over and maps are saved on, as for
            :func:`xrano.experiments.explained_pairs.explain_pairs`.
        formats: of the figure: ``png``, ``svg``, ``pdf``.
        progress: how to show progress.

    Returns:
        The figure's files.

    Raises:
        ConfigError: if all classes are asked for.
        UnknownNameError: for an unknown pair, method, layer or target.
        SplitError: if a pair's own fold was not trained.
    """
    if target == "all":
        raise ConfigError("methods are compared for one target: name one, or draw --layout case")
    rows = [run.pair(pair_id) for pair_id in pair_ids]
    explainers = explainers_by_fold(run, rows, methods, settings)

    def cases() -> Iterator[tuple[PanelCase, Sequence[AttributionMap]]]:
        for row in progress(rows, "explaining"):
            pair = load_pair(run.store, row, run.layout)
            explanation = explainers[run.fold_of(row)].explain(pair, target)
            place = scan_place(run, row, scan)
            if save_maps:
                for attribution in explanation.maps:
                    save_on_scan(attribution, place, out / "maps")
            if scan and place is not None:
                yield scan_case(explanation, place)
            else:
                yield explained_case(explanation), explanation.maps

    options = {**(panel or {}), **({"background": scan} if scan else {})}
    figure = comparison_figure(cases(), **options)
    every = tuple(dict.fromkeys(("png", *formats)))
    return PanelFiles(Path(out) / "panels", every).write(figure, NAME)
