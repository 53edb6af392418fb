"""Everything beyond the primary analysis, and it says so: exploratory.

Nothing here was named before results were seen, and many cells are looked at: one that stands out
is a question, not an answer. Four tables of one scheme (:mod:`xrano.scoring.cell_table`):

* ``exploratory``: method × response × target choice × segmentation × region and scope, over all
  pairs and over those that the network rated right and wrong;
* ``paired_methods``: methods against each other, against the maps that need no network and, as
  gains, against random weights, these by right and wrong ratings too
  (:mod:`xrano.scoring.paired_methods`);
* ``strata``: small and large tumours apart, lifts and gains (:mod:`xrano.scoring.strata`);
* ``segmenters``: one segmentation against the other (:mod:`xrano.scoring.segmenters`).

All follow from ``scores.csv`` and ``lesions.csv`` alone, and from the same draws of patients. CR
leaves no tumour on the current scan: its cells of ``core/current`` count ``n_empty_mask`` and have
no number, and ``core/prior`` and ``core/vanished`` are what CR is scored against.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from xrano.scoring.cell_bootstrap import Compared
from xrano.scoring.cell_table import by_rating, by_response, cell_table, chance_words, with_q
from xrano.scoring.pair_values import EXPLORED_METRICS, PairValues, pair_values
from xrano.scoring.paired_methods import paired_analysis
from xrano.scoring.segmenters import segmenter_analysis
from xrano.scoring.strata import pair_sizes, strata_analysis


def exploratory_tables(
    rows: pd.DataFrame,
    lesions: pd.DataFrame | None = None,
    *,
    source: str | None = None,
    metrics: Sequence[str] = EXPLORED_METRICS,
    bounds_ml: Sequence[float] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """The exploratory tables by the names of their files.

    Args:
        rows: a score table of one run.
        lesions: the table of lesions beside it; without it there are no strata.
        source: whose lesions give the sizes; the first in the table if not given.
        metrics: keys of :data:`xrano.metrics.catalogue.MASK_METRICS`.
        bounds_ml: between the strata; terciles if not given.
        n_resamples: resamples of patients behind the 95 % intervals.
        seed: of the resamples; with that of the primary analysis its cell has the same interval.

    Returns:
        ``exploratory``, ``paired_methods``, ``strata`` (if there are lesions), ``segmenters``.

    Raises:
        ManifestError: if a column is missing, or a map of a pair was scored twice.
        UnknownNameError: for an unknown metric, or a source without masks.
        ConfigError: if bounds do not rise, or no resample is asked for.
    """
    values = pair_values(rows, metrics)
    tables = {
        "exploratory": exploratory_analysis(values, n_resamples=n_resamples, seed=seed),
        "paired_methods": paired_analysis(values, n_resamples=n_resamples, seed=seed),
    }
    if lesions is not None:
        sizes = pair_sizes(rows, lesions, source=source)
        tables["strata"] = strata_analysis(
            values, sizes, bounds_ml=bounds_ml, n_resamples=n_resamples, seed=seed
        )
    tables["segmenters"] = segmenter_analysis(values, n_resamples=n_resamples, seed=seed)
    return tables


def exploratory_analysis(
    values: PairValues, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Every method, target choice, segmentation and region for every response.

    Args:
        values: of a score table.
        n_resamples: resamples of patients.
        seed: of the resamples.

    Returns:
        :data:`~xrano.scoring.cell_table.CELL_COLUMNS`; ``stratum`` is ``all`` pairs, ``right`` or
        ``wrong`` (rated pairs only).
    """
    table = cell_table(
        chance_words(values.cells),
        Compared(values.value, values.chance, values.status),
        [*by_response(values), *by_rating(values)],
        values.pairs,
        n_resamples=n_resamples,
        seed=seed,
    )
    return with_q(table)
