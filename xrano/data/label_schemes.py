"""What the integers of a segmentation mean, and the regions made of them.

A *label scheme* maps labels to tissues; 0 is always background. A *region* is a named set of
tissues. Tools disagree about integers (DeepBraTumIA's 1 is enhancing tumour, HD-GLIO's 1 is not),
so nothing outside this module speaks of labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from xrano.errors import LabelSchemeError, UnknownNameError
from xrano.types import Labels, Mask


class Tissue(StrEnum):
    """What a label stands for."""

    ENHANCING = "enhancing"
    """Tumour that brightens after contrast."""
    NECROSIS = "necrosis"
    """Necrosis and the rest of the non-enhancing core."""
    OEDEMA = "oedema"
    """Abnormality on T2 and FLAIR around the core."""
    CAVITY = "cavity"
    """What surgery left; part of no tumour region."""
    LESION = "lesion"
    """Any lesion, its tissues not told apart."""


LABEL_SCHEMES: Mapping[str, Mapping[int, Tissue]] = MappingProxyType(
    {
        "lumiere-deepbratumia": MappingProxyType(
            {1: Tissue.ENHANCING, 2: Tissue.NECROSIS, 3: Tissue.OEDEMA}
        ),
        "lumiere-hdglio": MappingProxyType({1: Tissue.OEDEMA, 2: Tissue.ENHANCING}),
        "binary": MappingProxyType({1: Tissue.LESION}),
    }
)
"""Scheme name to label to tissue. ``lumiere-deepbratumia`` follows the volumes that the tool
itself measured (``measured_volumes_in_mm3.json``), not LUMIERE's radiomics table, which has labels
1 and 2 the other way round."""

WHOLE = "whole"
"""The region that every scheme has: all tumour tissue, whatever it is called."""

REGIONS: Mapping[str, frozenset[Tissue]] = MappingProxyType(
    {
        "enhancing": frozenset({Tissue.ENHANCING}),
        "core": frozenset({Tissue.ENHANCING, Tissue.NECROSIS}),
        WHOLE: frozenset({Tissue.ENHANCING, Tissue.NECROSIS, Tissue.OEDEMA, Tissue.LESION}),
    }
)
"""Region name to the tissues that it is made of."""


def label_scheme(name: str) -> Mapping[int, Tissue]:
    """The scheme of a name.

    Raises:
        UnknownNameError: if there is no such scheme.
    """
    if name not in LABEL_SCHEMES:
        raise UnknownNameError("label scheme", name, LABEL_SCHEMES)
    return LABEL_SCHEMES[name]


def has_region(scheme: str, region: str) -> bool:
    """Whether a scheme can tell a region: it names each of the region's tissues.

    The whole tumour is told by every scheme. HD-GLIO has no label for necrosis, so it has no core.

    Raises:
        UnknownNameError: if scheme or region is unknown.

    Example:
        >>> has_region("lumiere-deepbratumia", "core"), has_region("lumiere-hdglio", "core")
        (True, False)
    """
    tissues = set(label_scheme(scheme).values())
    if region not in REGIONS:
        raise UnknownNameError("region", region, REGIONS)
    return region == WHOLE or tissues >= REGIONS[region]


def region_mask(labels: Labels, scheme: str, region: str) -> Mask:
    """The voxels of a region.

    Args:
        labels: (i, j, k) integer labels.
        scheme: what they mean, a name in :data:`LABEL_SCHEMES`.
        region: a name in :data:`REGIONS`.

    Returns:
        (i, j, k) boolean mask; empty where the segmentation holds no such tissue.

    Raises:
        LabelSchemeError: if the scheme cannot tell the region.
        UnknownNameError: if scheme or region is unknown.

    Example:
        >>> labels = np.array([[[0, 1, 2, 3]]])
        >>> region_mask(labels, "lumiere-deepbratumia", "core").ravel().tolist()
        [False, True, True, False]
    """
    if not has_region(scheme, region):
        needed = ", ".join(sorted(REGIONS[region]))
        raise LabelSchemeError(
            f"region {region!r} needs {needed}, but label scheme {scheme!r} is "
            f"{describe_scheme(scheme)}; choose a region that it has, or another segmentation"
        )
    wanted = [label for label, tissue in label_scheme(scheme).items() if tissue in REGIONS[region]]
    return np.isin(labels, wanted)


def check_labels(labels: Labels, scheme: str, name: str) -> None:
    """Refuse a segmentation with labels that its scheme does not name.

    Args:
        labels: (i, j, k) integer labels; not all of the scheme's need be there.
        scheme: a name in :data:`LABEL_SCHEMES`.
        name: what to call the segmentation in the message, its file.

    Raises:
        LabelSchemeError: naming the file, the labels found and those of the scheme.
        UnknownNameError: if the scheme is unknown.
    """
    known = {0, *label_scheme(scheme)}
    found = labels_found(labels)
    unknown = [label for label in found if label not in known]
    if unknown:
        raise LabelSchemeError(
            f"{name}: labels {unknown} are not of label scheme {scheme!r} "
            f"({describe_scheme(scheme)}); found {found}; name the scheme that made this file"
        )


def labels_found(labels: Labels) -> list[int]:
    """The labels that occur, in order, 0 included."""
    return [int(label) for label in np.unique(labels)]


def describe_scheme(scheme: str) -> str:
    """A scheme in words.

    Example:
        >>> describe_scheme("lumiere-hdglio")
        '0 background, 1 oedema, 2 enhancing'
    """
    named = (f"{label} {tissue}" for label, tissue in sorted(label_scheme(scheme).items()))
    return ", ".join(["0 background", *named])
