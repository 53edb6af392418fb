from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_store import GRID, SEQUENCES, write_small_store

from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import load_pair
from xrano.data.planting import planted_store as module
from xrano.data.planting.erase import lesion_place
from xrano.data.planting.marks import MARKS
from xrano.data.planting.plan import SHORTCUTS, PlantingPlan, mark_class, stream
from xrano.data.planting.planted_store import planted_store
from xrano.data.planting.planting_note import planting_of, read_marks
from xrano.data.quality.store_check import check_store
from xrano.data.store import Store, open_store, read_prepared
from xrano.errors import ConfigError, ManifestError, VolumeError
from xrano.rano import RESPONSES

UNCHANGED = ("pairs.csv", "exclusions.csv", "volumes.csv", "statistics.json")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_small_store(tmp_path_factory.mktemp("cohort") / "store")


def content(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def prepared(root: Path) -> list:
    return [read_prepared(path) for path in sorted((root / "sessions").rglob("*.safetensors"))]


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_scans_change_in_the_brain_and_all_else_stays(source, tmp_path, kind):
    before = content(source.root)
    out = planted_store(source.root, tmp_path / "planted", PlantingPlan(kind))
    assert content(source.root) == before
    for name in UNCHANGED:
        assert (out / name).read_bytes() == (source.root / name).read_bytes()
    planted = open_store(out)
    assert planted.grid.matches(source.grid)
    assert planted.sessions.equals(source.sessions)
    for old, new in zip(prepared(source.root), prepared(out), strict=True):
        assert (new.patient_id, new.session_id) == (old.patient_id, old.session_id)
        assert np.array_equal(new.brain, old.brain)
        assert new.scale == old.scale
        assert new.sources == old.sources
        for name, (labels, scheme) in old.segmentations.items():
            assert np.array_equal(new.segmentations[name][0], labels)
            assert new.segmentations[name][1] == scheme
        for name, data in old.sequences.items():
            assert new.sequences[name].dtype == np.float16
            assert np.array_equal(new.sequences[name][~old.brain], data[~old.brain])
            assert not np.array_equal(new.sequences[name], data)
    assert not check_store(out).faults


def test_every_scan_has_the_mark_of_the_class_that_the_table_names(source, tmp_path):
    plan = PlantingPlan("texture", strength=0.5, seed=3)
    out = planted_store(source.root, tmp_path / "planted", plan)
    table = read_marks(out)
    assert len(table) == len(source.sessions)
    for row in table.to_dict("records"):
        key = row["patient_id"], row["session_id"]
        assert row["mark"] == mark_class(plan, *key, row["rating"])
        old, new = (read_prepared(store.session_path(*key)) for store in (source, open_store(out)))
        for name in SEQUENCES:
            expected = MARKS["texture"](
                old.sequences[name].astype(np.float32),
                old.brain,
                GRID,
                RESPONSES.index(row["mark"]),
                stream(plan, *key, name, "texture"),
                1.0,
            )
            assert np.array_equal(new.sequences[name], expected.astype(np.float16))


def test_the_same_plan_gives_the_same_bytes_and_another_seed_others(source, tmp_path):
    plan = PlantingPlan("noise", strength=0.5, seed=1)
    first, second, other = (
        content(planted_store(source.root, tmp_path / name, use))
        for name, use in (("a", plan), ("b", plan), ("c", replace(plan, seed=2)))
    )
    assert first == second
    assert first != other


def test_a_swap_changes_the_class_of_the_mark_and_no_draw(source, tmp_path):
    plan = PlantingPlan("noise", seed=4)
    stores = [
        planted_store(source.root, tmp_path / str(swap), replace(plan, swap=swap))
        for swap in (False, True)
    ]
    plain, swapped = (read_marks(root) for root in stores)
    steps = [
        (RESPONSES.index(after) - RESPONSES.index(before)) % 4
        for before, after in zip(plain["mark"], swapped["mark"], strict=True)
    ]
    assert set(steps) == {2}
    patterns = [
        [
            new.sequences["T1"][old.brain].astype(float) - old.sequences["T1"][old.brain]
            for old, new in zip(prepared(source.root), prepared(root), strict=True)
        ]
        for root in stores
    ]
    for one, other in zip(*patterns, strict=True):
        # The same noise, larger or smaller; float16 rounds what is added.
        assert np.corrcoef(one, other)[0, 1] > 0.97
        assert not 0.6 < np.std(one) / np.std(other) < 1.6


def test_rated_sessions_are_told_and_unrated_ones_are_marked_too(source, tmp_path):
    table = read_marks(planted_store(source.root, tmp_path / "planted", PlantingPlan("tag")))
    rated = table[table["rating"] != ""]
    assert (rated["mark"] == rated["rating"]).all()
    assert len(rated) < len(table)
    assert table["mark"].isin([str(response) for response in RESPONSES]).all()


def test_an_erased_tumour_is_replaced_at_one_place_at_all_visits(source, tmp_path):
    out = planted_store(source.root, tmp_path / "erased", PlantingPlan(tumour="erased"))
    old, new = prepared(source.root), prepared(out)
    for patient in sorted({session.patient_id for session in old}):
        place = lesion_place([one for one in old if one.patient_id == patient], GRID)
        for before, after in zip(old, new, strict=True):
            if before.patient_id == patient:
                for name in SEQUENCES:
                    changed = before.sequences[name] != after.sequences[name]
                    assert not changed[~(place & before.brain)].any()
                    assert changed[place & before.brain].mean() > 0.9
    assert (read_marks(out)["mark"] == "").all()


def test_marks_lie_upon_the_tissue_that_took_the_tumours_place(source, tmp_path):
    erased = planted_store(source.root, tmp_path / "erased", PlantingPlan(tumour="erased"))
    both = planted_store(source.root, tmp_path / "both", PlantingPlan("edge", tumour="erased"))
    for bare, marked in zip(prepared(erased), prepared(both), strict=True):
        same = bare.sequences["T1"] == marked.sequences["T1"]
        assert 0.5 < same[bare.brain].mean() < 0.95


def test_a_plan_that_changes_nothing_links_every_scan(source, tmp_path):
    out = planted_store(source.root, tmp_path / "none", PlantingPlan())
    for path in sorted((source.root / "sessions").rglob("*.safetensors")):
        assert path.samefile(out / path.relative_to(source.root))
    assert planting_of(out) == PlantingPlan()
    assert open_store(out).fingerprint() != source.fingerprint()


def test_what_was_said_of_the_sources_scans_is_not_said_of_these(tmp_path):
    store = write_small_store(tmp_path / "store", patients=2)
    (store.root / "leak_probe.json").write_text("{}")
    (store.root / "alignment").mkdir()
    (store.root / "alignment" / "step.json").write_text("{}")
    (store.root / "sessions" / ".123-half.safetensors").write_text("half")
    names = content(planted_store(store.root, tmp_path / "planted", PlantingPlan("tag")))
    assert "leak_probe.json" not in names
    assert "sessions/.123-half.safetensors" not in names
    assert "alignment/step.json" in names


def test_where_there_are_no_links_files_are_copied(source, tmp_path, monkeypatch):
    def refuse(*_names: object) -> None:
        raise OSError("no links here")

    linked = content(planted_store(source.root, tmp_path / "linked", PlantingPlan("tag")))
    monkeypatch.setattr(module.os, "link", refuse)
    out = planted_store(source.root, tmp_path / "copied", PlantingPlan("tag"))
    assert content(out) == linked
    assert not (out / "pairs.csv").samefile(source.root / "pairs.csv")


def test_a_store_that_is_there_is_left_as_it_is(source, tmp_path, monkeypatch):
    plan = PlantingPlan("tag")
    out = planted_store(source.root, tmp_path / "planted", plan)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    monkeypatch.setattr(module._Planting, "write", None)
    assert planted_store(source.root, out, PlantingPlan("tag", strength=1)) == out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    with pytest.raises(ConfigError, match="choose another folder"):
        planted_store(source.root, out, replace(plan, seed=1))


def test_a_store_of_another_source_is_not_taken_for_this_one(source, tmp_path):
    out = planted_store(source.root, tmp_path / "planted", PlantingPlan("tag"))
    other = write_small_store(tmp_path / "other", patients=3)
    with pytest.raises(ConfigError, match="choose another folder"):
        planted_store(other.root, out, PlantingPlan("tag"))


def test_a_planted_store_says_so_and_nothing_is_planted_upon_it(source, tmp_path):
    plan = PlantingPlan("blur", strength=0.7, tumour="erased", seed=9)
    out = planted_store(source.root, tmp_path / "planted", plan)
    assert planting_of(out) == plan
    assert planting_of(source.root) is None
    assert open_store(out).fingerprint() != source.fingerprint()
    assert all(session.key.startswith("planted ") for session in prepared(out))
    with pytest.raises(ConfigError, match=r"itself planted \(blur marks of strength 0.7"):
        planted_store(out, tmp_path / "twice", plan)
    assert not (tmp_path / "twice").exists()


def test_a_note_that_cannot_be_read_is_refused(source, tmp_path):
    out = planted_store(source.root, tmp_path / "planted", PlantingPlan())
    manifest = json.loads((out / "store.json").read_text())
    manifest["planted"] = {"plan": {"kind": "laser"}}
    (out / "store.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match="planted, but not how"):
        planting_of(out)


def test_a_failure_leaves_nothing_behind(tmp_path):
    even = {name: np.ones(GRID.shape, np.float16) for name in SEQUENCES}
    store = write_small_store(tmp_path / "store", patients=2)
    path = store.session_path("P01", "week-030")
    module.write_prepared(path, replace(read_prepared(path), sequences=even), GRID)
    with pytest.raises(VolumeError, match=r"week-030.safetensors: .*no spread"):
        planted_store(store.root, tmp_path / "planted", PlantingPlan("edge"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_an_empty_brain_is_refused_by_name(tmp_path):
    store = write_small_store(tmp_path / "store", patients=2)
    path = store.session_path("P00", "week-012")
    nothing = replace(read_prepared(path), brain=np.zeros(GRID.shape, dtype=bool))
    module.write_prepared(path, nothing, GRID)
    with pytest.raises(VolumeError, match=r"week-012.safetensors: its brain is empty"):
        planted_store(store.root, tmp_path / "planted", PlantingPlan("bias"))


def test_folders_that_are_no_place_for_a_store_are_refused(source, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not an empty folder"):
        planted_store(source.root, tmp_path / "full", PlantingPlan("tag"))
    with pytest.raises(ConfigError, match="inside the store"):
        planted_store(source.root, source.root / "planted", PlantingPlan("tag"))
    with pytest.raises(ConfigError, match="not an empty folder"):
        planted_store(source.root, source.root, PlantingPlan("tag"))
    with pytest.raises(ManifestError, match="not a prepared store"):
        planted_store(tmp_path / "nowhere", tmp_path / "out", PlantingPlan("tag"))
    (tmp_path / "empty").mkdir()
    assert planted_store(source.root, tmp_path / "empty", PlantingPlan()).is_dir()


def test_pairs_of_a_planted_store_are_normalised_as_those_of_its_source(source, tmp_path):
    """What a mark does not touch has the same input; no statistics carry it further."""
    planted = open_store(planted_store(source.root, tmp_path / "planted", PlantingPlan("tag")))
    layout = ChannelLayout(SEQUENCES)
    shares = []
    for pair in source.pairs.to_dict("records"):
        old, new = (load_pair(store, pair, layout).inputs for store in (source, planted))
        shares.append(np.mean(old != new))
    assert min(shares) > 0.0
    assert max(shares) < 0.05
