"""Names of sequences: what is taken for an image, and which names are told to be another's."""

from __future__ import annotations

import pandas as pd
import pytest

from xrano.data.table_columns import sequence_columns, sequence_notes


def _sessions(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"week": [0, 8], **{name: ["a.nii.gz", ""] for name in names}})


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *[(name, "CT1") for name in ("T1CE", "T1ce", "T1-Gd", "t1c", "ct1")],
        *[("T1w", "T1"), ("t1", "T1"), ("T2w", "T2"), ("T2-FLAIR", "FLAIR"), ("flair", "FLAIR")],
    ],
)
def test_other_words_for_a_known_sequence(name: str, known: str) -> None:
    (note,) = sequence_notes(_sessions(name))
    assert note.startswith(f"{name} is taken")
    assert f"calls {known}, " in note
    # With the known one there as well, the other is one more sequence and no slip.
    assert sequence_notes(_sessions(name, known)) == []


@pytest.mark.parametrize("name", ["ADC", "T1rho", "CT1", "T1", "SWI", "DWI"])
def test_names_that_are_not_mistaken(name: str) -> None:
    assert sequence_notes(_sessions(name)) == []
    assert sequence_columns(_sessions(name)) == (name,)
