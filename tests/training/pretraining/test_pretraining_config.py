import math

import pytest

from xrano.errors import ConfigError, UnknownNameError
from xrano.training.pretraining.config import PretrainingConfig


def test_nothing_is_learnt_before_by_default():
    assert PretrainingConfig().kind == "none"


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "organmnist3d", "path": "organmnist3d.npz"},
        {"kind": "medicalnet", "path": "resnet_18.pth"},
        {"kind": "rotation", "epochs": 1, "batch_size": 2},
    ],
)
def test_the_kinds_of_the_paper_are_allowed(settings):
    assert PretrainingConfig(**settings).kind == settings["kind"]


def test_an_unknown_kind_shows_the_nearest_name():
    with pytest.raises(
        UnknownNameError, match="unknown kind of pretraining 'rotations'.*'rotation'"
    ):
        PretrainingConfig(kind="rotations")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "medicalnet"}, "medicalnet needs a file"),
        ({"kind": "organmnist3d"}, "organmnist3d needs a file"),
        ({"kind": "rotation", "path": "a.npz"}, "rotation reads no file, .*a.npz"),
        ({"path": "a.npz"}, "none reads no file"),
        ({"epochs": 0}, "epochs must be ≥ 1, got 0"),
        ({"batch_size": 1}, "batch_size must be ≥ 2, got 1"),
        ({"learning_rate": 0.0}, "learning_rate .* got 0"),
        ({"learning_rate": math.nan}, "learning_rate .* got nan"),
        ({"learning_rate": math.inf}, "learning_rate .* got inf"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        PretrainingConfig(**settings)
