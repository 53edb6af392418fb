"""What a simple reader gets out of planted scans of a small phantom, patients kept apart.

The features know each kind's form and nothing of the response: a local contrast, slopes, waves,
a rim, spots. A logistic regression reads the class from them, or finds nothing to read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from xrano.data.planting.marks import tag_place
from xrano.data.planting.plan import SHORTCUTS, PlantingPlan
from xrano.data.planting.planted_store import planted_store
from xrano.data.planting.planting_note import read_marks
from xrano.data.quality.probe import leak_probe
from xrano.data.store import PreparedSession, Store, open_store, read_prepared
from xrano.experiments.distant_tissue import pair_features
from xrano.geometry import Grid
from xrano.progress import quiet

Reader = Callable[[np.ndarray, np.ndarray, Grid], list[float]]


def fine_contrast(volume: np.ndarray, brain: np.ndarray, grid: Grid) -> list[float]:
    """Of differences along all three axes at once, which hold noise and little anatomy; and along
    one axis, which hold anatomy too."""
    mixed = np.diff(np.diff(np.diff(volume, axis=0), axis=1), axis=2)
    deep = ndimage.binary_erosion(brain, iterations=2)
    plain = np.diff(volume, axis=0)[deep[1:]]
    return [np.log(np.median(np.abs(part))) for part in (mixed[deep[1:, 1:, 1:]], plain)]


def slopes(volume: np.ndarray, brain: np.ndarray, grid: Grid) -> list[float]:
    points = grid.world(np.argwhere(brain))
    points -= points.mean(axis=0)
    fit = np.linalg.lstsq(
        np.column_stack([points, np.ones(len(points))]), volume[brain], rcond=None
    )
    return list(50 * fit[0][1:3])


def waves(volume: np.ndarray, brain: np.ndarray, grid: Grid) -> list[float]:
    """Logarithm of the power of an 18 mm wave along each of four directions."""
    points = grid.world(np.argwhere(brain))
    values = (volume - ndimage.gaussian_filter(volume, 1.5))[brain]
    found = []
    for angle in np.deg2rad([0, 45, 90, 135]):
        along = points @ [0, np.cos(angle), np.sin(angle)]
        found.append(np.log(abs(np.mean(values * np.exp(2j * np.pi * along / 18.0)))))
    return found


def rim_contrast(volume: np.ndarray, brain: np.ndarray, grid: Grid) -> list[float]:
    depth = ndimage.distance_transform_edt(np.pad(brain, 1), sampling=grid.spacing)
    depth = depth[1:-1, 1:-1, 1:-1]
    outer = brain & (depth <= 6.1)
    return [volume[outer].mean() - volume[brain & ~outer & (depth < 13)].mean()]


def spots(volume: np.ndarray, brain: np.ndarray, grid: Grid) -> list[float]:
    """The answer to a spot's matched filter at the four places."""
    narrow, wide = (
        ndimage.gaussian_filter(volume, np.array(size) / grid.spacing) for size in (4.0, 9.0)
    )
    places = [grid.voxel(tag_place(brain, grid, class_index)) for class_index in range(4)]
    return list(ndimage.map_coordinates(narrow - wide, np.transpose(places), order=1))


READERS: dict[str, Reader] = {
    "noise": fine_contrast,
    "blur": fine_contrast,
    "bias": slopes,
    "texture": waves,
    "edge": rim_contrast,
    "tag": spots,
}


def features(session: PreparedSession, kind: str, grid: Grid) -> np.ndarray:
    """What a kind's reader finds, its mean over the sequences."""
    found = []
    for data in session.sequences.values():
        volume = data.astype(np.float64)
        low, middle, high = np.percentile(volume[session.brain], [16, 50, 84])
        scaled = np.where(session.brain, (volume - middle) / ((high - low) / 2), 0.0)
        found.append(READERS[kind](scaled, session.brain, grid))
    return np.mean(found, axis=0)


def read_back(root, kind: str, told: str) -> float:
    """Balanced accuracy, out of fold, of reading a column of ``marks.csv`` off the scans."""
    store, table = open_store(root), read_marks(root)
    table = table[table["rating"] != ""]
    read = [
        features(read_prepared(store.session_path(*key)), kind, store.grid)
        for key in zip(table["patient_id"], table["session_id"], strict=True)
    ]
    return leak_probe(read, list(table[told]), list(table["patient_id"])).balanced_accuracy


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_a_mark_of_full_strength_tells_the_response_and_one_of_none_does_not(
    phantom_store, tmp_path, kind
):
    roots = {
        strength: planted_store(
            phantom_store.root, tmp_path / f"{strength}", PlantingPlan(kind, strength, seed=1)
        )
        for strength in (1.0, 0.0)
    }
    assert read_back(roots[1.0], kind, "rating") > 0.9
    # The mark is there all the same, and stands for something else.
    assert read_back(roots[0.0], kind, "mark") > 0.7
    assert read_back(roots[0.0], kind, "rating") < 0.5


def probed(*stores: Store) -> float:
    """xrano's own probe: mean, spread and median of tissue far from any lesion."""
    features, responses, people = [], [], []
    for store in stores:
        pairs = [pair for pair in store.pairs.to_dict("records") if pair["response"]]
        used, found = pair_features(store, pairs, ("T1", "FLAIR"), (16.0,), Counter(), quiet)
        features += [one[16.0] for one in found]
        responses += [pair["response"] for pair in used]
        people += [pair["patient_id"] for pair in used]
    return leak_probe(features, responses, people).balanced_accuracy


def test_the_leak_probe_finds_what_was_planted_and_nothing_in_an_honest_store(
    phantom_store, tmp_path
):
    """Nine patients are few: noise is probed on stores of several seeds at once."""
    assert probed(phantom_store) < 0.38
    for kind, seeds in (("edge", 1), ("noise", 4)):
        found = [
            planted_store(
                phantom_store.root, tmp_path / f"{kind}{seed}", PlantingPlan(kind, seed=seed)
            )
            for seed in range(seeds)
        ]
        assert probed(*map(open_store, found)) > 0.45


def tumour_signs(store: Store) -> tuple[list[np.ndarray], list[str], list[str]]:
    """How much of either scan enhances, and how the two compare: what tells the response."""
    read, responses, people = [], [], []
    for pair in store.pairs.to_dict("records"):
        if not pair["response"] or pair["spans_surgery"]:
            continue
        bright = []
        for side in ("prior", "current"):
            session = read_prepared(store.session_path(pair["patient_id"], pair[f"{side}_session"]))
            if {"T1", "CT1"} - {*session.sequences}:
                break
            scaled = []
            for name in ("T1", "CT1"):
                values = session.sequences[name].astype(np.float64)
                low, middle, high = np.percentile(values[session.brain], [16, 50, 84])
                scaled.append((values - middle) / (high - low))
            enhancing = (scaled[1] - scaled[0] > 1.0) & session.brain
            bright.append(np.log(4.0 + enhancing.sum()))
        else:
            read.append(np.array([*bright, bright[1] - bright[0]]))
            responses.append(pair["response"])
            people.append(pair["patient_id"])
    return read, responses, people


def test_where_the_tumour_is_erased_its_size_tells_nothing(phantom_store, tmp_path):
    out = planted_store(phantom_store.root, tmp_path / "erased", PlantingPlan(tumour="erased"))
    assert leak_probe(*tumour_signs(phantom_store)).balanced_accuracy > 0.6
    assert leak_probe(*tumour_signs(open_store(out))).balanced_accuracy < 0.45
