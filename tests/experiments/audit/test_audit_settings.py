from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from xrano.data.planting.plan import SHORTCUTS
from xrano.errors import ConfigError, UnknownNameError
from xrano.experiments.audit.audit_files import claim
from xrano.experiments.audit.settings import (
    DEVELOPMENT_SEEDS,
    FULL,
    MANY_MODELS,
    QUICK,
    AuditModel,
    AuditSettings,
    ModelKind,
    settings_from_json,
)


@pytest.mark.parametrize(
    ("text", "assigned", "strength", "decoy"),
    [
        ("honest", "honest", 1.0, False),
        ("tag", "cheat", 1.0, False),
        ("noise@1", "cheat", 1.0, False),
        ("noise@0", "honest", 0.0, True),
        ("edge@0.25", "mixed", 0.25, False),
    ],
)
def test_a_kind_says_what_a_model_is_meant_to_be(text, assigned, strength, decoy):
    kind = ModelKind.parse(text)
    assert (kind.assigned, kind.strength, kind.decoy) == (assigned, strength, decoy)
    assert ModelKind.parse(kind.label) == kind


@pytest.mark.parametrize("text", ["noise@1.5", "noise@-0.1", "noise@", "noise@x", "honest@0.5"])
def test_a_kind_with_an_impossible_strength_is_refused(text):
    with pytest.raises(ConfigError, match="strength from 0 to 1"):
        ModelKind.parse(text)


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'texture'"):
        ModelKind.parse("textur")


def test_every_cohort_has_one_model_of_each_kind_and_seed():
    settings = AuditSettings(("honest", "tag"), cohort_seeds=(5, 6), model_seeds=(0, 1))
    models = settings.models()
    assert len(models) == len({model.name for model in models}) == 8
    assert Counter(model.cohort_seed for model in models) == {5: 4, 6: 4}
    assert [model.cohort_seed for model in models] == sorted(m.cohort_seed for m in models)


def test_a_models_marks_are_its_cohorts_own_and_change_as_asked():
    model = AuditModel(ModelKind("tag", 0.5), cohort_seed=7, model_seed=2)
    plan = model.plan()
    assert (plan.kind, plan.strength, plan.seed, plan.tumour, plan.swap) == (
        *("tag", 0.5, 7, "kept", False),
    )
    swapped, erased = model.plan(swap=True), model.plan(tumour="erased")
    assert (swapped.swap, swapped.tumour, swapped.seed) == (True, "kept", 7)
    assert (erased.swap, erased.tumour, erased.seed) == (False, "erased", 7)
    assert AuditModel(ModelKind(), 7, 0).plan().changes_nothing


def test_the_forms_use_other_cohorts_than_development():
    assert not set(DEVELOPMENT_SEEDS) & {*QUICK.cohort_seeds, *FULL.cohort_seeds}
    assert QUICK.quick
    assert not FULL.quick


def test_the_full_form_goes_on_from_the_quick_one_in_its_folder(tmp_path):
    claim(tmp_path, QUICK)
    claim(tmp_path, FULL)
    assert {model.name for model in QUICK.models()} < {model.name for model in FULL.models()}


def test_the_full_form_has_many_models_of_every_kind():
    counts = Counter(model.of.label for model in FULL.models())
    assert set(counts) >= {"honest", *SHORTCUTS}
    assert min(counts.values()) >= MANY_MODELS
    assert any(kind.assigned == "mixed" for kind in FULL.parsed)
    assert any(kind.decoy for kind in FULL.parsed)


@pytest.mark.parametrize(
    "changes",
    [
        {"kinds": ()},
        {"kinds": ("tag", "tag@1")},
        {"cohort_seeds": (1, 1)},
        {"methods": ()},
        {"epochs": 0},
        {"hold_out": 1},
        {"copies": -1},
    ],
)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError):
        AuditSettings(**{"kinds": ("honest",), "cohort_seeds": (1,), **changes})


def test_settings_come_back_from_json():
    assert settings_from_json(FULL.to_json(), Path("settings.json")) == FULL
    with pytest.raises(ConfigError, match="settings.json"):
        settings_from_json({"epochs": 3}, Path("settings.json"))
