"""The network of a run: made, kept and loaded by the run's config."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from xrano.channels import ChannelLayout
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import create_model
from xrano.tasks import TASKS
from xrano.training.checkpoint import load_model, save_weights
from xrano.training.config import RunConfig


def new_network(
    config: RunConfig, *, seed: int, clinical: tuple[str, ...] = ()
) -> ResponseClassifier:
    """A network of a run's config with random weights.

    Args:
        config: the run.
        seed: of the weights; the global random state is left as it was.
        clinical: names of the clinical columns, if the run's network takes any.
    """
    chosen = config.model
    network = create_model(
        chosen.name,
        ChannelLayout(chosen.sequences),
        len(TASKS[config.task].classes),
        stem=chosen.stem,
        seed=seed,
        checkpointing=chosen.checkpointing,
        clinical=clinical,
    )
    if config.training.initialisation == "xavier":
        initialise_xavier(network, seed)
    return network


def initialise_xavier(network: nn.Module, seed: int) -> None:
    """The paper's start: convolutions and linear layers Xavier-normal, their biases 1.

    The global random state is left as it was.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.Linear)):
            nn.init.xavier_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.ones_(module.bias)


def save_network(path: Path, network: ResponseClassifier, config: RunConfig) -> None:
    """Write a network's weights with what is needed to make it again."""
    save_weights(
        path,
        network.state_dict(),
        model=config.model.name,
        layout=network.layout,
        num_classes=network.num_classes,
        stem=config.model.stem,
        clinical=network.clinical,
    )


def load_network(path: Path, config: RunConfig) -> ResponseClassifier:
    """The network of a weight file, which must be that of the run's config.

    Raises:
        CheckpointError: if the file is missing, broken, or of another network.
    """
    chosen = config.model
    return load_model(
        path,
        model=chosen.name,
        layout=ChannelLayout(chosen.sequences),
        stem=chosen.stem,
        clinical=chosen.clinical,
    )
