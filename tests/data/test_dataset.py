from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.utils.data import DataLoader

from xrano.channels import ChannelLayout
from xrano.data.augmentation import Augmentation, AugmentationConfig
from xrano.data.dataset import PairDataset
from xrano.data.pair_volumes import load_pair
from xrano.data.preparation.prepare import prepare_cohort
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.store import Store, open_store, read_prepared
from xrano.errors import CheckpointError, UnknownNameError
from xrano.tasks import TASKS

LAYOUT = ChannelLayout(("FLAIR", "CT1", "T1"))
NONE = AugmentationConfig(flip=0.0, scale=0.0, noise=0.0, affine=0.0, shift=0)


@pytest.fixture(scope="module")
def pairs(phantom_store: Store):
    """Pairs of which both scans have all sequences."""
    sessions = phantom_store.sessions.set_index(["patient_id", "session_id"])

    def whole(pair) -> bool:
        keys = [(pair["patient_id"], pair[f"{side}_session"]) for side in ("prior", "current")]
        return all(sessions.loc[key][name] for key in keys for name in LAYOUT.sequences)

    table = phantom_store.pairs
    return table[[whole(row) for row in table.to_dict("records")]].reset_index(drop=True)


@pytest.fixture(scope="module")
def records(pairs):
    return pairs.to_dict("records")


# --- channels and normalisation


def test_channels_are_prior_then_current_in_the_layout_s_order(phantom_store, records):
    for record in records[:3]:
        pair = load_pair(phantom_store, record, LAYOUT)
        assert pair.inputs.dtype == np.float32
        assert pair.inputs.shape == (6, *phantom_store.grid.shape)
        packed = phantom_store.statistics["pairs"][record["pair_id"]]
        channel = 0
        for side in ("prior", "current"):
            path = phantom_store.session_path(record["patient_id"], record[f"{side}_session"])
            session = read_prepared(path)
            for name in ("FLAIR", "CT1", "T1"):
                mean, sd = packed[side][name]
                expected = (session.sequences[name].astype(np.float64) - mean) / sd
                np.testing.assert_allclose(
                    pair.inputs[channel][session.brain], expected[session.brain], atol=2e-6
                )
                assert not pair.inputs[channel][~session.brain].any()
                np.testing.assert_array_equal(pair.volume(side, name), pair.inputs[channel])
                channel += 1


def test_tissue_far_from_any_lesion_has_mean_zero_and_spread_one(phantom_store, records):
    """The region is found again from the files by a brute-force distance."""
    checked = 0
    for record in records:
        pair = load_pair(phantom_store, record, LAYOUT)
        sides = [
            read_prepared(phantom_store.session_path(record["patient_id"], record[name]))
            for name in ("prior_session", "current_session")
        ]
        lesion = np.any([s.segmentations["deepbratumia"][0] > 0 for s in sides], axis=0)
        common = sides[0].brain & sides[1].brain
        if lesion.any():
            distance = ndimage.distance_transform_edt(~lesion, sampling=phantom_store.grid.spacing)
            healthy = common & (distance > 10.0)
        else:
            healthy = common
        packed = phantom_store.statistics["pairs"][record["pair_id"]]
        assert packed["region"] == "healthy tissue common to both scans"
        assert packed["voxels"] == healthy.sum() >= 500
        for channel in pair.inputs:
            values = channel[healthy].astype(np.float64)
            assert values.mean() == pytest.approx(0.0, abs=1e-5)
            assert values.std() == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_array_equal(pair.brain, sides[0].brain | sides[1].brain)
        checked += 1
    assert checked >= 15


def test_segmentations_are_those_of_both_scans(phantom_store, records):
    pair = load_pair(phantom_store, records[0], LAYOUT)
    prior, current, scheme = pair.segmentations["deepbratumia"]
    assert scheme == "lumiere-deepbratumia"
    for labels, name in ((prior, "prior_session"), (current, "current_session")):
        path = phantom_store.session_path(records[0]["patient_id"], records[0][name])
        stored = read_prepared(path).segmentations["deepbratumia"][0]
        np.testing.assert_array_equal(labels, stored)


def test_another_normalisation_shifts_and_scales_only(phantom_index, phantom_store, tmp_path):
    """What a store with another normalisation holds differs by statistics alone."""
    store = phantom_store
    patient = store.pairs["patient_id"].iloc[0]
    part = store.pairs[store.pairs["patient_id"] == patient].reset_index(drop=True)
    from xrano.data.tables import read_segmentations, read_sessions

    prepare_cohort(
        read_sessions(phantom_index / "sessions.csv"),
        read_segmentations(phantom_index / "segmentations.csv"),
        part,
        tmp_path / "store",
        PrepareSettings(normalisation="brain"),
    )
    other = open_store(tmp_path / "store")
    record = part.to_dict("records")[0]
    layout = ChannelLayout(("CT1",))
    pair = load_pair(other, record, layout)
    for side, channel in zip(("prior", "current"), pair.inputs, strict=True):
        session = read_prepared(other.session_path(patient, record[f"{side}_session"]))
        assert channel[session.brain].mean() == pytest.approx(0.0, abs=1e-5)
        assert channel[session.brain].std() == pytest.approx(1.0, abs=1e-5)


def test_a_pair_that_cannot_be_loaded_says_why(phantom_store, records, tmp_path: Path):
    record = records[0]
    with pytest.raises(UnknownNameError, match="unknown pair 'elsewhere'"):
        load_pair(phantom_store, {**record, "pair_id": "elsewhere"}, LAYOUT)
    with pytest.raises(UnknownNameError, match="'ADC'"):
        load_pair(phantom_store, record, ChannelLayout(("ADC",)))
    with pytest.raises(CheckpointError, match="week-999"):
        load_pair(phantom_store, {**record, "current_session": "week-999"}, LAYOUT)


# --- the dataset


def test_items_are_inputs_class_and_row(phantom_store, pairs, records):
    data = PairDataset(phantom_store, pairs, LAYOUT)
    assert len(data) == len(pairs)
    order = ("CR", "PR", "SD", "PD")
    for row in (0, 3, len(pairs) - 1):
        inputs, index, number = data[row]
        assert number == row
        assert order[index] == records[row]["response"]
        expected = load_pair(phantom_store, records[row], LAYOUT).inputs
        np.testing.assert_array_equal(inputs.numpy(), expected)
    two = PairDataset(phantom_store, pairs, LAYOUT, task=TASKS["progression"])
    assert [two[row][1] for row in range(len(two))] == [
        int(record["response"] == "PD") if record["response"] else -1 for record in records
    ]


def test_rows_count_from_zero_whatever_the_table_s_index(phantom_store, pairs):
    part = pairs.iloc[[5, 2]]
    data = PairDataset(phantom_store, part, LAYOUT)
    assert data.volumes(0).pair_id == pairs["pair_id"][5]
    assert data.volumes(1).pair_id == pairs["pair_id"][2]


def test_random_changes_follow_from_seed_epoch_and_row(phantom_store, pairs):
    def item(seed: int, epoch: int, row: int) -> torch.Tensor:
        random = Augmentation(AugmentationConfig(affine=1.0))
        data = PairDataset(phantom_store, pairs, LAYOUT, augmentation=random, seed=seed)
        data.set_epoch(epoch)
        data[(row + 1) % len(data)]  # what was read before must not matter
        return data[row][0]

    first = item(1, 4, 2)
    assert torch.equal(item(1, 4, 2), first)
    for other in (item(2, 4, 2), item(1, 5, 2), item(1, 4, 3)):
        assert not torch.equal(other, first)


def test_random_changes_leave_the_global_state_alone(phantom_store, pairs):
    data = PairDataset(
        phantom_store, pairs, LAYOUT, augmentation=Augmentation(AugmentationConfig())
    )
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the state that others may rely on
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    data[0]
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_pairs_kept_in_memory_are_the_same_pairs(phantom_store, pairs, monkeypatch):
    """As many as fit are read once; what is done to an item does not reach the kept pair."""
    from xrano.data import dataset as module

    read = []

    def spy(store, record, layout):
        read.append(record["pair_id"])
        return load_pair(store, record, layout)

    monkeypatch.setattr(module, "load_pair", spy)
    size = 4e-9 * len(LAYOUT) * np.prod(phantom_store.grid.shape)
    for augmentation in (None, Augmentation(NONE)):
        read.clear()
        plain = PairDataset(phantom_store, pairs.head(3), LAYOUT)
        kept = PairDataset(
            phantom_store, pairs.head(3), LAYOUT, augmentation=augmentation, cache_gb=2.5 * size
        )
        for _ in range(2):
            for row in range(3):
                inputs = kept[row][0]
                assert torch.equal(inputs, plain[row][0])
                inputs.zero_()
        first, second, third = pairs["pair_id"].head(3)
        assert [read.count(name) for name in (first, second, third)] == [3, 3, 4]


def test_several_processes_read_the_same_epoch(phantom_store, pairs):
    data = PairDataset(
        phantom_store,
        pairs.head(4),
        LAYOUT,
        augmentation=Augmentation(AugmentationConfig()),
        seed=9,
    )
    data.set_epoch(7)
    here = [data[row][0] for row in range(4)]
    loader = DataLoader(data, batch_size=2, num_workers=2)
    there = torch.cat([inputs for inputs, _, _ in loader])
    assert torch.equal(torch.stack(here), there)


# --- the random changes themselves


@pytest.fixture(scope="module")
def volumes():
    """Two scans of two sequences in a brain that touches no face; no voxel inside is zero."""
    rng = np.random.default_rng(2)
    values = np.zeros((4, 14, 11, 9), np.float32)
    values[:, 3:11, 2:9, 2:7] = rng.uniform(0.5, 2.0, (4, 8, 7, 5))
    values[2:] = values[:2] + np.float32(3.0) * (values[2:] > 0)
    return values


def change(volumes: np.ndarray, seed: int, **settings: float) -> np.ndarray:
    config = AugmentationConfig(**{**NONE.__dict__, **settings})
    return Augmentation(config)(volumes, seed).numpy()


def test_nothing_asked_for_changes_nothing(volumes):
    for seed in range(5):
        np.testing.assert_array_equal(change(volumes, seed), volumes)


def test_flips_are_left_right_only_and_of_both_scans(volumes):
    mirrored = volumes[:, ::-1]
    seen = {"kept": 0, "flipped": 0}
    for seed in range(40):
        found = change(volumes, seed, flip=0.5)
        flipped = np.array_equal(found, mirrored)
        assert flipped or np.array_equal(found, volumes)
        seen["flipped" if flipped else "kept"] += 1
    assert min(seen.values()) >= 8


def test_the_input_itself_is_not_changed_and_the_result_is_a_copy(volumes):
    before = volumes.copy()
    change(volumes, 1, flip=1.0, scale=0.3, noise=0.2, affine=1.0, shift=2)
    np.testing.assert_array_equal(volumes, before)
    for seed in range(4):
        for config in (NONE, AugmentationConfig(), AugmentationConfig(noise=0.0, flip=0.1)):
            Augmentation(config)(before, seed).zero_()
    np.testing.assert_array_equal(volumes, before)


def test_shifts_are_by_whole_voxels_and_of_both_scans(volumes):
    """Found again by trying every shift; what leaves the field is lost, zeros come in."""
    padded = np.pad(volumes, [(0, 0), (2, 2), (2, 2), (2, 2)])
    i, j, k = volumes.shape[1:]
    seen = set()
    for seed in range(40):
        found = change(volumes, seed, shift=2)
        assert found.shape == volumes.shape
        fits = [
            (a, b, c)
            for a, b, c in np.ndindex(5, 5, 5)
            if np.array_equal(padded[:, a : a + i, b : b + j, c : c + k], found)
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    for axis in range(3):
        assert {shift[axis] for shift in seen} == {0, 1, 2, 3, 4}


def test_prior_and_current_move_alike(volumes):
    """current = prior + 3 inside the brain, so it stays so after any rotation or zoom."""
    moved = 0
    for seed in range(6):
        found = change(volumes, seed, affine=1.0, flip=0.5)
        inside = np.asarray(ndimage.binary_erosion(found[2] > 3.4, iterations=1))
        np.testing.assert_allclose((found[2:] - found[:2])[:, inside], 3.0, atol=1e-4)
        moved += not np.array_equal(found, volumes)
    assert moved == 6


def test_background_stays_exactly_zero(volumes):
    outside = np.all(volumes == 0, axis=0)
    disturbed = 0
    for seed in range(6):
        found = change(volumes, seed, noise=0.5, scale=0.2)
        assert not found[:, outside].any()
        # The seed decides the movement, with or without noise; none falls where nothing went.
        moved = change(volumes, seed, affine=1.0)
        noisy = change(volumes, seed, affine=1.0, noise=0.5)
        assert (moved == 0).sum() > 1000
        np.testing.assert_array_equal(noisy[moved == 0], 0.0)
        disturbed += (noisy != moved)[moved != 0].mean() > 0.9
    assert disturbed >= 4


def test_scaling_is_one_factor_for_both_scans_within_its_limit(volumes):
    inside = volumes != 0
    factors = []
    for seed in range(30):
        ratio = change(volumes, seed, scale=0.2)[inside] / volumes[inside]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        factors.append(float(ratio[0]))
    assert 0.8 <= min(factors) < 0.9
    assert 1.1 < max(factors) <= 1.2


def test_noise_has_at_most_its_spread_and_is_new_in_every_channel(volumes):
    inside = np.all(volumes != 0, axis=0)
    spread = []
    for seed in range(30):
        noise = (change(volumes, seed, noise=0.3) - volumes)[:, inside]
        spread.append(noise.std())
        if noise.any():
            assert abs(np.corrcoef(noise[0], noise[2])[0, 1]) < 0.3
    assert max(spread) <= 0.35
    assert np.median(spread) > 0.03
