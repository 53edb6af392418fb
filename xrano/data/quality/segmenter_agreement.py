"""How far two segmentation tools agree about one scan: Dice per region on the scan's own grid.

Both tools carried their masks to the raw grids, so there they can be laid on each other without
another interpolation; where they lie in space decides, not the order of axes in the files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from xrano.data.label_schemes import region_mask
from xrano.data.volumes import Segmentation, read_labels
from xrano.errors import XranoError
from xrano.geometry import require_same_grid, to_ras
from xrano.progress import Progress, quiet
from xrano.types import Mask

COLUMNS = ("dice_enhancing", "dice_whole", "agreement")
"""Columns of a sessions table, filled where both tools have been run."""

FAILED = "failed"
"""The word in the column ``agreement`` where the two masks could not be held together."""


class AgreementStatus(StrEnum):
    """Which of two tools see enhancing tumour."""

    BOTH = "both"
    BOTH_EMPTY = "both_empty"
    """Neither: they agree, and Dice is undefined."""
    ONE_EMPTY = "one_empty"
    """One of them alone: Dice is 0."""


@dataclass(frozen=True)
class Agreement:
    """Dice of two segmentations, 0 to 1, NaN where neither has the region.

    ``status`` is about the enhancing tumour.
    """

    dice_enhancing: float
    dice_whole: float
    status: AgreementStatus


def compare_segmentations(first: Segmentation, second: Segmentation) -> Agreement:
    """Hold two segmentations of one scan against each other.

    Args:
        first: labels of one tool, in any order of axes.
        second: labels of the other.

    Raises:
        GridMismatchError: if they do not lie on one grid in the world.
        LabelSchemeError: if a scheme has no enhancing tumour.
    """
    masks: dict[str, list[Mask]] = {"enhancing": [], "whole": []}
    grids = []
    for found in (first, second):
        labels, grid = to_ras(found.labels, found.grid.affine)
        grids.append(grid)
        for region, both in masks.items():
            both.append(region_mask(labels, found.scheme, region))
    require_same_grid(*grids, a_name=str(first.path), b_name=str(second.path))
    enhancing = [bool(mask.any()) for mask in masks["enhancing"]]
    if all(enhancing):
        status = AgreementStatus.BOTH
    else:
        status = AgreementStatus.ONE_EMPTY if any(enhancing) else AgreementStatus.BOTH_EMPTY
    return Agreement(dice(*masks["enhancing"]), dice(*masks["whole"]), status)


def dice(first: Mask, second: Mask) -> float:
    """Twice the common voxels over the voxels of both, 0 to 1; NaN if both are empty.

    Example:
        >>> dice(np.array([True, True, False]), np.array([False, True, False]))
        0.6666666666666666
    """
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    if not total:
        return math.nan
    return 2.0 * int(np.count_nonzero(first & second)) / total


def add_agreement(
    sessions: pd.DataFrame,
    masks: Mapping[tuple[str, str], tuple[str, str]],
    *,
    progress: Progress = quiet,
) -> tuple[pd.DataFrame, list[str]]:
    """The sessions with :data:`COLUMNS`, from LUMIERE's two tools.

    Args:
        sessions: a sessions table.
        masks: session to the paths of DeepBraTumIA's and HD-GLIO's mask on one raw grid.
        progress: how to show progress; two masks are read a session.

    Returns:
        The table, and what failed in words: a session whose masks are broken or lie on different
        grids is :data:`FAILED` and does not stop the others.
    """
    found: dict[tuple[str, str], tuple[float, float, str]] = {}
    failures: list[str] = []
    for key, (one, other) in progress(list(masks.items()), "comparing segmentations"):
        try:
            agreement = compare_segmentations(
                read_labels(one, "lumiere-deepbratumia"), read_labels(other, "lumiere-hdglio")
            )
        except XranoError as error:
            failures.append(f"{' '.join(key)}: the two segmentations cannot be compared: {error}")
            found[key] = (math.nan, math.nan, FAILED)
        else:
            found[key] = (agreement.dice_enhancing, agreement.dice_whole, str(agreement.status))
    keys: Iterable[tuple[str, str]] = zip(
        sessions["patient_id"], sessions["session_id"], strict=True
    )
    rows = [found.get(key, (math.nan, math.nan, "")) for key in keys]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return sessions.assign(**dict(zip(COLUMNS, map(list, columns), strict=True))), failures


def describe_agreement(sessions: pd.DataFrame) -> str:
    """One line: how many sessions both tools see, and how well they agree there."""
    if "agreement" not in sessions:
        return ""
    counts = sessions["agreement"].value_counts()
    words = [
        f"{counts.get(str(status), 0)} {what}"
        for status, what in (
            (AgreementStatus.BOTH, "with enhancing tumour in both"),
            (AgreementStatus.ONE_EMPTY, "in one alone"),
            (AgreementStatus.BOTH_EMPTY, "in neither"),
            (FAILED, "failed"),
        )
    ]
    told = sum(int(counts.get(word, 0)) for word in (*AgreementStatus, FAILED))
    medians = ", ".join(
        f"{region} {sessions[f'dice_{region}'].median():.2f}"
        for region in ("enhancing", "whole")
        if sessions[f"dice_{region}"].notna().any()
    )
    line = f"both tools segmented {told} sessions: {', '.join(words)}"
    return line + (f"; median Dice {medians}" if medians else "")
