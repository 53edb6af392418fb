from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from xrano.data.dataset import PairDataset
from xrano.models.factory import create_model
from xrano.training.random_copies import estimate_statistics, random_copy
from xrano.training.run import Run
from xrano.training.train_run import train_run


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.state_dict())


def same(a: nn.Module, b: nn.Module) -> list[str]:
    """Names of convolution and linear weights that are equal."""
    one, two = weights(a), weights(b)
    return [
        name for name, value in one.items() if value.ndim >= 2 and torch.equal(value, two[name])
    ]


def norms(model: nn.Module) -> list[nn.BatchNorm3d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]


def test_a_copy_has_none_of_the_weights_of_the_trained_network(tiny_run: Run):
    trained = tiny_run.model(0)
    start = create_model("densenet_small", tiny_run.layout, seed=tiny_run.config.seed)
    copies = [random_copy(tiny_run, 0, draw) for draw in range(3)]
    assert not any(same(copy, trained) or same(copy, start) for copy in copies)
    assert not same(copies[0], copies[1])
    assert not same(copies[1], copies[2])
    assert all(not module.training for copy in copies for module in copy.modules())
    assert copies[0].layout == trained.layout


def test_a_copy_can_be_made_again(tiny_run: Run):
    torch.manual_seed(1)
    first = weights(random_copy(tiny_run, 1, 2))
    torch.manual_seed(2)
    second = weights(random_copy(tiny_run, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_copy_leaves_the_global_state_alone(tiny_run: Run):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    random_copy(tiny_run, 0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_statistics_are_those_of_the_data_by_brute_force(tiny_run: Run):
    """The first normalisation sees a convolution of the input, which is computed here by hand."""
    model = create_model("densenet_small", tiny_run.layout, seed=3)
    data = PairDataset(tiny_run.store, tiny_run.training_pairs(0).head(7), tiny_run.layout)
    estimate_statistics(model, DataLoader(data, batch_size=3))
    convolution, norm = model.backbone.features.conv0, model.backbone.features.norm0
    means, variances = [], []
    # Batches of 3 and 3; the last one of 1 is left out.
    for rows in ((0, 1, 2), (3, 4, 5)):
        inputs = np.stack([data[row][0].numpy() for row in rows]).astype(np.float64)
        with torch.no_grad():
            features = convolution.double()(torch.from_numpy(inputs)).numpy()
        convolution.float()
        by_channel = np.moveaxis(features, 1, 0).reshape(features.shape[1], -1)
        means.append(by_channel.mean(axis=1))
        variances.append(by_channel.var(axis=1, ddof=1))
    np.testing.assert_allclose(norm.running_mean, np.mean(means, axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var, np.mean(variances, axis=0), rtol=1e-4)
    assert int(norm.num_batches_tracked) == 2


def test_activations_of_a_copy_are_of_order_one_in_every_layer(tiny_run: Run):
    copy = random_copy(tiny_run, 0, 0)
    fresh = create_model("densenet_small", tiny_run.layout, seed=7919)
    assert len(norms(copy)) > 10
    for layer, start in zip(norms(copy), norms(fresh), strict=True):
        assert not torch.equal(layer.running_var, start.running_var)
        assert layer.momentum == start.momentum == 0.1
    spreads = []
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out: spreads.append(float(out.std())))
        for layer in norms(copy)
    ]
    pairs = tiny_run.training_pairs(0)
    data = PairDataset(tiny_run.store, pairs, tiny_run.layout)
    with torch.no_grad():
        copy(torch.stack([data[row][0] for row in range(4)]))
    for hook in hooks:
        hook.remove()
    assert 0.5 < np.median(spreads) < 1.5
    assert max(spreads) < 3


@pytest.mark.parametrize("fold", [0, 1])
def test_a_copy_has_seen_no_test_patient(tiny_run: Run, fold: int, monkeypatch):
    from xrano.training import random_copies

    seen: set[str] = set()

    def spy(store, pairs, layout):
        seen.update(pairs["patient_id"])
        return PairDataset(store, pairs, layout)

    monkeypatch.setattr(random_copies, "PairDataset", spy)
    random_copy(tiny_run, fold, 0)
    test = set(tiny_run.splits["folds"][fold]["test"])
    assert seen
    assert not seen & test


def test_an_untrained_run_has_copies_too(untrained_config, tmp_path):
    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    copy = random_copy(run, 0, 0)
    assert not same(copy, run.model(0))
    assert not torch.equal(norms(copy)[0].running_mean, norms(run.model(0))[0].running_mean)
