"""Explanations of a run's pairs, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xrano.attribution.methods import METHODS, AttributionSettings, MethodRequest
from xrano.attribution.plan import resolve_layers
from xrano.data.label_schemes import WHOLE
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.errors import UnknownNameError, XranoError
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.explain import Explainer, Explanation
from xrano.jupyter.recent import Recent
from xrano.maps import AttributionMap
from xrano.scoring.pair_masks import PairMasks, pair_masks
from xrano.target_words import target_meta, targets_of
from xrano.training.run import Run

PAIRS_KEPT, EXPLAINERS_KEPT = 2, 4
"""At 1 mm a pair takes some hundred megabytes, as do large networks."""

REGIONS, SCOPES = ("core", WHOLE), ("prior", "current", "union")
"""The masks that a map is scored against while it is looked at."""


@dataclass(frozen=True)
class Answer:
    """What the network says of a pair, whatever is explained."""

    logits: Mapping[str, float]
    probabilities: Mapping[str, float]
    predicted: str


class Answers:
    """What there is to see of a run, made once and kept while there is room.

    Maps are kept by pair, method and the class explained: ``predicted``, ``response`` and ``PD``
    are one map where they mean one class.

    Args:
        run: the run.
        settings: of the methods.
        room_gb: what the maps that are kept may take.
    """

    def __init__(self, run: Run, settings: AttributionSettings, *, room_gb: float = 2.0) -> None:
        self._run, self._settings = run, settings
        table = run.tested_pairs().to_dict("records")
        self.records: dict[str, dict[Any, Any]] = {str(row["pair_id"]): row for row in table}
        self._answers: dict[str, Answer] = {}
        self._maps: Recent[tuple[AttributionMap, ...]] = Recent(room_gb * 1e9)
        self._pairs: Recent[PairVolumes] = Recent(PAIRS_KEPT)
        self._masks: Recent[PairMasks] = Recent(PAIRS_KEPT)
        self._explainers: Recent[Explainer] = Recent(EXPLAINERS_KEPT)

    def pair(self, pair_id: str) -> PairVolumes:
        """The scans of a pair.

        Raises:
            UnknownNameError: if the run tests no such pair.
        """
        if pair_id not in self.records:
            raise UnknownNameError("pair of this run:", pair_id, list(self.records)[:5])
        found = self._pairs.find(pair_id)
        if found is not None:
            return found
        record = self.records[pair_id]
        return self._pairs.keep(pair_id, load_pair(self._run.store, record, self._run.layout))

    def masks(self, pair_id: str) -> PairMasks:
        """What maps of a pair are scored against: :data:`REGIONS` in :data:`SCOPES`."""
        found = self._masks.find(pair_id)
        if found is not None:
            return found
        pair = self.pair(pair_id)
        masks = pair_masks(
            pair.grid,
            pair.brain,
            pair.segmentations,
            regions=REGIONS,
            scopes=SCOPES,
            pair_id=pair_id,
        )
        return self._masks.keep(pair_id, masks)

    def explained(self, pair_id: str, method: str, target: str) -> Explanation:
        """The maps of one method; the network is run only for what is not at hand.

        Args:
            pair_id: the pair.
            method: with its baseline.
            target: ``predicted``, ``response``, ``all``, a class, or a contrast such as ``PD-SD``.

        Raises:
            As :meth:`xrano.explain.Explainer.explain`.
        """
        pair = self.pair(pair_id)
        names = self._classes(pair, target)
        at_hand = [self._maps.find((pair_id, method, name)) for name in names]
        if not names or None in at_hand:
            explanation = self._explainer(pair_id, method).explain(pair, target)
            self._keep(method, explanation)
            return explanation
        maps = tuple(item for found in at_hand if found is not None for item in found)
        answer = self._answers[pair_id]
        return Explanation(pair, answer.logits, answer.probabilities, answer.predicted, maps)

    def methods(self) -> list[str]:
        """The methods that fit the network, with every baseline."""
        model = self._run.model(self._run.trained_folds[0])
        found = []
        for name, spec in METHODS.items():
            labels = [f"{name}:{baseline}" for baseline in spec.baselines] or [name]
            try:
                resolve_layers(model, [MethodRequest.parse(labels[0])], self._settings)
            except XranoError:
                continue
            found += labels
        return found

    def _classes(self, pair: PairVolumes, target: str) -> list[str]:
        """Names of the targets; none while it is not known what the network predicts."""
        targets = targets_of(target, pair, self._run.task)
        if targets is None:
            answer = self._answers.get(pair.pair_id)
            return [] if answer is None else [answer.predicted]
        return [str(target_meta(one, self._run.task)["target_name"]) for one in targets]

    def _keep(self, method: str, found: Explanation) -> None:
        pair_id = found.pair.pair_id
        self._answers[pair_id] = Answer(found.logits, found.probabilities, found.predicted)
        by_class: dict[str, list[AttributionMap]] = {}
        for item in found.maps:
            by_class.setdefault(str(item.meta["target_name"]), []).append(item)
        for name, maps in by_class.items():
            size = sum(item.data.nbytes for item in maps)
            self._maps.keep((pair_id, method, name), tuple(maps), size)

    def _explainer(self, pair_id: str, method: str) -> Explainer:
        record = self.records[pair_id]
        fold = self._run.fold_of(record)
        found = self._explainers.find((fold, method))
        if found is not None:
            return found
        made = explainers_by_fold(self._run, [record], [method], self._settings)[fold]
        return self._explainers.keep((fold, method), made)
