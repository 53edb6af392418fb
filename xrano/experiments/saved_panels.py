"""Panels of saved maps: one held-out pair, and methods beside each other on one pair a response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from xrano.errors import ManifestError
from xrano.experiments.atlas_maps import ChosenMaps, choose_maps
from xrano.experiments.panels import explained_case, explanation_panel
from xrano.experiments.saved_explanation import saved_explanation
from xrano.explain import Explanation
from xrano.maps import AttributionMap
from xrano.rano import RESPONSES
from xrano.training.run import Run
from xrano.viz.comparison_figure import comparison_figure
from xrano.viz.panel_case import PanelCase

_WORST_FIRST = tuple(str(name) for name in reversed(RESPONSES))


def case_of(run: Run, maps: Path, patient: str = "", **options: Any) -> Figure:
    """The first held-out pair of the worst response, explained for its predicted class.

    Args:
        run: the run.
        maps: folder of maps that xrano explain saved.
        patient: whose pair it is; anybody's if not given.
        options: of :func:`xrano.viz.panel.case_panel`.

    Raises:
        ManifestError: if no saved map of the patient can be drawn.
    """
    chosen = choose_maps(run, maps, None, "predicted")
    first = min(_of(chosen, patient), key=lambda pair: (_rank(pair), pair["pair_id"]))
    return explanation_panel(_explained(run, chosen, str(first["pair_id"])), **options)


def comparison_of(run: Run, maps: Path, patient: str = "", **options: Any) -> Figure:
    """Every saved method on the first pair of each response, the worst on top.

    Args:
        run: the run.
        maps: folder of maps that xrano explain saved.
        patient: whose pairs they are; anybody's if not given.
        options: of :func:`xrano.viz.comparison_figure.comparison_figure`.

    Raises:
        ManifestError: if no saved map of the patient can be drawn.
    """
    chosen = choose_maps(run, maps, None, "predicted")
    firsts: dict[str, str] = {}
    for pair in sorted(_of(chosen, patient), key=lambda pair: (_rank(pair), pair["pair_id"])):
        firsts.setdefault(str(pair["response"]), str(pair["pair_id"]))

    def cases() -> Iterator[tuple[PanelCase, Sequence[AttributionMap]]]:
        for pair_id in firsts.values():
            explanation = _explained(run, chosen, pair_id)
            yield explained_case(explanation), explanation.maps

    return comparison_figure(cases(), **options)


def _of(chosen: ChosenMaps, patient: str) -> list[Any]:
    pairs = [pair for pair in chosen.pairs if not patient or pair["patient_id"] == patient]
    if not pairs:
        raise ManifestError(f"no map is of {patient}")
    return pairs


def _rank(pair: Any) -> int:
    return _WORST_FIRST.index(pair["response"])


def _explained(run: Run, chosen: ChosenMaps, pair_id: str) -> Explanation:
    own = chosen.files[pair_id]
    paths = [own[method] for method in chosen.methods if method in own]
    return saved_explanation(run, pair_id, paths)
