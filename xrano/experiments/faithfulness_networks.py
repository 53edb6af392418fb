"""The networks that a faithfulness run asks: of a fold, of other folds and seeds, randomised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from xrano.data.dataset import PairDataset
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import ConfigError, SplitError
from xrano.experiments.explained_pairs import fold_data
from xrano.experiments.faithfulness_settings import FaithfulnessSettings
from xrano.explain import Explainer
from xrano.faithfulness.prediction import Predict
from xrano.faithfulness.randomisation import RandomisedNetwork, draws
from xrano.models.clinical_fusion import with_clinical
from xrano.training.fold_data import clinical_inputs
from xrano.training.network import new_network
from xrano.training.random_copies import estimate_statistics, random_copy
from xrano.training.run import Run, open_run

SETTLING_PAIRS = 32
"""Training pairs from which the statistics of a randomised network are estimated."""


class FoldNetworks:
    """Explainers of one fold: the trained network, and what it is compared with.

    What is costly is made when it is first asked for.

    Args:
        run: a trained run.
        fold: whose network never saw the pairs at hand.
        settings: methods and draws.
        seeds: other runs of the same network with other seeds.
    """

    def __init__(
        self, run: Run, fold: int, settings: FaithfulnessSettings, seeds: Sequence[Run] = ()
    ) -> None:
        self.run, self.fold, self.settings, self.seeds = run, fold, settings, tuple(seeds)
        self.model = run.model(fold)
        self._data = fold_data(run, fold, settings.labels())
        self._others: dict[tuple[str, int], Explainer] = {}

    @cached_property
    def trained(self) -> Explainer:
        """By all methods."""
        return self.explainer(self.model)

    @cached_property
    def alone(self) -> dict[str, Explainer]:
        """By each method for itself."""
        return {name: self.explainer(self.model, (name,)) for name in self.settings.labels()}

    @cached_property
    def copies(self) -> list[Explainer]:
        """Random-weight networks of the same architecture."""
        return [
            self.explainer(random_copy(self.run, self.fold, draw))
            for draw in range(self.settings.copies)
        ]

    @cached_property
    def randomised(self) -> list[list[tuple[RandomisedNetwork, Explainer]]]:
        """For each block its draws."""
        drawn = draws(
            self.model,
            seed=self.settings.seed + 1,
            count=self.settings.draws,
            fresh=self._fresh,
            settle=self._settle if _has_statistics(self.model) else None,
        )
        return [[(one, self.explainer(one.network)) for one in same] for same in drawn]

    def of_folds(self) -> list[Explainer]:
        """Networks of the run's other folds, which have trained on this fold's patients."""
        return [self._of(self.run, fold) for fold in self.run.trained_folds if fold != self.fold]

    def of_seeds(self, record: Mapping[str, Any]) -> list[Explainer]:
        """Networks of the other seeds that never saw a pair either."""
        found = []
        for run in self.seeds:
            try:
                found.append(self._of(run, run.fold_of(record)))
            except SplitError:
                # That run has not trained the pair's own fold.
                continue
        return found

    def explainer(self, network: nn.Module, methods: Sequence[str] = ()) -> Explainer:
        """An explainer of any network that takes this fold's data."""
        return Explainer(
            network,
            methods or self.settings.labels(),
            settings=self.settings.attribution,
            meta={"run": self.run.root.resolve().name, "fold": self.fold},
            **self._data,
        )

    def predict_of(self, pair: PairVolumes) -> Predict:
        """The trained network as it sees the scans of one pair, in evaluation mode."""
        clinical = self._data["clinical"]
        network: nn.Module = self.model
        if clinical is not None:
            network = with_clinical(self.model, clinical(pair))
        network.eval()

        def predict(batch: Tensor) -> Tensor:
            logits: Tensor = network(batch)
            return logits

        return predict

    def _of(self, run: Run, fold: int) -> Explainer:
        key = (str(run.root), fold)
        if key not in self._others:
            data = fold_data(run, fold, self.settings.labels())
            self._others[key] = Explainer(
                run.model(fold),
                self.settings.labels(),
                settings=self.settings.attribution,
                **data,
            )
        return self._others[key]

    def _fresh(self, seed: int) -> nn.Module:
        return new_network(self.run.config, seed=seed, clinical=self._clinical_names)

    @cached_property
    def _clinical_names(self) -> tuple[str, ...]:
        encoder = self.run.encoder(self.fold)
        return tuple(encoder.names) if encoder is not None else ()

    def _settle(self, network: nn.Module) -> None:
        inputs, clinical = self._settling
        estimate_statistics(network, inputs, clinical)

    @cached_property
    def _settling(self) -> tuple[DataLoader[tuple[Tensor, int, int]], Tensor | None]:
        """Training pairs of the fold; of an untrained run those at hand."""
        pairs = self.run.training_pairs(self.fold)
        pairs = pairs if len(pairs) else self.run.pairs()
        chosen = pairs.sample(n=min(SETTLING_PAIRS, len(pairs)), random_state=self.settings.seed)
        dataset = PairDataset(self.run.store, chosen, self.run.layout)
        loader = DataLoader(
            dataset,
            batch_size=max(2, min(8, self.run.config.training.batch_size)),
            # A generator of its own: a loader otherwise draws from the global one.
            generator=torch.Generator().manual_seed(self.settings.seed),
        )
        encoder = self.run.encoder(self.fold)
        return loader, clinical_inputs(encoder, dataset.pairs, self.run.store)


def seed_runs(run: Run, named: Sequence[Path] = ()) -> list[Run]:
    """Other runs of the same network: those named, or the ``seed-…`` folders beside the run's own.

    Args:
        run: the run.
        named: folders of runs.

    Raises:
        ConfigError: if a run that is named is not the same but for its seed.
        ManifestError, CheckpointError: if it cannot be opened.
    """
    root = run.root.resolve()
    if named:
        found = [open_run(Path(folder), store=run.store.root) for folder in named]
        for other in found:
            if not _same_but_seed(run, other):
                raise ConfigError(
                    f"{other.root} is not {root.name} with another seed: network, training, store "
                    "and task must be the same, and the seed must not"
                )
        return found
    if not re.fullmatch(r"seed-\d+", root.name):
        return []
    beside = sorted(root.parent.glob("seed-*/config.yaml"))
    others = [path.parent for path in beside if path.parent != root]
    opened = [open_run(folder, store=run.store.root) for folder in others]
    return [other for other in opened if other.trained_folds and _same_but_seed(run, other)]


def _same_but_seed(run: Run, other: Run) -> bool:
    """Whether two runs differ in the seed alone; folds and paths may differ as well."""
    plain = [replace(one.config, seed=0, folds=(), splits="", store="") for one in (run, other)]
    return plain[0] == plain[1] and run.config.seed != other.config.seed


def _has_statistics(model: nn.Module) -> bool:
    return any(isinstance(module, _BatchNorm) for module in model.modules())
