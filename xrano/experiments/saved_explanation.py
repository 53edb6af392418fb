"""An explanation of a pair, put together from maps that were saved."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from xrano.data.pair_volumes import load_pair
from xrano.errors import ManifestError
from xrano.evaluation.calibration import probabilities
from xrano.explain import Explanation
from xrano.map_files import load_map
from xrano.maps import in_common_world
from xrano.training.run import Run


def saved_explanation(run: Run, pair_id: str, paths: Iterable[Path]) -> Explanation:
    """What the network said of a pair and where it looked, without running it again.

    Args:
        run: the run whose store holds the pair.
        pair_id: the pair.
        paths: its maps; what the network said is taken from the first one's sidecar.

    Raises:
        ManifestError: if there is no map, or its sidecar does not say what the network said.
        VolumeError: if a map is broken.
        UnknownNameError: if the store has no such pair.
    """
    files = list(paths)
    maps = tuple(in_common_world(load_map(path)) for path in files)
    if not maps:
        raise ManifestError(f"{pair_id} has no map")
    logits = maps[0].meta.get("logits") or {}
    if not set(run.task.classes) <= set(logits):
        raise ManifestError(f"the sidecar of {files[0]} lacks logits of {run.task.classes}")
    values = np.array([float(logits[name]) for name in run.task.classes])
    return Explanation(
        pair=load_pair(run.store, run.pair(pair_id), run.layout),
        logits=dict(zip(run.task.classes, values.tolist(), strict=True)),
        probabilities=dict(zip(run.task.classes, probabilities(values).tolist(), strict=True)),
        predicted=run.task.classes[int(values.argmax())],
        maps=maps,
    )
