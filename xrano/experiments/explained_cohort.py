"""Every held-out pair of a run explained, each by the network that never saw it.

A *unit* is one method for one pair: its record (:mod:`xrano.experiments.explained_units`) holds a
hash of what went in (weights, scans, settings) and the files that came out, and is written last. A
run that is killed, or asked for one more method, makes only the units that are missing; whatever
the number of processes, the same files come out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xrano.atomic_files import remove_leftovers
from xrano.attribution.methods import AttributionSettings, MethodRequest
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.errors import ConfigError, ManifestError
from xrano.experiments.explained_pairs import explainers_by_fold, save_on_scan
from xrano.experiments.explained_units import is_whole, write_unit
from xrano.experiments.scan_place import ScanPlace, scan_place
from xrano.experiments.shards import Shard, alone_in, of_shard
from xrano.explain import Explainer
from xrano.map_files import Storage, sidecar_path, write_description
from xrano.maps import MERGED_CHANNEL, AttributionMap
from xrano.progress import Progress, quiet
from xrano.training.prefetch import prefetched
from xrano.training.run import Run

Kept = Literal["none", "reduced", "full"]
"""Which form of a map is saved: none, the signed sum over channels, or all of them."""


@dataclass(frozen=True)
class CohortRequest:
    """What is made of each pair.

    ``methods``: with baselines; ``target``: as in :data:`xrano.target_words.TARGET_CHOICES`;
    ``maps``: see :data:`Kept`; ``scan``: sequence of the current scan whose own file maps are
    saved on, the network's first if empty; ``storage``: of the maps' values.
    """

    methods: tuple[str, ...]
    target: str = "predicted"
    maps: Kept = "full"
    scan: str = ""
    storage: Storage = "float32"
    settings: AttributionSettings = field(default_factory=AttributionSettings)

    def __post_init__(self) -> None:
        if self.maps == "none":
            raise ConfigError("a cohort is explained to save its maps; score it to keep none")

    def labels(self) -> list[str]:
        """The methods as they are named everywhere, each once."""
        return list(dict.fromkeys(MethodRequest.parse(name).label for name in self.methods))


@dataclass(frozen=True)
class ExplainedCohort:
    """How many units were made now, and how many were there."""

    pairs: int
    made: int
    found: int


def explain_cohort(
    run: Run,
    out: Path,
    request: CohortRequest,
    *,
    shard: Shard | None = None,
    progress: Progress = quiet,
) -> ExplainedCohort:
    """Save the maps of every pair that a trained fold tests.

    Args:
        run: a trained run.
        out: folder of maps and units; several processes may share it, each with its shard.
        request: methods, target and form.
        shard: the part of the pairs that this process explains; all if not given.
        progress: how to show progress.

    Raises:
        UnknownNameError: for an unknown method, target or layer.
        ManifestError: if the run has no held-out pair.
        ConfigError: if another process works on the same shard of the folder.
    """
    pairs = of_shard(held_out(run), shard)
    with alone_in(out, shard):
        remove_leftovers(out)
        write_description(out / "maps")
        explainers = _Explainers(run, request)
        made = found = 0
        loaded = (load_pair(run.store, record, run.layout) for record in pairs)
        # On a processor the thread that reads would take from those that compute.
        ahead = prefetched(loaded, ahead=request.settings.device == "cuda")
        for record, pair in zip(progress(pairs, "explaining"), ahead, strict=True):
            now, there = _explain_pair(run, record, pair, explainers, out, request)
            made, found = made + now, found + there
    return ExplainedCohort(len(pairs), made, found)


def held_out(run: Run) -> list[dict[str, Any]]:
    """The pairs that some trained fold tests, in the order of the table.

    Raises:
        ManifestError: if there is none.
    """
    records = run.tested_pairs().to_dict("records")
    if not records:
        raise ManifestError(f"{run.root} has no held-out pair: train a fold first")
    return [{str(name): value for name, value in record.items()} for record in records]


def disk_bytes(run: Run, request: CohortRequest, pairs: int) -> int:
    """What the maps take at most, before compression, on the store's grid."""
    channels = 1 if request.maps == "reduced" else len(run.layout)
    each, size = 0, 2 if request.storage == "int16" else 4
    for label in request.labels():
        coarse = MethodRequest.parse(label).spec.coarse
        each += size * math.prod(run.store.grid.shape) * (1 if coarse else channels)
    targets = len(run.task.classes) if request.target == "all" else 1
    return pairs * targets * each


class _Explainers:
    """Explainers by fold and methods, made when they are needed."""

    def __init__(self, run: Run, request: CohortRequest) -> None:
        self._run = run
        self._settings = request.settings
        self._known: dict[tuple[int, tuple[str, ...]], Explainer] = {}

    def of(self, pair: Mapping[str, Any], methods: Sequence[str]) -> Explainer:
        fold = self._run.fold_of(pair)
        key = (fold, tuple(methods))
        if key not in self._known:
            found = explainers_by_fold(self._run, [pair], methods, self._settings)
            self._known[key] = found[fold]
        return self._known[key]


def _explain_pair(
    run: Run,
    record: Mapping[str, Any],
    pair: PairVolumes,
    explainers: _Explainers,
    out: Path,
    request: CohortRequest,
) -> tuple[int, int]:
    """How many units of a pair were made, and how many were there."""
    labels = request.labels()
    key = _key_of(pair, explainers.of(record, labels), request)
    missing = [name for name in labels if not is_whole(out, pair.pair_id, name, key(name))]
    if missing:
        explanation = explainers.of(record, missing).explain(pair, request.target)
        place = scan_place(run, record, request.scan)
        files: dict[str, list[Path]] = {name: [] for name in missing}
        for attribution in explanation.maps:
            label = str(attribution.meta["method"])
            if attribution.meta.get("baseline"):
                label += f":{attribution.meta['baseline']}"
            files[label] += [
                file
                for path in _save(attribution, place, out / "maps", request)
                for file in (path, sidecar_path(path))
            ]
        for name in missing:
            write_unit(out, pair.pair_id, name, key(name), files[name])
    return len(missing), len(labels) - len(missing)


def _key_of(
    pair: PairVolumes, explainer: Explainer, request: CohortRequest
) -> Callable[[str], str]:
    shared = {
        "target": request.target,
        "maps": request.maps,
        "scan": request.scan,
        "storage": request.storage,
        "settings": explainer.settings,
        "weights_sha256": explainer.weights_sha256,
        "pair_sha256": pair.content_hash(),
        "clinical": explainer.clinical_vector(pair),
    }

    def key(method: str) -> str:
        text = json.dumps({**shared, "method": method}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    return key


def _save(
    attribution: AttributionMap, place: ScanPlace | None, folder: Path, request: CohortRequest
) -> list[Path]:
    """The files of one map; of a coarse one its cells beside it."""
    if request.maps == "reduced" and len(attribution.channels) > 1:
        attribution = AttributionMap(
            attribution.data.sum(axis=0, keepdims=True),
            attribution.grid,
            (MERGED_CHANNEL,),
            {**attribution.meta, "reduction": "sum"},
        )
    written = [save_on_scan(attribution, place, folder, request.storage)]
    if attribution.coarse and place is not None:
        written.append(folder / f"{attribution.stem}.nii.gz")
    return written
