"""Errors that a user can mend: one family, choices listed, near names offered."""

from __future__ import annotations

import inspect
import pickle

import pytest

from xrano import errors
from xrano.errors import UnknownNameError, XranoError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__ and not issubclass(kind, Warning)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_of_one_family(kind):
    assert issubclass(kind, XranoError)
    assert issubclass(kind, ValueError)
    assert kind.__doc__


def test_there_are_errors():
    assert len(KINDS) >= 9


def test_choices_are_sorted_and_kept():
    error = UnknownNameError("method", "lime", iter(["saliency", "ig", "gradcam"]))
    assert str(error) == "unknown method 'lime'; choose from: gradcam, ig, saliency"
    assert error.choices == ("gradcam", "ig", "saliency")
    assert (error.kind, error.name) == ("method", "lime")


@pytest.mark.parametrize(
    ("name", "near"), [("grad-cam", "gradcam"), ("saliencey", "saliency"), ("IG", None), ("", None)]
)
def test_a_near_name_is_offered_and_a_far_one_is_not(name, near):
    said = str(UnknownNameError("method", name, ["saliency", "gradcam", "ig"]))
    assert (f"did you mean {near!r}?" in said) == (near is not None)
    assert ("did you mean" in said) == (near is not None)


def test_nothing_to_choose_from():
    assert str(UnknownNameError("layer", "a", [])).endswith("choose from: none")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not UnknownNameError])
def test_errors_travel_between_processes(kind):
    assert str(pickle.loads(pickle.dumps(kind("what was found")))) == "what was found"


def test_an_unknown_name_travels_between_processes():
    error = UnknownNameError("layer", "blok1", ["block1", "block2"])
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), other.choices) == (type(error), str(error), error.choices)
