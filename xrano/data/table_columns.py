"""The columns of a cohort's tables, and which of a sessions table hold images.

A column of images is a sequence by its name alone, so that a cohort may have sequences that xrano
has never heard of. A name that means one of the known four elsewhere is told, not changed.
"""

from __future__ import annotations

from types import MappingProxyType

import pandas as pd

from xrano.channels import KNOWN_SEQUENCES

CLINICAL_COLUMNS = ("age", "sex", "idh", "mgmt", "mgmt_percent", "survival_weeks")
"""Years, text, text, text, percent of methylation, weeks from the first operation to death; NaN or
empty if unknown."""

SESSION_COLUMNS = (
    *("dataset", "patient_id", "session_id", "order", "week", "days", "role"),
    *("rating", "rating_raw", "rating_source", "exclude_reason"),
    *(*KNOWN_SEQUENCES, "brain_mask", "brain_mask_sequence", "space"),
    *CLINICAL_COLUMNS,
)
SEGMENTATION_COLUMNS = (
    *("patient_id", "session_id", "source", "scheme", "path", "space", "sequence"),
)
PAIR_COLUMNS = (
    *("pair_id", "patient_id", "prior_session", "current_session", "prior_week", "current_week"),
    *("reference", "response", "rating_source", "spans_surgery"),
)
EXCLUSION_COLUMNS = ("patient_id", "session_id", "detail", "reason")

_ELSEWHERE = MappingProxyType(
    {
        "CT1": ("T1CE", "T1C", "T1GD", "T1POST", "T1CONTRAST", "CET1", "T1KM"),
        "T1": ("T1W", "T1N", "T1PRE", "T1NATIVE"),
        "T2": ("T2W",),
        "FLAIR": ("T2FLAIR", "T2F", "FLR", "TIRM"),
    }
)
"""What others call the four sequences, in capitals and without signs between."""


def sequence_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a sessions table that hold images of a sequence.

    These are LUMIERE's four as far as they are there, then every further column of which each
    filled cell is the path of a ``.nii`` or ``.nii.gz`` file, at least one being filled.

    Example:
        >>> sequence_columns(pd.DataFrame({"week": [0, 3], "ADC": ["a/ADC.nii.gz", ""], "T1": ""}))
        ('T1', 'ADC')
    """
    further = [
        str(column)
        for column in frame
        if column not in SESSION_COLUMNS and _holds_images(frame[column])
    ]
    return (*(name for name in KNOWN_SEQUENCES if name in frame), *further)


def _holds_images(cells: pd.Series) -> bool:
    filled = [str(value) for value in cells if value != ""]
    return bool(filled) and all(value.endswith((".nii", ".nii.gz")) for value in filled)


def sequence_notes(frame: pd.DataFrame) -> list[str]:
    """A line for each sequence whose name is another word for one that xrano knows.

    Example:
        >>> print(*sequence_notes(pd.DataFrame({"T1": ["a.nii.gz"], "T1CE": ["b.nii.gz"]})))
        T1CE is taken for a sequence of its own; if it is what xrano calls CT1, rename the column
    """
    found = sequence_columns(frame)
    notes = []
    for name in found:
        plain = "".join(letter for letter in name.upper() if letter.isalnum())
        for known, others in _ELSEWHERE.items():
            same = plain == known and name != known
            filled = known in frame and bool((frame[known] != "").any())
            if (same or plain in others) and not filled:
                notes.append(
                    f"{name} is taken for a sequence of its own; if it is what xrano calls "
                    f"{known}, rename the column"
                )
    return notes
