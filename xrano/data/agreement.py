"""Where all segmentations of a pair agree, as one more segmentation.

Automatic segmentations are estimates, and two tools differ most at the rim. What every one of them
calls tumour is tumour with less doubt, so maps are scored against that too: of each region that
all schemes can tell, the intersection over the segmentations, on each scan by itself. Scopes and
lesions then follow from the agreed masks of both scans as they do for any segmentation.

Regions lie within each other (enhancing in core in whole) or apart (oedema, cavity), in every
scheme. Their intersections do the same, so they can be written as labels again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from xrano.data.label_schemes import WHOLE, Tissue, has_region, region_mask
from xrano.types import Labels

AGREEMENT = "agreement"
"""The source name of what all other sources of a pair agree on."""

_Segmentation: TypeAlias = tuple[Labels | None, Labels | None, str]

_PAINTED: Mapping[str, tuple[int, Tissue]] = {
    WHOLE: (4, Tissue.LESION),
    "oedema": (3, Tissue.OEDEMA),
    "core": (2, Tissue.NECROSIS),
    "enhancing": (1, Tissue.ENHANCING),
    "cavity": (5, Tissue.CAVITY),
}
"""Region to the label and tissue of what it adds to those painted before it."""


def with_agreement(segmentations: Mapping[str, _Segmentation]) -> dict[str, _Segmentation]:
    """The segmentations of a pair, and last their agreement if there are two or more.

    Args:
        segmentations: source to labels (i, j, k) of the prior and of the current scan (``None``
            where missing) and their scheme.

    Returns:
        The same, with :data:`AGREEMENT` beside them. It has a scan where all sources have it, and
        its scheme tells the regions that all schemes tell. Nothing is added for fewer than two
        sources, where no region is told by all, or where a source has that name already.

    Raises:
        UnknownNameError: if a scheme is unknown.
        LabelSchemeError: if a scheme that is spelled out is not readable.

    Example:
        >>> labels = np.array([[[0, 1, 2, 3]]]), np.array([[[0, 2, 2, 1]]])
        >>> found = with_agreement({"a": (labels[0], None, "lumiere-deepbratumia"),
        ...                         "b": (labels[1], None, "lumiere-hdglio")})
        >>> agreed, _, scheme = found["agreement"]
        >>> region_mask(agreed, scheme, "enhancing").ravel().tolist(), has_region(scheme, "core")
        ([False, True, False, False], False)
    """
    found = dict(segmentations)
    of_all = list(segmentations.values())
    told = [
        region for region in _PAINTED if all(has_region(scheme, region) for *_, scheme in of_all)
    ]
    if len(of_all) < 2 or not told or AGREEMENT in segmentations:
        return found
    schemes = [scheme for *_, scheme in of_all]
    prior = _agreed([labels for labels, _, _ in of_all], schemes, told)
    current = _agreed([labels for _, labels, _ in of_all], schemes, told)
    named = sorted(_PAINTED[region] for region in told)
    found[AGREEMENT] = (prior, current, ";".join(f"{label}={tissue}" for label, tissue in named))
    return found


def _agreed(
    scan: Sequence[Labels | None], schemes: Sequence[str], told: Sequence[str]
) -> Labels | None:
    """Labels of one scan, outer regions first; ``None`` if a source lacks the scan."""
    there = [labels for labels in scan if labels is not None]
    if len(there) < len(scan):
        return None
    agreed = np.zeros(there[0].shape, dtype=np.uint8)
    for region in told:
        inside = np.ones(agreed.shape, dtype=np.bool_)
        for labels, scheme in zip(there, schemes, strict=True):
            inside &= region_mask(labels, scheme, region)
        agreed[inside] = _PAINTED[region][0]
    return agreed
