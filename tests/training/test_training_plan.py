from __future__ import annotations

from dataclasses import replace

import pytest

from xrano.errors import SplitError
from xrano.progress import minutes
from xrano.training import plan
from xrano.training.plan import describe_plan


def test_a_cohort_that_leaves_nothing_to_train_on_is_refused(tiny_config, monkeypatch):
    monkeypatch.setattr(plan, "estimate_epoch_seconds", lambda *_, **__: pytest.fail("estimated"))
    one = plan.run_pairs
    monkeypatch.setattr(plan, "run_pairs", lambda *given: (one(*given)[0].head(1), None))
    with pytest.raises(SplitError, match="1 rated pairs in 3 folds leave none to train on"):
        describe_plan(tiny_config, minutes)


def test_the_plan_counts_pairs_that_train(tiny_config, monkeypatch):
    monkeypatch.setattr(plan, "estimate_epoch_seconds", lambda *_, **__: 60.0)
    pairs = len(plan.rated(plan.run_pairs(tiny_config, plan.open_store(tiny_config.store))[0]))
    config = replace(tiny_config, n_folds=2, validation_fraction=0.5)
    text = describe_plan(config, minutes)
    assert f"about {pairs // 4} training pairs a fold" in text
    assert "an epoch takes about 60 s on this machine, at most 2 epochs (2 min) a fold" in text
