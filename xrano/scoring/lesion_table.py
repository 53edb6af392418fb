"""The lesions of each pair: number, what became of it, and its size on both scans."""

from __future__ import annotations

from typing import Any

from xrano.scoring.pair_masks import PairMasks

LESION_COLUMNS = (
    *("pair_id", "patient_id", "segmentation_source", "region", "lesion", "tag", "prior_ml"),
    *("current_ml", "prior_product_mm2", "current_product_mm2", "n_prior", "n_current"),
    "measurable",
)
"""Columns of ``lesions.csv``. ``lesion`` is the number that score rows have, ``region`` theirs;
``tag`` as in :mod:`xrano.metrics.lesions`; products of diameters are summed over the parts of a
lesion on one scan and NaN where it has none; ``measurable``: by volume, on either scan."""


def lesion_rows(case: PairMasks, patient_id: str) -> list[dict[str, Any]]:
    """A row a lesion of a pair, largest first."""
    return [
        {
            "pair_id": case.pair_id,
            "patient_id": patient_id,
            "segmentation_source": source,
            "region": f"{region}/union",
            "lesion": str(one.lesion),
            "tag": str(one.tag),
            "prior_ml": one.prior_ml,
            "current_ml": one.current_ml,
            "prior_product_mm2": one.prior_product,
            "current_product_mm2": one.current_product,
            "n_prior": one.n_prior,
            "n_current": one.n_current,
            "measurable": one.measurable,
        }
        for (source, region), matched in case.lesions.items()
        for one in matched.lesions
    ]
