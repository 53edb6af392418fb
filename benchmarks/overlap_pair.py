"""One phantom pair at 1 mm and maps as three methods give them, for :mod:`benchmarks.overlap`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from benchmarks.overlap_cases import smooth_map
from xrano.channels import ChannelLayout
from xrano.data.phantom import PhantomSession, PhantomSettings, phantom_patient
from xrano.data.tissue_priors import tissue_priors
from xrano.geometry import Grid, bounding_box
from xrano.maps import AttributionMap
from xrano.scoring.accounting_table import accounting_rows, pair_parts
from xrano.scoring.null_table import placement_rows
from xrano.scoring.pair_masks import pair_masks
from xrano.scoring.rows import (
    all_lesions,
    default_rectification,
    primary_cell,
    score_seen,
    see_map,
)

CLASSES = ("CR", "PR", "SD", "PD")
METHODS = ("saliency", "ig", "gradcam")
SEED = 2001


@dataclass
class Seconds:
    """Time spent, by the clock and by the processor."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Add the time of what is done within."""
        start, busy = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - start
        self.cpu += time.process_time() - busy


@dataclass
class PairTimes:
    """Time of each step of scoring a pair, and how many rows came of it."""

    masks: Seconds = field(default_factory=Seconds)
    scores: Seconds = field(default_factory=Seconds)
    nulls: Seconds = field(default_factory=Seconds)
    parts: Seconds = field(default_factory=Seconds)
    n_masks: int = 0
    n_scores: int = 0
    n_nulls: int = 0

    @property
    def total(self) -> Seconds:
        """Of all steps."""
        return self.masks + self.scores + self.nulls + self.parts

    def describe(self) -> str:
        """In one line."""
        return (
            f"{self.n_masks} masks found in {self.masks.cpu:.1f} s, {self.n_scores} scores in "
            f"{self.scores.cpu:.1f} s, {self.n_nulls} nulls in {self.nulls.cpu:.1f} s, where "
            f"relevance goes {self.parts.cpu:.1f} s"
        )


@dataclass
class PhantomPair:
    """Two scans of one phantom patient without an operation between them, cropped to the brain."""

    number: int
    layout: ChannelLayout = field(
        default_factory=lambda: ChannelLayout(("T1", "CT1", "T2", "FLAIR"))
    )

    def __post_init__(self) -> None:
        prior, current = self._sessions()
        whole = prior.brain | current.brain
        start, shape = bounding_box(whole)
        window = tuple(slice(a, a + b) for a, b in zip(start, shape, strict=True))
        self.grid: Grid = current.grid.crop(start, shape)
        self.brain = whole[window]
        labels = (prior.labels[window], current.labels[window])
        self.segmentations = {"deepbratumia": (*labels, "lumiere-deepbratumia")}
        # Once a cohort, so not part of a pair's time.
        self.priors = tissue_priors(self.grid)

    def _sessions(self) -> tuple[PhantomSession, PhantomSession]:
        settings = PhantomSettings(spacing_mm=1.0, seed=SEED, visits=(2, 4))
        for prior, current in itertools.pairwise(phantom_patient(settings, self.number)):
            if not current.surgery and min(prior.labels.max(), current.labels.max()) > 0:
                return prior, current
        raise SystemExit(f"phantom patient {self.number} has no pair with tumour on both scans")

    def maps(self) -> Iterator[AttributionMap]:
        """One map at a time: all of them would take gigabytes."""
        for seed, (method, target) in enumerate(itertools.product(METHODS, CLASSES)):
            facts = {
                "pair_id": f"phantom-{self.number}",
                "patient_id": str(self.number),
                "response": "PD",
                "predicted": "PD",
                "target_name": target,
                "target_choice": "all",
                "method": method,
            }
            if method == "gradcam":
                cells = Grid((5, 6, 5), self.grid.affine @ np.diag([32.0, 32, 32, 1]))
                data = smooth_map(cells.shape, sigma=0.5, seed=seed)[None]
                known = {"layer": "features", "feature_grid": {"shape": list(cells.shape)}}
                yield AttributionMap(data, cells, ("all",), {**facts, **known})
                continue
            sigma = 1.0 if method == "saliency" else 0.5
            one = smooth_map(self.grid.shape, sigma=sigma, seed=seed)
            # Relevance of a network of masked scans: next to none outside the brain.
            one *= np.where(self.brain, 1.0, 0.01).astype(np.float32)
            weights = np.linspace(0.3, 1.0, len(self.layout), dtype=np.float32)
            data = one * weights[:, None, None, None]
            yield AttributionMap(data, self.grid, tuple(self.layout.names), facts)

    def score(self, nulls: str) -> PairTimes:
        """Score every map against everything; ``nulls``: of ``all`` regions or the ``primary``."""
        times = PairTimes()
        with times.masks.counted():
            masks = pair_masks(self.grid, self.brain, self.segmentations)
            times.n_masks = len(set(masks.same_as.values()))
        with times.parts.counted():
            parts = pair_parts(self.grid, self.brain, self.segmentations, self.priors)
        chosen = all_lesions if nulls == "all" else primary_cell
        for one in self.maps():
            with times.scores.counted():
                rectification = default_rectification(one)
                seen = see_map(one, masks, rectification=rectification, reduction="sum")
                times.n_scores += len(score_seen(seen, masks))
            with times.nulls.counted():
                times.n_nulls += len(placement_rows(seen, masks, chosen=chosen))
            with times.parts.counted():
                accounting_rows(seen, parts)
        return times
