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
from xrano.training.fold_data import clinical_inputs
from xrano.training.network import new_network
from xrano.training.prediction import forward
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
    encoder = run.encoder(fold)
    names = encoder.names if encoder is not None else ()
    model = new_network(run.config, seed=seed, clinical=names)
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
    estimate_statistics(model, loader, clinical_inputs(encoder, dataset.pairs, run.store))
    return model.eval()


def estimate_statistics(
    model: nn.Module,
    loader: DataLoader[tuple[torch.Tensor, int, int]],
    clinical: torch.Tensor | None = None,
) -> None:
    """Set the running mean and variance of every batch normalisation to those of a loader.

    ``clinical`` are the clinical vectors of the loader's rows, for a network that takes them.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over batches
    model.train()
    with torch.no_grad():
        for inputs, _, rows in islice(loader, ESTIMATION_PAIRS):
            if len(inputs) > 1:
                forward(model, inputs, clinical, torch.as_tensor(rows))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
