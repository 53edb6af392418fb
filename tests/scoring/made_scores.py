"""Score rows made up: one by hand, and a cohort of everything that a table can hold."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from xrano.scoring.score_table import score_table

CLASSES = ("CR", "PR", "SD", "PD")
REGIONS = ("core/union", "core/prior", "core/current", "whole/union")
METRICS = ("relevance_mass_accuracy", "relevance_rank_accuracy", "entropy")

META = {
    "run": "demo",
    "fold": 0,
    "pair_id": "P_a_b",
    "patient_id": "P",
    "response": "PD",
    "predicted": "PD",
    "target_name": "PD",
    "target_choice": "predicted",
    "method": "saliency",
}
"""The sidecar of a saliency map of the pair P_a_b."""


def row(patient, pair, value, chance=0.1, **changes):
    status = "ok" if not math.isnan(value) else "empty_mask"
    return {
        "run": "demo",
        "weights": "trained",
        "fold": 0,
        "pair_id": f"{patient}_{pair}",
        "patient_id": patient,
        "response": "PD",
        "rating_source": "expert",
        "predicted": "PD",
        "target": "PD",
        "target_choice": "predicted",
        "method": "saliency",
        "layer": "",
        "baseline": "",
        "reduction": "sum",
        "rectification": "absolute",
        "segmentation_source": "first",
        "region": "core/union",
        "lesion": "all",
        "metric": "relevance_mass_accuracy",
        "value": value,
        "chance": chance,
        "reference": math.nan,
        "status": status,
        "spans_surgery": False,
        **changes,
    }


def cohort(seed=0, patients=14, visits=5, sources=("first", "second"), target="predicted"):
    """A score table: 14 patients × 5 pairs, two methods, change, copies, and what does not count.

    Pairs of CR have no current mask; some maps are silent; some pairs are unrated or span surgery;
    single lesions, other rectifications and metrics of maps alone are in the table too.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        for visit in range(visits):
            response = CLASSES[(patient + visit) % 4] if (patient, visit) != (3, 0) else ""
            facts = {
                "patient": f"P{patient:02d}",
                "pair": visit,
                "response": response,
                "predicted": response if rng.random() < 0.7 and response else CLASSES[visit % 4],
                "spans_surgery": (patient, visit) == (4, 1),
            }
            for source in sources:
                for region in REGIONS:
                    rows += _of_mask(rng, facts, source, region, target)
    return score_table(rows)


def _of_mask(rng, facts, source, region, target):
    empty = facts["response"] == "CR" and region == "core/current"
    known = {**facts, "segmentation_source": source, "region": region}
    silent = rng.random() < 0.1
    # The chance of a mask is the same for every map.
    known["chances"] = dict(zip(METRICS, rng.uniform(0.01, 0.05, 3).tolist(), strict=True))
    found = []
    targets = CLASSES if target == "all" else [facts[target]]
    for method, extra in (
        ("saliency", {}),
        ("gradcam", {"layer": "features", "rectification": "positive"}),
    ):
        for name in targets:
            choice = {"target": name, "target_choice": target, "method": method, **extra}
            why = "empty_mask" if empty else "zero_map" if silent and extra else "ok"
            found += _of_metrics(rng, {**known, **choice}, why)
            if region == "core/union":
                for copy in range(2):
                    drawn = {**known, **choice, "weights": f"random-{copy}"}
                    found += _of_metrics(rng, drawn, why)
    nothing = {"target": "", "target_choice": "", "method": "change", "weights": "none"}
    found += _of_metrics(rng, {**known, **nothing}, "empty_mask" if empty else "ok")
    beside = {**known, "target": targets[0], "target_choice": target, "method": "saliency"}
    found += _of_metrics(rng, {**beside, "lesion": "1"}, "ok")
    found += _of_metrics(rng, {**beside, "rectification": "negative"}, "ok")
    if region == "core/union":
        alone = {**beside, "segmentation_source": "", "region": "", "metric": "entropy"}
        if known["segmentation_source"] == "first":
            del alone["chances"]
            found.append(row(value=float(rng.random()), **alone))
    return found


def _of_metrics(rng, facts, why):
    found = []
    chances = facts.pop("chances")
    for metric in METRICS[:2]:
        chance = chances[metric]
        # Saliency is far above chance, Grad-CAM about there; one map in ten has nothing inside.
        most = 2 * chance if facts["method"] == "gradcam" else 0.3
        inside = float(rng.uniform(0.0, most)) if rng.random() > 0.1 else 0.0
        value = inside if why == "ok" else math.nan
        found.append(row(value=value, chance=chance, metric=metric, **{**facts, "status": why}))
    return found


def own(table: pd.DataFrame, **words) -> pd.DataFrame:
    """The rows of a table with these words."""
    for column, word in words.items():
        table = table[table[column] == word]
    return table
