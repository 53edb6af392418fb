"""Mean attribution map per response class, from maps that were saved.

Every map is rectified as in scoring, carried to the store's grid and divided by its mean in the
brain of its pair, so that each pair weighs the same whatever the magnitude of its gradients; 1 is
what a uniform map has everywhere. Means are taken within each patient, then over patients. One
pair's maps are in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from xrano.data.common_world import in_one_world
from xrano.data.label_schemes import has_region, region_mask
from xrano.data.store import PreparedSession, read_prepared
from xrano.errors import ConfigError, ManifestError, VolumeError
from xrano.experiments.atlas_background import in_units_of_brain, template_on, template_wanted
from xrano.experiments.atlas_maps import OTHER_TARGET, ChosenMaps, choose_maps, why_left_out
from xrano.experiments.patient_means import PatientMeans
from xrano.experiments.told_region import told_region
from xrano.map_files import load_map
from xrano.maps import in_common_world
from xrano.progress import Progress, quiet
from xrano.rano import RESPONSES
from xrano.scoring.rows import default_rectification, relevance_on
from xrano.training.run import Run
from xrano.types import Mask, Volume
from xrano.viz.class_atlas import AtlasMap, AtlasTumour, ClassAtlas


def class_atlas(
    run: Run,
    maps: Path | Sequence[Path],
    *,
    methods: Sequence[str] | None = None,
    target: str = "predicted",
    background: str = "auto",
    progress: Progress = quiet,
) -> ClassAtlas:
    """Average the saved maps of a run's pairs by response class.

    Maps may be of all channels, or reduced, or class activation maps on their own cells. As in the
    primary analysis unrated pairs and pairs that span an operation are left out; what else is left
    out is counted in the notes.

    Args:
        run: the run whose store holds the pairs.
        maps: a folder of maps, or several.
        methods: methods as in tables of scores (``ig:prior``), or without baseline (``ig``); all
            that have maps if not given.
        target: ``predicted`` takes the maps of the class that the network chose, ``response``
            those of the true class.
        background: ``scans``: the mean of the pairs' current scans; ``template``: the MNI152 brain
            that nilearn ships; ``auto``: the template where the store was brought to it.
        progress: how to show progress.

    Returns:
        The atlas: CR, PR, SD and PD, each with the means of its pairs.

    Raises:
        ManifestError: if there is no map to average, or two are of one pair and method.
        UnknownNameError: for an unknown target, background, or method without maps.
        ConfigError: if the patients share no world, or the template is asked for and the store
            does not lie in its space.
        CheckpointError: if a session of the store cannot be read.
    """
    if not in_one_world(run.store):
        raise ConfigError(
            f"maps of several patients cannot be averaged: {run.store.root} was registered without "
            "a template, so that a place means another one in each patient; prepare it with a "
            "template, or look at one patient at a time (xrano explain)"
        )
    template = template_wanted(background, run.store)
    chosen = choose_maps(run, maps, methods, target)
    sums = _Sums(run, chosen, target)
    steps = progress(list(chosen.pairs), "averaging maps")
    for _patient, own in groupby(steps, key=lambda row: row["patient_id"]):
        for _response, pairs in groupby(own, key=lambda row: row["response"]):
            for pair in pairs:
                sums.add(pair)
            sums.close_class()
        sums.close_patient()
    return sums.atlas(template=template)


class _Sums:
    """Everything of an atlas while pairs pass by."""

    def __init__(self, run: Run, chosen: ChosenMaps, target: str) -> None:
        self._run, self._chosen = run, chosen
        names = run.layout.sequences
        self._sequence = "CT1" if "CT1" in names else names[0]
        self._source, self._region = told_region(run.store)
        self._by_class: dict[tuple[Hashable, ...], PatientMeans] = {}
        self._scan, self._brain = PatientMeans(), PatientMeans()
        self._target = target
        self._left_out = Counter(chosen.left_out)
        self._reduced = False

    def add(self, pair: Mapping[str, Any]) -> None:
        store = self._run.store
        prior, current = (
            read_prepared(store.session_path(pair["patient_id"], pair[session]), sequences)
            for session, sequences in (
                ("prior_session", ()),
                ("current_session", (self._sequence,)),
            )
        )
        brain = prior.brain | current.brain
        if not brain.any():
            self._left_out["of pairs without a brain mask"] += 1
            return
        self._brain.add(brain)
        self._scan.add(in_units_of_brain(current.sequences[self._sequence], current.brain))
        tumour = self._tumour(prior, current)
        if tumour is not None:
            self._of("tumour", pair["response"]).add(tumour & brain)
        for method, path in self._chosen.files[str(pair["pair_id"])].items():
            volume = self._times_uniform(path, brain)
            if volume is not None:
                self._of("map", method, pair["response"]).add(volume)

    def close_class(self) -> None:
        for means in self._by_class.values():
            means.close_patient()

    def close_patient(self) -> None:
        self._scan.close_patient()
        self._brain.close_patient()

    def atlas(self, *, template: bool) -> ClassAtlas:
        grid, classes = self._run.store.grid, tuple(str(name) for name in RESPONSES)
        found = {
            key[1:]: AtlasMap(means.mean, means.n_pairs, means.n_patients)
            for key, means in self._by_class.items()
            if key[0] == "map"
        }
        if not found:
            raise ManifestError(f"no map can be averaged: {why_left_out(self._left_out)}")
        name = f"mean {self._sequence} of the current scans of {self._scan.n_pairs} pairs"
        return ClassAtlas(
            grid=grid,
            brain=self._brain.mean >= 0.5,
            background=template_on(grid) if template else self._scan.mean,
            background_name="MNI152 template" if template else name,
            classes=classes,
            methods=self._chosen.methods,
            maps={(str(method), str(response)): one for (method, response), one in found.items()},
            tumours={
                str(key[1]): AtlasTumour(means.mean, means.n_pairs, means.n_patients)
                for key, means in self._by_class.items()
                if key[0] == "tumour"
            },
            region=self._region,
            notes=self._notes(),
        )

    def _of(self, *key: Hashable) -> PatientMeans:
        return self._by_class.setdefault(key, PatientMeans())

    def _tumour(self, prior: PreparedSession, current: PreparedSession) -> Mask | None:
        """The region of prior ∪ current; ``None`` where a scan lacks it."""
        masks = []
        for session in (prior, current):
            labels, scheme = session.segmentations.get(self._source, (None, ""))
            if labels is None or not has_region(scheme, self._region):
                return None
            masks.append(region_mask(labels, scheme, self._region))
        return np.asarray(masks[0] | masks[1])

    def _times_uniform(self, path: Path, brain: Mask) -> Volume | None:
        """A map over its mean in the brain, zero outside; ``None`` if it is left out."""
        grid = self._run.store.grid
        try:
            found = in_common_world(load_map(path))
        except VolumeError:
            self._left_out["that cannot be read or hold NaN or infinite values"] += 1
            return None
        if not found.is_placed_on(grid):
            self._left_out["on another grid, without a word how they came there"] += 1
            return None
        volume = relevance_on(found, grid, default_rectification(found), "sum")
        mean = float(volume[brain].mean(dtype=np.float64))
        if not mean > 0:
            self._left_out["without relevance in the brain"] += 1
            return None
        self._reduced |= not found.coarse and len(found.channels) < len(self._run.layout)
        return np.where(brain, volume / np.float32(mean), np.float32(0))

    def _notes(self) -> tuple[str, ...]:
        chose = "that the network chose" if self._target == "predicted" else "of the response"
        notes = [f"Maps explain the class {chose}."]
        left_out = {name: n for name, n in self._left_out.items() if name != OTHER_TARGET}
        if left_out:
            notes.append(f"Left out: {why_left_out(left_out)}.")
        if self._reduced:
            notes.append(
                "Some voxel-wise maps were saved summed over channels: their magnitude is taken "
                "after the sum, in scores before it."
            )
        if self._run.leak_note:
            notes.append(f"Mind that {self._run.leak_note}.")
        return tuple(notes)
