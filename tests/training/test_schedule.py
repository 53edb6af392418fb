import math

import pytest

from xrano.training.config import TrainingConfig
from xrano.training.schedule import Plateau, cosine_rate


def test_cosine_rises_over_the_warm_up_and_falls_to_zero():
    settings = TrainingConfig(epochs=10, warmup_epochs=2, learning_rate=0.1)
    assert cosine_rate(settings, 2) == pytest.approx(0.1)
    assert 0 < cosine_rate(settings, 0) < cosine_rate(settings, 1) < 0.1
    assert cosine_rate(settings, 6) == pytest.approx(0.05)
    assert cosine_rate(settings, 10) == pytest.approx(0, abs=1e-12)


def test_a_plateau_divides_the_rate_by_ten_and_counts_failures_in_a_row():
    plateau = Plateau(1e-2)
    assert plateau.improved(3.0)
    assert not plateau.improved(3.0)
    assert not plateau.improved(4.0)
    assert plateau.rate == pytest.approx(1e-4)
    assert plateau.failures == 2
    assert plateau.improved(2.9)
    assert plateau.failures == 0
    assert plateau.rate == pytest.approx(1e-4)


def test_a_loss_that_is_no_number_is_no_better():
    plateau = Plateau(1.0)
    assert not plateau.improved(math.nan)
