"""Reference inputs that come from the data set: training pairs of a fold, never tested ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.attribution.baselines import REFERENCES
from xrano.attribution.methods import MethodRequest
from xrano.data.pair_volumes import load_pair
from xrano.data.tables import records
from xrano.errors import ManifestError
from xrano.rano import Response
from xrano.training.run import Run

MEAN_OF = 64
"""Most training pairs that ``training_mean`` is the mean of."""

DRAWN = 8
"""Training pairs that GradientSHAP draws from."""


def dataset_references(
    run: Run, fold: int, methods: Iterable[str], *, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """The baselines of the data set that some methods need, by name.

    Args:
        run: the run.
        fold: whose training pairs they are made of.
        methods: with baselines, as :class:`~xrano.attribution.methods.MethodRequest` reads them.
        seed: of the choice of pairs; the same pairs for every pair explained.

    Returns:
        ``training_mean`` and ``another`` (channel, i, j, k), ``training`` (n, channel, i, j, k);
        those of no method are left out.

    Raises:
        ManifestError: if the fold has no training pair, or none of class SD for ``another``.
    """
    wanted = {MethodRequest.parse(method).baseline for method in methods} & set(REFERENCES)
    if not wanted:
        return {}
    pairs = run.training_pairs(fold)
    if pairs.empty:
        raise ManifestError(
            f"{', '.join(sorted(wanted))} come from training pairs, and {run.root} has none: an "
            "untrained run is explained with the baselines zero, brain_mean, blurred or prior"
        )
    found = {}
    if "training_mean" in wanted:
        found["training_mean"] = _mean(run, _drawn(pairs, MEAN_OF, seed))
    if "another" in wanted:
        stable = pairs[pairs["response"] == str(Response.SD)]
        if stable.empty:
            raise ManifestError(f"fold {fold} of {run.root} has no training pair of class SD")
        found["another"] = _stack(run, _drawn(stable, 1, seed))[0]
    if "training" in wanted:
        found["training"] = _stack(run, _drawn(pairs, DRAWN, seed))
    return found


def _drawn(pairs: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Some pairs, whatever the order of the table."""
    ordered = pairs.sort_values("pair_id")
    return ordered.sample(n=min(count, len(ordered)), random_state=seed).sort_values("pair_id")


def _stack(run: Run, pairs: pd.DataFrame) -> NDArray[np.float32]:
    return np.stack([load_pair(run.store, row, run.layout).inputs for row in records(pairs)])


def _mean(run: Run, pairs: pd.DataFrame) -> NDArray[np.float32]:
    """One pair in memory at a time."""
    total: NDArray[np.float64] | None = None
    for row in records(pairs):
        inputs = load_pair(run.store, row, run.layout).inputs
        total = inputs.astype(np.float64) if total is None else total + inputs
    if total is None:
        raise ManifestError("no training pair to average")
    return np.asarray(total / len(pairs), dtype=np.float32)
