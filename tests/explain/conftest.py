"""A network of random weights, and its maps of all methods and classes."""

from __future__ import annotations

import pytest
from lesion_pair import LAYOUT, METHODS, make_pair

from xrano.attribution.methods import AttributionSettings
from xrano.explain import Explainer
from xrano.models.factory import create_model


@pytest.fixture(scope="module")
def model():
    return create_model("densenet_small", LAYOUT, seed=3)


@pytest.fixture(scope="module")
def explanation(model):
    settings = AttributionSettings(n_steps=3)
    explainer = Explainer(model, METHODS, settings=settings, meta={"run": "r", "fold": 2})
    return explainer.explain(make_pair(), "all")
