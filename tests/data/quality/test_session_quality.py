from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_store import GRID, SEQUENCES, session, write_small_store

from xrano.data.mutual_information import mutual_information
from xrano.data.quality.quality_flags import EMPTY_BRAIN, UNREADABLE, cohort_flags, flag_sessions
from xrano.data.quality.session_quality import ceiling_share, describe_grid, session_quality
from xrano.data.store import Store, write_prepared
from xrano.geometry import Grid


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_small_store(tmp_path_factory.mktemp("quality") / "store")


@pytest.fixture(scope="module")
def table(store: Store) -> pd.DataFrame:
    return session_quality(store)


def row_of(table: pd.DataFrame, patient: str, week: str) -> pd.Series:
    found = table[(table["patient_id"] == patient) & (table["session_id"] == week)]
    return found.iloc[0]


def test_every_session_has_a_row_and_a_healthy_cohort_no_flag(table: pd.DataFrame):
    assert len(table) == 12
    assert table["flags"].tolist() == [""] * 12
    assert table["sequences"].tolist() == ["T1 FLAIR"] * 12
    assert table["missing"].tolist() == [""] * 12


def test_brain_and_tumour_volumes_are_those_of_brute_force(table: pd.DataFrame):
    row, made = row_of(table, "P02", "week-012"), session(2, 1)
    voxel_ml = 5 * 4 * 6 / 1000
    assert row["brain_ml"] == pytest.approx(made.brain.sum() * voxel_ml, rel=1e-9)
    labels = made.segmentations["deepbratumia"][0]
    assert row["tumour_ml_deepbratumia"] == pytest.approx((labels > 0).sum() * voxel_ml)


def test_dice_is_with_the_session_before_and_with_the_first(table: pd.DataFrame):
    brains = [session(1, number).brain for number in range(3)]

    def brute(one: np.ndarray, other: np.ndarray) -> float:
        hits = sum(a and b for a, b in zip(one.ravel(), other.ravel(), strict=True))
        return 2 * hits / (one.sum() + other.sum())

    first, second, third = (row_of(table, "P01", f"week-{week:03d}") for week in (0, 12, 30))
    assert math.isnan(first["dice_previous"])
    assert math.isnan(first["dice_first"])
    assert second["dice_previous"] == second["dice_first"] == brute(brains[0], brains[1])
    assert third["dice_previous"] == brute(brains[1], brains[2])
    assert third["dice_first"] == brute(brains[0], brains[2])


def test_information_is_that_of_the_common_brain(table: pd.DataFrame):
    before, now = session(3, 1), session(3, 2)
    common = before.brain & now.brain
    row = row_of(table, "P03", "week-030")
    for name in SEQUENCES:
        shared = mutual_information(now.sequences[name][common], before.sequences[name][common])
        assert row[f"mi_previous_{name}"] == pytest.approx(shared, rel=1e-12)
    inside = (now.sequences[name][now.brain] for name in SEQUENCES)
    assert row["mi_T1_FLAIR"] == pytest.approx(mutual_information(*inside), rel=1e-12)


def test_grids_before_and_after(table: pd.DataFrame):
    row = table.iloc[0]
    assert row["source_T1_shape"] == "8×9×10"
    assert row["source_T1_spacing_mm"] == "1×2×3"
    assert row["source_T1_axes"] == "LAS"
    assert row["source_T1_obliquity_deg"] == 0.0
    assert row["grid_shape"] == "22×26×18"
    assert row["grid_spacing_mm"] == "5×4×6"
    assert row["grid_axes"] == "LAS"


def test_obliquity_is_the_largest_angle_with_a_world_axis():
    angle = math.radians(12.5)
    turn = np.eye(4)
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    affine = turn @ np.diag([2.0, 3.0, 5.0, 1.0])
    assert describe_grid(Grid((4, 5, 6), affine))["obliquity_deg"] == pytest.approx(12.5)
    angles = []
    linear = GRID.affine[:3, :3]
    for column in linear.T:
        angles.append(math.degrees(math.acos(np.abs(column).max() / np.linalg.norm(column))))
    assert describe_grid(GRID)["obliquity_deg"] == pytest.approx(max(angles), abs=0.01)


def test_an_old_store_without_sources_has_no_columns_of_them(tmp_path: Path):
    old = write_small_store(
        tmp_path / "store", patients=1, visits=2, changed={(0, n): {"sources": {}} for n in (0, 1)}
    )
    found = session_quality(old)
    assert not any(name.startswith("source_") for name in found)
    assert len(found) == 2


def test_a_saturated_scan_is_flagged(tmp_path: Path):
    made = session(1, 1)
    flat = np.minimum(made.sequences["T1"], np.percentile(made.sequences["T1"][made.brain], 97))
    images = {**made.sequences, "T1": flat.astype(np.float16)}
    store = write_small_store(tmp_path / "store", changed={(1, 1): {"sequences": images}})
    found = session_quality(store)
    row = row_of(found, "P01", "week-012")
    assert row["ceiling_share_T1"] == pytest.approx(0.03, abs=0.005)
    assert "T1: 3." in row["flags"] or "T1: 2." in row["flags"]
    assert "saturated" in row["flags"]
    assert (found["flags"] != "").sum() == 1


def test_the_ceiling_of_noise_is_a_voxel_or_two():
    values = np.random.default_rng(0).normal(1.0, 0.2, size=40_000).astype(np.float16)
    assert 1 / 40_000 <= ceiling_share(values) < 2e-4
    assert ceiling_share(np.full(10, -3.0, dtype=np.float16)) == 1.0
    assert ceiling_share(values[:0]) is None


def test_a_session_of_another_head_stands_out_by_information_and_dice(tmp_path: Path):
    """As after a failed registration: the scan of a stranger, moved by four voxels."""
    stranger = session(17, 1)
    moved = {
        "sequences": {name: np.roll(v, 4, axis=1) for name, v in stranger.sequences.items()},
        "brain": np.roll(stranger.brain, 4, axis=1),
    }
    found = session_quality(
        write_small_store(tmp_path / "store", patients=5, changed={(2, 1): moved})
    )
    flags = row_of(found, "P02", "week-012")["flags"]
    assert "Dice with the brain of the session before" in flags
    assert "Dice with the brain of the first session" in flags
    assert "T1: mutual information with the session before" in flags
    assert "z = −" in flags
    # The next visit is unlike the session before it too; all other patients are clean.
    others = found[found["patient_id"] != "P02"]
    assert others["flags"].tolist() == [""] * len(others)


def test_a_field_of_view_that_ends_inside_the_brain_is_flagged(tmp_path: Path):
    made = session(3, 2)
    cut = made.sequences["FLAIR"].copy()
    cut[:, :, :6] = 0
    images = {**made.sequences, "FLAIR": cut}
    found = session_quality(
        write_small_store(tmp_path / "store", patients=5, changed={(3, 2): {"sequences": images}})
    )
    row = row_of(found, "P03", "week-030")
    expected = (cut[made.brain] == 0).mean()
    assert row["empty_share_FLAIR"] == pytest.approx(expected)
    assert "FLAIR: share of the brain that is 0" in row["flags"]


def test_a_missing_sequence_is_told_and_compared_with_nothing(tmp_path: Path):
    images = {"T1": session(0, 1).sequences["T1"]}
    found = session_quality(
        write_small_store(tmp_path / "store", changed={(0, 1): {"sequences": images}})
    )
    row, after = row_of(found, "P00", "week-012"), row_of(found, "P00", "week-030")
    assert (row["sequences"], row["missing"]) == ("T1", "FLAIR")
    assert math.isnan(row["mi_T1_FLAIR"])
    assert math.isnan(row["mi_previous_FLAIR"])
    assert math.isnan(after["mi_previous_FLAIR"])
    assert after["mi_previous_T1"] > 0


def test_an_empty_brain_has_a_row_and_a_reason(tmp_path: Path):
    store = write_small_store(tmp_path / "store", patients=2)
    empty = session(0, 1, brain=np.zeros(GRID.shape, dtype=bool))
    write_prepared(store.session_path("P00", "week-012"), empty, GRID)
    row = row_of(session_quality(store), "P00", "week-012")
    assert row["flags"] == EMPTY_BRAIN
    assert row["brain_ml"] == 0
    assert row["dice_previous"] == 0
    assert math.isnan(row["mi_T1_FLAIR"])
    assert math.isnan(row["ceiling_share_T1"])


def test_a_broken_file_has_a_row_and_a_reason(tmp_path: Path):
    store = write_small_store(tmp_path / "store")
    store.session_path("P01", "week-012").write_bytes(b"no")
    found = session_quality(store)
    assert row_of(found, "P01", "week-012")["flags"] == UNREADABLE
    # The scan before is unknown, so nothing is compared with an older one in its place.
    after = row_of(found, "P01", "week-030")
    assert math.isnan(after["dice_previous"])
    assert after["dice_first"] > 0.9


def test_kept_numbers_are_the_same_and_are_made_anew_for_a_changed_file(
    tmp_path: Path, monkeypatch
):
    import xrano.data.quality.session_quality as module

    store = write_small_store(tmp_path / "store", patients=3)
    fresh = session_quality(store, cache=tmp_path / "numbers")
    reads = []
    read = module.read_prepared
    monkeypatch.setattr(module, "read_prepared", lambda path: reads.append(path) or read(path))
    pd.testing.assert_frame_equal(session_quality(store, cache=tmp_path / "numbers"), fresh)
    assert reads == []
    store.session_path("P02", "week-000").write_bytes(b"no")
    again = session_quality(store, cache=tmp_path / "numbers")
    assert {path.parent.name for path in reads} == {"P02"}
    assert row_of(again, "P02", "week-000")["flags"] == UNREADABLE


def test_several_processes_give_the_same_table(tmp_path: Path):
    store = write_small_store(tmp_path / "store", patients=2)
    pd.testing.assert_frame_equal(session_quality(store, jobs=2), session_quality(store))


# --- flags


def cohort(values: list[float], column: str = "dice_previous") -> pd.DataFrame:
    return pd.DataFrame({"flags": [""] * len(values), column: values})


def test_only_the_side_that_means_trouble_is_flagged():
    low = flag_sessions(cohort([0.98, 0.981, 0.979] * 5 + [0.7]))["flags"].tolist()
    assert low[:-1] == [""] * 15
    assert low[-1].startswith("Dice with the brain of the session before 0.7, cohort median 0.98")
    high = flag_sessions(cohort([0.5, 0.51, 0.49] * 5 + [0.9]))["flags"].tolist()
    assert high == [""] * 16


def test_a_difference_too_small_to_matter_is_no_outlier():
    """z is −40 here, but the brains differ by one part in a hundred."""
    assert set(flag_sessions(cohort([0.98, 0.9801, 0.9799] * 5 + [0.97]))["flags"]) == {""}


def test_a_small_cohort_is_not_compared():
    few = [0.98] * 3 + [0.979] * 5 + [0.2]
    assert set(flag_sessions(cohort(few))["flags"]) == {""}
    assert flag_sessions(cohort([*few, 0.98]))["flags"].tolist()[8] != ""


def test_reasons_name_sequences_units_and_the_columns_they_come_from():
    table = cohort([1400.0, 1410, 1390] * 5 + [700.0], "brain_ml")
    table["mi_T1_CT1"] = [1.0, 1.02, 0.98] * 5 + [0.1]
    table["empty_share_T2"] = [0.0] * 15 + [0.2]
    flagged = cohort_flags(table)[-1]
    assert set(flagged) == {"brain_ml", "mi_T1_CT1", "empty_share_T2"}
    assert flagged["brain_ml"].startswith("brain volume 700 ml, cohort median 1400 ml (z = −")
    assert flagged["mi_T1_CT1"].startswith("T1 and CT1: mutual information 0.1, cohort median 1 ")
    assert flagged["empty_share_T2"].startswith("T2: share of the brain that is 0 20.00%, cohort")
    assert flag_sessions(table)["flags"].iloc[-1] == "; ".join(flagged.values())


def test_reasons_that_were_there_come_first():
    table = cohort([0.98] * 15 + [0.5]).assign(flags=["x"] * 16)
    flags = flag_sessions(table)["flags"].tolist()
    assert flags[0] == "x"
    assert flags[-1].startswith("x; Dice")
