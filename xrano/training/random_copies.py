"""Networks that were never trained: what a method shows without anything learnt.

A copy has fresh random weights, and its normalisation statistics are estimated anew on training
pairs, so that its activations have the scale that a trained network's would have.
"""

from __future__ import annotations

from itertools import islice

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from xrano.data.dataset import PairDataset
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import create_model
from xrano.training.run import Run

ESTIMATION_PAIRS = 64
"""Training pairs from which normalisation statistics are estimated."""


def random_copy(run: Run, fold: int, draw: int) -> ResponseClassifier:
    """An untrained network of a run's architecture, in evaluation mode.

    Args:
        run: the run.
        fold: whose training pairs the normalisation statistics come from; without any (an
            untrained run) they come from the pairs at hand.
        draw: number of the copy; it decides the weights.
    """
    seed = 7919 * (draw + 1) + fold
    chosen_model = run.config.model
    model = create_model(chosen_model.name, run.layout, stem=chosen_model.stem, seed=seed)
    pairs = run.training_pairs(fold)
    pairs = pairs if len(pairs) else run.pairs()
    count = min(ESTIMATION_PAIRS, len(pairs))
    chosen = pairs.sample(n=count, random_state=seed)
    dataset = PairDataset(run.store, chosen, run.layout)
    # A generator of its own: a loader otherwise draws from the global one.
    loader = DataLoader(
        dataset,
        batch_size=max(2, run.config.training.batch_size),
        generator=torch.Generator().manual_seed(seed),
    )
    estimate_statistics(model, loader)
    return model.eval()


def estimate_statistics(
    model: nn.Module, loader: DataLoader[tuple[torch.Tensor, int, int]]
) -> None:
    """Set the running mean and variance of every batch normalisation to those of a loader."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over batches
    model.train()
    with torch.no_grad():
        for inputs, _, _ in islice(loader, ESTIMATION_PAIRS):
            if len(inputs) > 1:
                model(inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
