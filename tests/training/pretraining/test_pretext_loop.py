import numpy as np
import pytest
import torch

from xrano.errors import ConfigError, SplitError
from xrano.training.pretraining.config import PretrainingConfig
from xrano.training.pretraining.pretext_loop import (
    Machine,
    PretextTask,
    single_image_network,
    train_pretext,
)

CPU = Machine("cpu")


class BrightSide:
    """Three classes: which axis the bright slab lies across. Any convolution can tell."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        self.labels = np.arange(count) % 3
        self.images = rng.normal(scale=0.1, size=(count, 1, 20, 18, 19)).astype(np.float32)
        for image, label in zip(self.images, self.labels, strict=True):
            at = [slice(None)] * 3
            at[label] = slice(int(rng.integers(4, 12)), None)
            image[0][tuple(at)] += 1.0
        self.epochs = []

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return torch.from_numpy(self.images[row]), int(self.labels[row])

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


def train(name="densenet_small", *, epochs=6, seed=1, rate=3e-3, task=None, report=str):
    network = single_image_network(name, 3, seed=seed, checkpointing=False)
    task = task or PretextTask("slabs", 3, BrightSide(36, 0), BrightSide(24, 1))
    config = PretrainingConfig("rotation", epochs=epochs, batch_size=6, learning_rate=rate)
    history = train_pretext(network, task, config, seed=seed, machine=CPU, report=report)
    return network, history


def test_a_separable_task_is_learnt_far_above_chance():
    lines = []
    _, history = train(report=lines.append)
    assert [line["epoch"] for line in history] == list(range(6))
    assert history[-1]["accuracy"] > 0.8  # chance is 0.33
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]
    assert len(lines) == 6
    assert lines[0].startswith("pretraining slabs: epoch 1 of 6, loss ")
    assert "on 24 held-out images (chance 0.333)" in lines[0]


@pytest.mark.parametrize("name", ["vit_small", "alexnet3d"])
def test_two_runs_agree_to_the_bit_dropout_and_global_state_notwithstanding(name):
    states = []
    for noise in (3, 4):
        torch.manual_seed(noise)
        np.random.seed(noise)  # noqa: NPY002
        before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        network, history = train(name, epochs=2)
        assert torch.equal(torch.random.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
        states.append((network.state_dict(), history))
    assert states[0][1] == states[1][1]
    assert all(torch.equal(states[0][0][key], states[1][0][key]) for key in states[0][0])


def test_another_seed_is_another_run():
    assert train(epochs=1, seed=1)[1] != train(epochs=1, seed=2)[1]


def test_each_epoch_draws_its_own_images():
    images = BrightSide(12, 0)
    train(epochs=3, task=PretextTask("slabs", 3, images, None))
    assert images.epochs == [0, 1, 2]


def test_without_held_out_images_no_accuracy_is_claimed():
    lines = []
    task = PretextTask("slabs", 3, BrightSide(12, 0), None)
    _, history = train(epochs=1, task=task, report=lines.append)
    assert history[0]["accuracy"] is None
    assert "accuracy" not in lines[0]


def test_one_image_is_no_batch():
    with pytest.raises(SplitError, match="slabs found 1 training images"):
        train(task=PretextTask("slabs", 3, BrightSide(1, 0), None))


def test_a_loss_that_is_no_number_is_an_error():
    images = BrightSide(12, 0)
    images.images[3] = np.nan
    with pytest.raises(ConfigError, match="slabs diverged in epoch 1"):
        train(task=PretextTask("slabs", 3, images, None))


def test_an_accelerator_that_is_not_there_is_an_error():
    network = single_image_network("densenet_small", 3, seed=0, checkpointing=False)
    task = PretextTask("slabs", 3, BrightSide(12, 0), None)
    with pytest.raises(ConfigError, match="accelerator tpu"):
        train_pretext(
            network,
            task,
            PretrainingConfig("rotation"),
            seed=0,
            machine=Machine("tpu"),
            report=str,
        )
