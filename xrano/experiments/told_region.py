"""Whose segmentation a store's tumours are taken from, and which region it can tell."""

from __future__ import annotations

from xrano.data.label_schemes import WHOLE
from xrano.data.store import Store
from xrano.scoring.rows import PRIMARY_REGION


def told_region(store: Store) -> tuple[str, str]:
    """Source and region: the core where any source tells it, else the whole tumour.

    Of several the source that most sessions have, then the first by name; an empty one where
    nothing is segmented.
    """
    volumes = store.volumes
    for region in (PRIMARY_REGION.split("/")[0], WHOLE):
        counts = volumes.loc[volumes["region"] == region, "source"].value_counts().sort_index()
        if len(counts):
            return str(counts.idxmax()), region
    return "", WHOLE
