from __future__ import annotations

from dataclasses import replace

import pytest

from xrano.data.normalisation import NORMALISATIONS
from xrano.data.pairing.pairs import REFERENCES
from xrano.report.methods_text import TrainingFacts, methods_paragraphs

FACTS = TrainingFacts(
    network="densenet_small",
    network_citations=(),
    sequences=("CT1", "FLAIR"),
    stem="concat",
    clinical=False,
    classes=("CR", "PR", "SD", "PD"),
    spacing_mm=(2.0, 2.0, 2.5),
    trained=True,
    training="for at most 9 epochs",
    n_folds=5,
    trained_folds=5,
    grouping="patient",
    selection="inner",
    validation=0.2,
    seed=3,
    n_pairs=40,
    n_patients=12,
    counts=(("CR", 4, 2), ("PD", 36, 11)),
    exclusions=(),
    references=("previous",),
)


def told(**changes) -> str:
    return " ".join(methods_paragraphs(replace(FACTS, **changes), None, "1.0"))


def test_folds_by_patient_and_by_timepoint_say_what_was_unseen():
    text = told()
    assert "so that no patient is on both sides" in text
    assert "not trained on the patient, pooled" in text
    leaky = told(grouping="timepoint")
    assert "patients are on both sides (which leaks)" in leaky
    assert "not trained on the session (other sessions it saw), pooled" in leaky
    assert "not trained on the patient" not in leaky


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_every_normalisation_has_its_own_words(name):
    text = told(normalisation=name)
    assert f"normalised {name}" not in text
    others = [told(normalisation=other) for other in NORMALISATIONS if other != name]
    assert text not in others
    assert ("healthy tissue" in text) == (name == "healthy")


@pytest.mark.parametrize("name", REFERENCES)
def test_every_reference_has_its_own_words(name):
    text = told(references=(name,))
    assert f"the later one and {name}," not in text
    assert text not in [told(references=(other,)) for other in REFERENCES if other != name]


def test_several_references_are_all_named():
    text = told(references=("baseline", "nadir"))
    assert "the first rated scan or the rated scan of the least enhancing volume" in text


def test_who_rated():
    assert "volumetric rule" not in told()
    assert (
        "rated at the later one (7 of 40 by the volumetric rule, the others by a reader)"
        in told(ruled=7)
    )
    assert "rated at the later one by the volumetric rule, not by a reader." in told(ruled=40)
