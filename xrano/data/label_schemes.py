"""What the integers of a segmentation mean, and the regions made of them.

A *label scheme* maps labels to tissues; 0 is always background. A *region* is a named set of
tissues. Tools disagree about integers (DeepBraTumIA's 1 is enhancing tumour, HD-GLIO's 1 is not),
so nothing outside this module speaks of labels.
"""

from __future__ import annotations

import functools
import re
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
        "brats2021": MappingProxyType({1: Tissue.NECROSIS, 2: Tissue.OEDEMA, 4: Tissue.ENHANCING}),
        "brats2023": MappingProxyType({1: Tissue.NECROSIS, 2: Tissue.OEDEMA, 3: Tissue.ENHANCING}),
        "brats2024": MappingProxyType(
            {1: Tissue.NECROSIS, 2: Tissue.OEDEMA, 3: Tissue.ENHANCING, 4: Tissue.CAVITY}
        ),
        "binary": MappingProxyType({1: Tissue.LESION}),
    }
)
"""Scheme name to label to tissue. ``lumiere-deepbratumia`` follows the volumes that the tool
itself measured (``measured_volumes_in_mm3.json``), not LUMIERE's radiomics table, which has labels
1 and 2 the other way round. The BraTS schemes are named after the challenge that first used them:
2021 has no label 3 (enhancing tumour is 4), 2024 has the resection cavity as 4."""

EXPLICIT_EXAMPLE = "1=necrosis;2=oedema;3=enhancing"
"""A scheme without a name, written where a name could stand."""

_HIGHEST_LABEL = 255

WHOLE = "whole"
"""The region that every scheme of a tumour has: all its tissue, whatever it is called."""

REGIONS: Mapping[str, frozenset[Tissue]] = MappingProxyType(
    {
        "enhancing": frozenset({Tissue.ENHANCING}),
        "core": frozenset({Tissue.ENHANCING, Tissue.NECROSIS}),
        WHOLE: frozenset({Tissue.ENHANCING, Tissue.NECROSIS, Tissue.OEDEMA, Tissue.LESION}),
    }
)
"""Region name to the tissues that it is made of: those whose volumes are measured."""

SCORED_REGIONS: Mapping[str, frozenset[Tissue]] = MappingProxyType(
    {
        **REGIONS,
        "oedema": frozenset({Tissue.OEDEMA}),
        "cavity": frozenset({Tissue.CAVITY}),
    }
)
"""All regions that a map is scored against. A cavity is no tumour, and oedema is no measure of
response, so neither has a volume in the tables."""


def label_scheme(name: str) -> Mapping[int, Tissue]:
    """The scheme of a name, or the scheme that a text spells out.

    Args:
        name: a name in :data:`LABEL_SCHEMES`, or label=tissue for each label, separated by
            semicolons; tissues are the values of :class:`Tissue`, and blanks do not matter.

    Raises:
        UnknownNameError: if there is no such scheme, or no such tissue.
        LabelSchemeError: if a map is not readable, names a label twice, or one outside 1 to 255.

    Example:
        >>> label_scheme("1 = necrosis; 3 = enhancing")[3]
        <Tissue.ENHANCING: 'enhancing'>
    """
    if name in LABEL_SCHEMES:
        return LABEL_SCHEMES[name]
    if "=" in name:
        return _explicit_scheme(name)
    raise UnknownNameError(
        "label scheme", name, [*LABEL_SCHEMES, f"a map such as {EXPLICIT_EXAMPLE}"]
    )


@functools.lru_cache(maxsize=64)
def _explicit_scheme(text: str) -> Mapping[int, Tissue]:
    scheme: dict[int, Tissue] = {}
    for entry in text.strip().removesuffix(";").split(";"):
        match = re.fullmatch(r"\s*(\d{1,9})\s*=\s*([^\s,=]+)\s*", entry)
        if match is None:
            raise LabelSchemeError(
                f"label scheme {text!r}: {entry.strip()!r} is not label=tissue; needed is a name "
                f"({', '.join(sorted(LABEL_SCHEMES))}) or a map such as {EXPLICIT_EXAMPLE}"
            )
        label, tissue = int(match[1]), match[2]
        if not 1 <= label <= _HIGHEST_LABEL:
            raise LabelSchemeError(
                f"label scheme {text!r}: label {label} is not from 1 to {_HIGHEST_LABEL}; 0 is "
                "always background and is left out"
            )
        if label in scheme:
            raise LabelSchemeError(f"label scheme {text!r} names label {label} twice")
        if tissue not in list(Tissue):
            raise UnknownNameError(f"tissue in label scheme {text!r}:", tissue, Tissue)
        scheme[label] = Tissue(tissue)
    return MappingProxyType(scheme)


def has_region(scheme: str, region: str) -> bool:
    """Whether a scheme can tell a region: it names each of the region's tissues.

    The whole tumour is told by every scheme that names some tissue of it. HD-GLIO has no label for
    necrosis, so it has no core.

    Raises:
        UnknownNameError: if scheme or region is unknown.
        LabelSchemeError: as for :func:`label_scheme`.

    Example:
        >>> has_region("lumiere-deepbratumia", "core"), has_region("lumiere-hdglio", "core")
        (True, False)
    """
    tissues = set(label_scheme(scheme).values())
    if region not in SCORED_REGIONS:
        raise UnknownNameError("region", region, SCORED_REGIONS)
    needed = SCORED_REGIONS[region]
    return not tissues.isdisjoint(needed) if region == WHOLE else tissues >= needed


def region_mask(labels: Labels, scheme: str, region: str) -> Mask:
    """The voxels of a region.

    Args:
        labels: (i, j, k) integer labels.
        scheme: what they mean, as for :func:`label_scheme`.
        region: a name in :data:`SCORED_REGIONS`.

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
        needed = (" or " if region == WHOLE else ", ").join(sorted(SCORED_REGIONS[region]))
        raise LabelSchemeError(
            f"region {region!r} needs {needed}, but label scheme {scheme!r} is "
            f"{describe_scheme(scheme)}; choose a region that it has, or another segmentation"
        )
    tissues = SCORED_REGIONS[region]
    wanted = [label for label, tissue in label_scheme(scheme).items() if tissue in tissues]
    return np.isin(labels, wanted)


def check_labels(labels: Labels, scheme: str, name: str) -> None:
    """Refuse a segmentation with labels that its scheme does not name.

    Args:
        labels: (i, j, k) integer labels; not all of the scheme's need be there.
        scheme: as for :func:`label_scheme`.
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
