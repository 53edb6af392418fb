"""The tests of one pair: rows of every metric of :mod:`xrano.faithfulness`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.attribution.method_table import spec_of
from xrano.experiments.faithfulness_case import Case, by_method, lesion_of
from xrano.faithfulness.agreement import agreement_among, agreement_rows, agreement_with
from xrano.faithfulness.answers import Intervention
from xrano.faithfulness.deletion import insertion_deletion
from xrano.faithfulness.infidelity import infidelity
from xrano.faithfulness.interventions import (
    lesion_erased,
    lesion_only,
    visit_duplicated,
    visits_swapped,
)
from xrano.faithfulness.misalignment import Explained, misalignment, misalignment_rows
from xrano.faithfulness.motions import motions
from xrano.faithfulness.randomisation import randomisation_rows
from xrano.faithfulness.road import road
from xrano.faithfulness.sensitivity import max_sensitivity
from xrano.maps import AttributionMap
from xrano.scoring.rows import default_rectification, relevance_on

Rows = list[dict[str, Any]]


def perturbation(case: Case) -> Rows:
    """Insertion and deletion, ROAD, infidelity and max-sensitivity of every map."""
    rows: Rows = []
    for name, item in case.maps.items():
        rows += [{**row, "method": name} for row in _perturbed(case, item)]
        rows += [{**row, "method": name} for row in _sensitive(case, name)]
    return rows


def _perturbed(case: Case, item: AttributionMap) -> Rows:
    settings, grid = case.settings, case.pair.grid
    weighed = relevance_on(item, grid, default_rectification(item), "sum")
    relevance = torch.from_numpy(np.ascontiguousarray(weighed, dtype=np.float32))
    here = item if item.grid.matches(grid) else item.resample_to(grid)
    signed = torch.from_numpy(here.data if len(here.data) > 1 else here.data[0])
    local = spec_of(str(item.meta["method"])).local
    shared: dict[str, Any] = {"seed": settings.seed, "batch": case.batch}
    rows: Rows = []
    for name, filled in case.infills.items():
        curves = insertion_deletion(
            case.predict,
            case.inputs,
            relevance,
            case.target,
            filled,
            case.brain,
            steps=settings.steps,
            draws=settings.orders,
            **shared,
        )
        scores = infidelity(
            case.predict,
            case.inputs,
            signed,
            case.target,
            filled,
            case.brain,
            local=local,
            perturbations=settings.blocks,
            **shared,
        )
        rows += [{**row, "infill": name} for row in (*curves.rows(), *scores.rows())]
    imputed = road(
        case.predict,
        case.inputs,
        relevance,
        case.target,
        case.brain,
        draws=settings.orders,
        **shared,
    )
    return rows + [{**row, "infill": "imputed"} for row in imputed.rows()]


def _sensitive(case: Case, name: str) -> Rows:
    label = name.partition("@")[0]

    def explain(scans: Tensor) -> Tensor:
        noisy = replace(case.pair, inputs=scans.numpy())
        found = case.networks.alone[label].explain(noisy, case.predicted).maps
        return torch.from_numpy(by_method(found)[name].data)

    settings = case.settings
    return max_sensitivity(
        explain, case.inputs, case.brain, draws=settings.noisy, seed=settings.seed
    ).rows()


def _told(case: Case, asked: Sequence[Intervention]) -> Rows:
    rows = [row for one in asked for row in one.rows(case.target, case.classes)]
    return [{**row, "method": ""} for row in rows]


def answers(case: Case, asked: Sequence[Intervention]) -> Rows:
    """A row an intervention: what was predicted before and after, and all logits."""
    rows = []
    for one in asked:
        after = one.predicted_after
        row = {
            **case.facts(),
            "metric": one.metric,
            "infill": one.infill,
            "setting": one.setting,
            "predicted_after": "" if after is None else case.classes[after],
            "status": str(one.status),
        }
        for index, name in enumerate(case.classes):
            row[f"logit_before_{name}"] = float(one.before[index])
            row[f"logit_after_{name}"] = float(one.after[index])
        rows.append(row)
    return rows


def asked_interventions(case: Case) -> list[Intervention]:
    """Lesion erased and alone by each infill, scans swapped, each scan twice."""
    settings, layout = case.settings, case.pair.layout
    lesion = torch.from_numpy(lesion_of(case.pair))
    shared: dict[str, Any] = {
        "spacing": case.pair.grid.spacing,
        "dilation_mm": settings.dilation_mm,
        "controls": settings.controls,
        "seed": settings.seed,
        "batch": case.batch,
    }
    found = [
        change(case.predict, case.inputs, lesion, filled, case.brain, infill=name, **shared)
        for change in (lesion_erased, lesion_only)
        for name, filled in case.infills.items()
    ]
    found.append(visits_swapped(case.predict, case.inputs, layout))
    twice = (
        visit_duplicated(case.predict, case.inputs, layout, one) for one in ("prior", "current")
    )
    return [*found, *twice]


def randomisation(case: Case) -> Rows:
    """Maps of networks whose weights were drawn anew, block by block."""
    own, rows = case.ranked(case.maps), []
    for same in case.networks.randomised:
        drawn = [case.explained_by(explainer) for _, explainer in same]
        for name, found in randomisation_rows(own, drawn, same[0][0]).items():
            rows += [{**row, "method": name} for row in found]
    return rows


def agreement(case: Case) -> Rows:
    """Maps of other folds' networks and of other seeds', beside those of random copies."""
    own = case.ranked(case.maps)
    copies = [case.explained_by(one) for one in case.networks.copies]
    rows: Rows = []
    for metric, others in (
        ("fold_agreement", case.networks.of_folds()),
        ("seed_agreement", case.networks.of_seeds(case.record)),
    ):
        drawn = [case.explained_by(one) for one in others]
        for name, values in own.items() if drawn else ():
            found = agreement_with(values, [one[name] for one in drawn])
            reference = agreement_among([one[name] for one in copies])
            rows += [{**row, "method": name} for row in agreement_rows(metric, found, reference)]
    return rows


def misaligned(case: Case) -> Rows:
    """Maps and answers for a current scan that was moved."""

    def explain(scans: NDArray[np.float32]) -> Explained:
        moved = replace(case.pair, inputs=scans)
        found = case.networks.trained.explain(moved, case.predicted)
        return np.array([found.logits[name] for name in case.classes]), by_method(found.maps)

    pair = case.pair
    among = motions(directions=case.settings.directions)
    logits, found = misalignment(
        explain, pair.inputs, pair.layout, pair.grid, pair.brain, among=among
    )
    return [
        {**row, "method": name}
        for name, rows in misalignment_rows(logits, found, case.target).items()
        for row in rows
    ]


_RUN: Mapping[str, Callable[[Case], Rows]] = {
    "perturbation": perturbation,
    "randomisation": randomisation,
    "agreement": agreement,
    "misalignment": misaligned,
}


def run_test(name: str, case: Case) -> dict[str, Rows]:
    """One of :data:`~xrano.experiments.faithfulness_settings.TESTS` of one pair.

    Returns:
        ``rows`` with the columns of :data:`xrano.experiments.faithfulness_files.ROW_COLUMNS`, and
        ``answers``, which interventions alone give.
    """
    if name == "interventions":
        asked = asked_interventions(case)
        found, told = _told(case, asked), answers(case, asked)
    else:
        found, told = _RUN[name](case), []
    blank = {"infill": "", "setting": "", "quantity": ""}
    return {"rows": [{**case.facts(), **blank, **row} for row in found], "answers": told}
