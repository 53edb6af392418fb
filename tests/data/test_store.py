from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from xrano.data.store import (
    FORMAT,
    PreparedSession,
    Store,
    open_store,
    read_details,
    read_prepared,
    unmark,
    write_manifest,
    write_prepared,
)
from xrano.errors import CheckpointError, ManifestError, UnknownNameError
from xrano.geometry import Grid

SHAPE = (5, 7, 4)
OBLIQUE = np.array(
    [[1.9, -0.3, 0.1, -12.0], [0.4, 2.4, -0.2, 31.5], [-0.2, 0.3, 2.9, 8.0], [0, 0, 0, 1.0]]
)
GRID = Grid(SHAPE, OBLIQUE)


def session(**changes: object) -> PreparedSession:
    rng = np.random.default_rng(5)
    values = {
        "patient_id": "Patient-007",
        "session_id": "week-000-1",
        "sequences": {
            "T1": rng.normal(size=SHAPE).astype(np.float16),
            "ADC": rng.uniform(0, 60000, SHAPE).astype(np.float16),
        },
        "brain": rng.random(SHAPE) < 0.5,
        "segmentations": {
            "deepbratumia": (rng.integers(0, 4, SHAPE).astype(np.uint8), "lumiere-deepbratumia"),
            "hand": (rng.integers(0, 2, SHAPE).astype(np.uint8), "binary"),
        },
        "scale": {"T1": 412.5, "ADC": 1e-7},
        "key": "abc",
    }
    return PreparedSession(**{**values, **changes})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    out = tmp_path / "sessions" / "Patient-007" / "week-000-1.safetensors"
    write_prepared(out, session(), GRID)
    return out


def test_what_is_written_is_read(path: Path):
    found, wrote = read_prepared(path), session()
    assert (found.patient_id, found.session_id, found.key) == ("Patient-007", "week-000-1", "abc")
    assert found.scale == wrote.scale
    assert set(found.sequences) == {"T1", "ADC"}
    for name, values in wrote.sequences.items():
        assert found.sequences[name].dtype == np.float16
        np.testing.assert_array_equal(found.sequences[name], values)
    assert found.brain.dtype == np.bool_
    np.testing.assert_array_equal(found.brain, wrote.brain)
    assert set(found.segmentations) == {"deepbratumia", "hand"}
    for source, (labels, scheme) in wrote.segmentations.items():
        np.testing.assert_array_equal(found.segmentations[source][0], labels)
        assert found.segmentations[source][0].dtype == np.uint8
        assert found.segmentations[source][1] == scheme


def test_sequences_come_in_the_order_asked_for_and_no_others(path: Path):
    assert list(read_prepared(path, ("T1", "ADC")).sequences) == ["T1", "ADC"]
    assert list(read_prepared(path, ("ADC", "T1")).sequences) == ["ADC", "T1"]
    assert list(read_prepared(path, ("ADC",)).sequences) == ["ADC"]


def test_arrays_that_are_views_are_written_in_their_own_order(tmp_path: Path):
    values = np.arange(np.prod(SHAPE), dtype=np.float16).reshape(SHAPE[::-1]).T
    labels = np.asfortranarray(session().segmentations["hand"][0])
    wrote = session(
        sequences={"T1": values[::-1]},
        scale={"T1": 1.0},
        segmentations={"hand": (labels, "binary")},
    )
    write_prepared(tmp_path / "a.safetensors", wrote, GRID)
    found = read_prepared(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found.sequences["T1"], values[::-1])
    np.testing.assert_array_equal(found.segmentations["hand"][0], labels)


def test_any_reader_of_safetensors_understands_the_file(path: Path):
    """Metadata tell grid, schemes and scale; nothing is pickled."""
    with safe_open(path, framework="np") as file:
        names = set(file.keys())
        details = json.loads(file.metadata()["xrano"])
    assert names == {"T1", "ADC", "brain", "segmentation/deepbratumia", "segmentation/hand"}
    np.testing.assert_array_equal(details["affine"], OBLIQUE)
    assert details["schemes"]["hand"] == "binary"
    assert details["scale"]["T1"] == 412.5


def test_the_same_session_gives_the_same_bytes(path: Path, tmp_path: Path):
    write_prepared(tmp_path / "again.safetensors", session(), GRID)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_file_that_is_cut_off_is_named(path: Path, size: int):
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    for read in (read_details, read_prepared):
        with pytest.raises(CheckpointError, match="not a whole session file") as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(CheckpointError, match="week-404"):
        read_prepared(tmp_path / "week-404.safetensors")


def test_another_safetensors_file_is_refused(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(CheckpointError, match="not a whole session file"):
        read_prepared(path)
    weights = json.dumps({"model": "densenet121", "sequences": ["T1"], "num_classes": 4})
    save_file({"weight": np.zeros(3, np.float32)}, path, metadata={"xrano": weights})
    with pytest.raises(CheckpointError, match="not a session file: it lacks key, patient_id"):
        read_prepared(path)


def test_a_sequence_that_is_not_there_lists_those_that_are(path: Path):
    with pytest.raises(UnknownNameError, match="'FLAIR'.*ADC, T1") as caught:
        read_prepared(path, ("T1", "FLAIR"))
    assert "Patient-007" in str(caught.value)


# --- the store's manifest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_manifest(tmp_path, GRID, ("T1", "ADC"), {"spacing_mm": 0.0})
    (tmp_path / "statistics.json").write_text('{"pairs": {}}')
    return tmp_path


def test_a_store_remembers_its_grid_sequences_and_settings(root: Path):
    store = open_store(root)
    assert store.grid.shape == SHAPE
    np.testing.assert_array_equal(store.grid.affine, OBLIQUE)
    assert store.sequences == ("T1", "ADC")
    assert store.settings == {"spacing_mm": 0.0}
    expected = root / "sessions" / "P1" / "week-3.safetensors"
    assert store.session_path("P1", "week-3") == expected


def test_a_folder_without_a_manifest_is_no_store(root: Path):
    unmark(root)
    unmark(root)
    with pytest.raises(ManifestError, match=r"no store\.json.*xrano prepare") as caught:
        open_store(root)
    assert str(root) in str(caught.value)


def test_another_format_is_refused_with_what_to_do(root: Path):
    manifest = json.loads((root / "store.json").read_text())
    (root / "store.json").write_text(json.dumps({**manifest, "format": FORMAT + 1}))
    with pytest.raises(ManifestError, match=f"format {FORMAT + 1}.*reads {FORMAT}.*prepare again"):
        open_store(root)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null"),
        f'{{"format": {FORMAT}}}',
        f'{{"format": {FORMAT}, "grid": {{"shape": [1, 2]}}}}',
    ],
)
def test_a_broken_manifest_is_named(root: Path, content: str):
    (root / "store.json").write_text(content)
    with pytest.raises(ManifestError, match=r"store\.json cannot be read"):
        open_store(root)


def test_a_grid_that_is_none_is_refused(root: Path):
    manifest = json.loads((root / "store.json").read_text())
    manifest["grid"]["affine"] = np.diag([2.0, 0.0, 2.0, 1.0]).tolist()
    (root / "store.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=r"store\.json cannot be read.*inverted"):
        open_store(root)


def test_statistics_that_are_missing_are_named(root: Path):
    (root / "statistics.json").unlink()
    with pytest.raises(ManifestError, match=r"statistics\.json"):
        open_store(root)


@pytest.mark.parametrize("name", ["sessions.csv", "pairs.csv", "exclusions.csv", "volumes.csv"])
def test_a_table_that_is_missing_or_cut_off_is_named(
    phantom_store: Store, tmp_path: Path, name: str
):
    root = tmp_path / "store"
    root.mkdir()
    for path in phantom_store.root.iterdir():
        if path.is_file():
            (root / path.name).write_bytes(path.read_bytes())
    assert open_store(root).grid.matches(phantom_store.grid)
    content = (root / name).read_bytes()
    (root / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ManifestError, match=f"{name} is cut off.*xrano prepare again"):
        open_store(root)
    (root / name).unlink()
    with pytest.raises(ManifestError, match=f"{name} is missing.*xrano prepare again"):
        open_store(root)
