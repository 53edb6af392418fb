"""How long does scoring take, and does it say what others and brute force say?

    python -m benchmarks.overlap [--repeats 9] [--pairs 1] [--nulls all] [--profile]

1. Relevance mass, relevance rank and pointing of one 128³ map, together. Needed: at most 50 ms, and
   the numbers of Quantus to 1e-6 where Quantus is right: a non-negative map without ties, a mask
   that is not empty. Quantus takes no volumes, so it sees the same voxels as an image. Where it is
   not installed its three definitions stand in, written here from its documentation.
2. The placement null of one map at 1 mm (182×218×182, the brain of MNI152). Needed: at most 2 s,
   and every score of every translation that of moving the mask by hand to 1e-5, on a small volume.
3. Everything that is scored of one pair at 1 mm for 4 classes × 3 methods: all metrics, regions,
   single lesions, what each mask scores on the cells of a coarse map, the placement null of every
   region, where the relevance goes. Needed: under 60 s on 2 cores. One phantom patient, cropped to
   the brain as a store is; maps as three methods give them (8 channels, 8 channels, the cells of a
   deep layer), made beforehand and not timed.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from benchmarks.overlap_cases import SmallCase, lesion_at, moved_by_hand, smooth_map
from benchmarks.overlap_pair import CLASSES, METHODS, PhantomPair
from xrano.data.phantom.anatomy import atlas_grid
from xrano.data.tissue_priors import tissue_priors
from xrano.metrics.nulls import NullResult
from xrano.metrics.overlap import score_overlap
from xrano.metrics.placement import PlacedMap, placement_null
from xrano.metrics.ranked import rank_map
from xrano.metrics.translations import BrainBox, Placements
from xrano.types import Mask, Volume

THREE = ("relevance_mass_accuracy", "relevance_rank_accuracy", "pointing_game")
NEEDED_MS, NEEDED_NULL_S, NEEDED_PAIR_S = 50.0, 2.0, 60.0
SAME_AS_QUANTUS, SAME_AS_BRUTE_FORCE = 1e-6, 1e-5
COHORT = 360
"""Pairs of LUMIERE, about."""


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=1, help="pairs of the third measurement")
    parser.add_argument(
        "--nulls", choices=("all", "primary"), nargs="+", default=["primary", "all"]
    )
    parser.add_argument("--profile", action="store_true", help="where the time of a pair goes")
    arguments = parser.parse_args()
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {version('scipy')}, "
        f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"
    )
    three_metrics(arguments.repeats)
    one_null(max(3, arguments.repeats // 3))
    null_by_hand()
    for nulls in arguments.nulls:
        one_pair(arguments.pairs, nulls, profiled=arguments.profile)


def three_metrics(repeats: int) -> None:
    """Mass, rank and pointing of one 128³ map beside Quantus."""
    shape = (128, 128, 128)
    attribution = smooth_map(shape, sigma=2.0, seed=0)
    mask = lesion_at((70, 60, 50), (14, 11, 17), shape)
    everywhere = np.ones(shape, dtype=bool)

    def ours() -> dict[str, float]:
        found = score_overlap(attribution, mask, domain=everywhere, metrics=THREE)
        return {name: score.value for name, score in found.items()}

    wall, cpu = median_seconds(ours, repeats)
    peer, theirs = quantus_scores() if find_spec("quantus") else ("Quantus' definitions", defined)
    expected = theirs(attribution, mask)
    _, peer_cpu = median_seconds(lambda: theirs(attribution, mask), 1)
    apart = max(abs(ours()[name] - expected[name]) for name in THREE)
    print(
        f"mass, rank and pointing of a 128³ map: {1000 * cpu:.0f} ms ({1000 * wall:.0f} by the "
        f"clock) {verdict(1000 * cpu <= NEEDED_MS)} (needed: ≤ {NEEDED_MS:.0f} ms); {peer}: "
        f"{1000 * peer_cpu:.0f} ms, apart by {apart:.1e} "
        f"{verdict(apart <= SAME_AS_QUANTUS)} (needed: ≤ {SAME_AS_QUANTUS:g})",
        flush=True,
    )


def defined(attribution: Volume, mask: Mask) -> dict[str, float]:
    """The three scores as Quantus 0.6.0 defines them, one voxel list at a time.

    Mass: Σ a·s / Σ a. Rank: of the |s| voxels that ``argsort`` puts last, the share in s. Pointing:
    whether any voxel at the maximum lies in s.
    """
    a, s = attribution.ravel().astype(np.float64), mask.ravel()
    inside = np.flatnonzero(s)
    strongest = np.argsort(a)[-inside.size :]
    return {
        "relevance_mass_accuracy": float((a * s).sum() / a.sum()),
        "relevance_rank_accuracy": np.intersect1d(inside, strongest).size / inside.size,
        "pointing_game": float(s[np.flatnonzero(a == a.max())].any()),
    }


def quantus_scores() -> tuple[str, Callable[[Volume, Mask], dict[str, float]]]:
    """Quantus' name and version, and its scores of a volume laid out as an image."""
    import quantus  # type: ignore[import-not-found]

    classes = {
        "relevance_mass_accuracy": quantus.RelevanceMassAccuracy,
        "relevance_rank_accuracy": quantus.RelevanceRankAccuracy,
        "pointing_game": quantus.PointingGame,
    }

    def scores(attribution: Volume, mask: Mask) -> dict[str, float]:
        image = (1, 1, attribution.shape[0], -1)
        a, s = attribution.reshape(image), mask.reshape(image)
        found = {}
        for name, one in classes.items():
            metric = one(abs=False, normalise=False, disable_warnings=True)
            value = metric(model=None, x_batch=a, y_batch=np.zeros(1), a_batch=a, s_batch=s)
            found[name] = float(np.ravel(value)[0])
        return found

    return f"Quantus {version('quantus')}", scores


def one_null(repeats: int) -> None:
    """The placement null of one map at 1 mm, with nothing known of brain, mask or map."""
    grid = atlas_grid(1.0)
    brain = tissue_priors(grid).brain
    attribution = smooth_map(grid.shape, sigma=3.0, seed=1)
    centre = tuple(np.rint(grid.voxel((26, -20, 34))).astype(int).tolist())
    mask = lesion_at(centre, (15, 19, 16), grid.shape) & brain
    ranked = rank_map(attribution, brain)
    boxes: list[BrainBox] = []
    places: list[Placements] = []
    found: list[dict[str, NullResult]] = []

    def find_brain() -> None:
        boxes.append(BrainBox(brain))
        _ = boxes[-1].outside_spectrum

    def find_placements() -> None:
        places.append(Placements(mask, boxes[-1], grid))

    def find_null() -> None:
        found.append(placement_null(PlacedMap(ranked, boxes[-1]), places[-1]))

    steps = [median_seconds(step, repeats) for step in (find_brain, find_placements, find_null)]
    wall, cpu = (sum(seconds) for seconds in zip(*steps, strict=True))
    print(
        f"placement null at 1 mm, {len(found[-1])} scores, {places[-1].n_valid} translations of "
        f"{places[-1].m} voxels: {cpu:.2f} s ({wall:.2f} by the clock) "
        f"{verdict(cpu <= NEEDED_NULL_S)} (needed: ≤ {NEEDED_NULL_S:g} s), of which "
        f"{steps[0][1]:.2f} s once a brain, {steps[1][1]:.2f} s once a mask",
        flush=True,
    )


def null_by_hand() -> None:
    """Every score of every translation on a small volume, against moving the mask."""
    case = SmallCase(seed=2)
    placed = PlacedMap(rank_map(case.attribution, case.brain), BrainBox(case.brain))
    placements = Placements(case.mask, placed.brain, case.grid)
    scores = placed.scores(placements)
    apart = max(
        abs(scores[name][row] - expected)
        for row, by_hand in enumerate(moved_by_hand(case, placements.translations, tuple(scores)))
        for name, expected in by_hand.items()
    )
    size = "×".join(str(length) for length in case.brain.shape)
    print(
        f"  against {placements.n_valid} moves by hand on {size} voxels: apart by {apart:.1e} "
        f"{verdict(apart <= SAME_AS_BRUTE_FORCE)} (needed: ≤ {SAME_AS_BRUTE_FORCE:g})",
        flush=True,
    )


def one_pair(pairs: int, nulls: str, *, profiled: bool) -> None:
    """All scores of all maps of a pair; a LUMIERE of such pairs extrapolated."""
    wall, cpu = [], []
    for number in range(1, pairs + 1):
        case = PhantomPair(number)
        profile = cProfile.Profile()
        if profiled:
            profile.enable()
        found = case.score(nulls)
        profile.disable()
        wall.append(found.total.wall)
        cpu.append(found.total.cpu)
        print(f"  {found.describe()}", flush=True)
        if profiled:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    one = statistics.median(cpu)
    size = "×".join(str(length) for length in case.grid.shape)
    hours = COHORT * one / 3600
    print(
        f"one pair at 1 mm ({size}), {len(CLASSES)} classes × {len(METHODS)} methods, placement "
        f"null of {nulls} regions: {one:.0f} s ({statistics.median(wall):.0f} by the clock) in one "
        f"process, {one / 2:.0f} s a pair in two {verdict(one / 2 < NEEDED_PAIR_S)} (needed: < "
        f"{NEEDED_PAIR_S:.0f} s on 2 cores); {COHORT} pairs: {hours:.1f} h, {hours / 2:.1f} h in "
        "two processes (--shard)",
        flush=True,
    )


def median_seconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The median time of some turns by the clock and by the processor."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        work()
        cpu.append(time.process_time() - busy)
        wall.append(time.perf_counter() - start)
    return statistics.median(wall), statistics.median(cpu)


def verdict(held: bool) -> str:
    """In words."""
    return "ok" if held else "MISSED"


if __name__ == "__main__":
    main()
