"""DeepBraTumIA's own volumes, which tell what the labels of its segmentations mean.

LUMIERE's radiomics table calls label 1 necrosis and 2 enhancing; the tool's volumes, written beside
each segmentation, say the opposite and agree with the images.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from xrano.data.label_schemes import REGIONS, has_region, label_scheme
from xrano.errors import LabelSchemeError, ManifestError
from xrano.text_files import read_json
from xrano.types import Labels

MEASURED_VOLUMES = "measured_volumes_in_mm3.json"
"""DeepBraTumIA's own volumes, beside its segmentation."""

_COMPARTMENTS = {1: "Enhancing_Core", 2: "Necrotic_NonEnhancing", 3: "Edema_Compartment"}

_SCHEME = label_scheme("lumiere-deepbratumia")
_REGION_LABELS = {
    region: [label for label in _COMPARTMENTS if _SCHEME[label] in tissues]
    for region, tissues in REGIONS.items()
    if has_region("lumiere-deepbratumia", region)
}


def check_measured_volumes(labels: Labels, voxel_mm3: float, json_path: str | Path) -> bool:
    """Hold a DeepBraTumIA segmentation against the volumes that the tool measured itself.

    Args:
        labels: (i, j, k) labels of scheme ``lumiere-deepbratumia``.
        voxel_mm3: volume of one voxel in mm³.
        json_path: the :data:`MEASURED_VOLUMES` file beside the segmentation.

    Returns:
        Whether there was a file to check against.

    Raises:
        LabelSchemeError: if a volume differs by more than a voxel and 0.1 %, with both readings;
            enhancing tumour and necrosis swapped is told as such.
        ManifestError: if the file is broken or lacks a compartment.
    """
    path = Path(json_path)
    if not path.is_file():
        return False
    told = _measured_mm3(path)
    seen = {label: float(np.count_nonzero(labels == label)) * voxel_mm3 for label in told}

    def fits(order: tuple[int, int, int]) -> bool:
        return all(
            abs(seen[label] - told[compartment]) <= voxel_mm3 + 1e-3 * told[compartment]
            for label, compartment in zip(order, _COMPARTMENTS, strict=True)
        )

    if fits((1, 2, 3)):
        return True
    readings = "; ".join(
        f"{name} {told[label]:g} mm³, label {label} {seen[label]:g} mm³"
        for label, name in _COMPARTMENTS.items()
    )
    cause = "labels 1 and 2 are swapped" if fits((2, 1, 3)) else "the two were not made together"
    raise LabelSchemeError(
        f"{path} and the segmentation beside it disagree ({readings}): {cause}; label 1 must be "
        "enhancing tumour, 2 necrosis, 3 oedema"
    )


def measured_regions(json_path: str | Path) -> dict[str, float]:
    """The volumes of the regions enhancing, core and whole, in ml.

    Args:
        json_path: a :data:`MEASURED_VOLUMES` file.

    Raises:
        ManifestError: if the file is broken or lacks a compartment.
    """
    told = _measured_mm3(Path(json_path))
    return {
        region: sum(told[label] for label in labels) / 1000.0
        for region, labels in _REGION_LABELS.items()
    }


def _measured_mm3(path: Path) -> dict[int, float]:
    """Label to volume in mm³."""
    try:
        measured = read_json(path)
        told = {label: float(measured[name]) for label, name in _COMPARTMENTS.items()}
        if not all(0 <= volume < math.inf for volume in told.values()):
            raise ValueError(f"a volume is finite and not negative, got {told}")
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise ManifestError(
            f"{path} must hold numbers for {', '.join(_COMPARTMENTS.values())}: "
            f"{type(error).__name__} {error}"
        ) from error
    return told
