"""What a trained network says of two ways to save passes: fewer steps, and supervoxels.

    python -m benchmarks.trained_run RUN [--pairs 8] [--blocks 4 6 8] [--supervoxels 50 100 200]

On held-out pairs of a run (``xrano demo`` leaves one), as many of each response, predicted class:

* ``steps``: points of integrated gradients that the stop rule takes to close the gap of 32 fixed
  points, and to close it to 5 % and 2 %; the same for fixed numbers of points.
* ``occlusion``: average precision in the tumour core (of both scans) of occlusion by blocks and by
  supervoxels, with the forward passes that each takes. Intervals are by patients.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.experiments.cohort import masks_of
from xrano.experiments.explained_cohort import held_out
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.explain import Explainer
from xrano.maps import AttributionMap
from xrano.rano import RESPONSES
from xrano.scoring.rows import PRIMARY_REGION, default_rectification, score_map
from xrano.training.run import Run, open_run

FIXED = 32
TOLERANCES = (0.05, 0.02)


@dataclass(frozen=True)
class Case:
    """One pair, and how to make the explainer of its fold."""

    run: Run
    record: Mapping[Any, Any]
    pair: PairVolumes

    def explain(self, method: str, **settings: Any) -> AttributionMap:
        """The map of the predicted class."""
        (explainer,) = explainers_by_fold(
            self.run, [self.record], (method,), AttributionSettings(**settings)
        ).values()
        return _only(explainer, self.pair)


def _only(explainer: Explainer, pair: PairVolumes) -> AttributionMap:
    (found,) = explainer.explain(pair).maps
    return found


def cases(run: Run, count: int) -> list[Case]:
    """The first held-out pairs of each response in turn, no two of one patient in a response."""
    rows = held_out(run)
    chosen = []
    for response in RESPONSES:
        seen: dict[str, Mapping[Any, Any]] = {}
        for row in rows:
            if row["response"] == response:
                seen.setdefault(str(row["patient_id"]), row)
        chosen += list(seen.values())[: max(1, count // len(RESPONSES))]
    return [Case(run, row, load_pair(run.store, row, run.layout)) for row in chosen]


def steps(found: Sequence[Case]) -> None:
    """Points against the gap that is left."""
    for baseline in ("zero", "prior"):
        method = f"ig:{baseline}"
        gaps = [_share(case, method) for case in found]
        print(f"{method}, {len(found)} pairs; gap: share of the largest class's change")
        print(f"  {FIXED} fixed points: median gap {np.median(gaps):.2%}, largest {max(gaps):.2%}")
        _print_rule(found, method, gaps, "the gap of each pair's fixed points")
        for tolerance in TOLERANCES:
            _print_rule(found, method, [tolerance] * len(found), f"{tolerance:.0%}")


def _print_rule(found: Sequence[Case], method: str, wanted: Sequence[float], words: str) -> None:
    maps = [
        case.explain(method, tolerance=max(gap, 1e-6))
        for case, gap in zip(found, wanted, strict=True)
    ]
    points = [int(item.meta["n_steps"]) for item in maps]
    closed = sum(bool(item.meta["converged"]) for item in maps)
    print(
        f"  stop rule to {words}: median {np.median(points):g} points, "
        f"{closed} of {len(found)} closed within 257"
    )


def _share(case: Case, method: str) -> float:
    """The gap of the fixed points, as the stop rule counts it: of the largest class's change."""
    explainers = explainers_by_fold(
        case.run, [case.record], (method,), AttributionSettings(n_steps=FIXED)
    )
    (explainer,) = explainers.values()
    explanation = explainer.explain(case.pair, "all")
    gaps = [float(item.meta["convergence_delta"]) for item in explanation.maps]
    changes = [
        abs(float(np.asarray(item.data, dtype=np.float64).sum()) - gap)
        for item, gap in zip(explanation.maps, gaps, strict=True)
    ]
    return abs(gaps[RESPONSES.index(explanation.predicted)]) / max(changes)


def occlusion(found: Sequence[Case], blocks: Sequence[int], supervoxels: Sequence[int]) -> None:
    """Average precision beside forward passes."""
    print(f"occlusion of both scans, {len(found)} pairs, average precision in {PRIMARY_REGION}")
    for edge in blocks:
        _print_precision(found, "occlusion", f"blocks of {edge} voxels", block=edge)
    for count in supervoxels:
        _print_precision(
            found, "occlusion_supervoxels", f"about {count} supervoxels", supervoxels=count
        )


def _print_precision(found: Sequence[Case], method: str, words: str, **settings: Any) -> None:
    values, forwards = [], []
    for case in found:
        item = case.explain(method, **settings)
        forwards.append(int(item.meta["parts"]))
        values.append(_precision(case, item))
    mean, error = np.nanmean(values), np.nanstd(values, ddof=1) / np.sqrt(len(values))
    print(
        f"  {words}: {np.mean(forwards):.0f} forwards a pair, average precision "
        f"{mean:.3f} ± {1.96 * error:.3f}",
        flush=True,
    )


def _precision(case: Case, item: AttributionMap) -> float:
    rows = score_map(
        item,
        masks_of(case.pair),
        rectification=default_rectification(item),
        reduction="sum",
        metrics=["average_precision"],
    )
    (value,) = [
        row["value"]
        for row in rows
        if row["region"] == PRIMARY_REGION and row["metric"] == "average_precision"
    ]
    return float("nan") if value is None else float(value)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--blocks", type=int, nargs="+", default=[4, 6, 8])
    parser.add_argument("--supervoxels", type=int, nargs="+", default=[50, 100, 200])
    arguments = parser.parse_args()
    found = cases(open_run(arguments.run), arguments.pairs)
    steps(found)
    occlusion(found, arguments.blocks, arguments.supervoxels)


if __name__ == "__main__":
    main()
