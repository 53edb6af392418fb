"""Raw scans through the whole of preparation, registered by ANTs; held against the atlas."""

from __future__ import annotations

import shutil
import sys
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from native_cohort import Matrices, write_native

from xrano.data.preparation import session_placement
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.preparation.session_placement import place_sessions
from xrano.data.registration import registrar
from xrano.data.registration.itk_transforms import read_itk_transform
from xrano.data.store import Store, open_store, read_prepared
from xrano.data.tables import read_sessions
from xrano.errors import ConfigError, ManifestError, UnfinishedError, VolumeError
from xrano.geometry import image_grid, inverse
from xrano.resampling import resample

PATIENT = "Patient-001"
SESSIONS = ("week-050", "week-065", "week-080")
PAIRS = [f"{PATIENT}_{a}_{b}" for a, b in pairwise(SESSIONS)]


@pytest.fixture(scope="module")
def atlas(phantom_index: Path) -> pd.DataFrame:
    """The atlas images of the three sessions, the truth."""
    table = read_sessions(phantom_index / "sessions.csv").set_index(["patient_id", "session_id"])
    return table.loc[[(PATIENT, session) for session in SESSIONS]]


@pytest.fixture(scope="module")
def settings(atlas: pd.DataFrame) -> PrepareSettings:
    """The template is the first session's own atlas scan: the atlas is the common world."""
    return PrepareSettings(template=atlas.iloc[0]["CT1"])


@pytest.fixture(scope="module")
def native(phantom_index: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Matrices]:
    index = tmp_path_factory.mktemp("native") / "index"
    truth = write_native(phantom_index, index, PAIRS, resliced=True)
    table = pd.read_csv(index / "sessions.csv", dtype=str, keep_default_na=False)
    # One mask without a word on where it lies, and fewer registrations.
    table.loc[1, "brain_mask_sequence"] = ""
    table.loc[2, "CT1"] = ""
    table.to_csv(index / "sessions.csv", index=False)
    return index, truth


@pytest.fixture(scope="module")
def store(native: tuple[Path, Matrices], settings: PrepareSettings) -> Store:
    index, _ = native
    prepare_index(index, index.parent / "store", settings).require_whole()
    return open_store(index.parent / "store")


def prepared(store: Store, session: str):
    return read_prepared(store.session_path(PATIENT, session))


def atlas_truth(phantom_index: Path, session: str, what: str, store: Store) -> np.ndarray:
    """An atlas mask or segmentation on the store's grid."""
    folder = phantom_index.parent / "phantom" / "Imaging" / PATIENT / session
    name = {"brain": "skull_strip/brain_mask", "labels": "segmentation/seg_mask"}[what]
    (path,) = folder.rglob(f"atlas/{name}.nii.gz")
    image = nib.load(path)
    return resample(np.asarray(image.dataobj), image_grid(image), store.grid, order=0)


def middle(mask: np.ndarray, store: Store) -> np.ndarray:
    return store.grid.world(np.argwhere(mask)).mean(axis=0)


# --- where things land


@pytest.mark.parametrize("session", SESSIONS)
def test_brain_and_lesion_land_where_the_atlas_has_them(
    store: Store, phantom_index: Path, session: str
):
    found = prepared(store, session)
    brain = atlas_truth(phantom_index, session, "brain", store) > 0
    apart = np.linalg.norm(middle(found.brain, store) - middle(brain, store))
    assert apart < 3.0
    dice = 2 * (found.brain & brain).sum() / (found.brain.sum() + brain.sum())
    assert dice > 0.9
    labels, _ = found.segmentations["deepbratumia"]
    lesion = atlas_truth(phantom_index, session, "labels", store) > 0
    assert np.linalg.norm(middle(labels > 0, store) - middle(lesion, store)) < 6.0


@pytest.mark.parametrize("session", SESSIONS)
def test_matrices_are_the_truth_to_two_thirds_of_a_voxel(store: Store, native, session: str):
    _, truth = native
    found = prepared(store, session)
    points = store.grid.world(np.argwhere(found.brain))
    for name in found.sequences:
        true = truth[PATIENT, session][name]
        back = np.array(found.sources[name]["to_common"]) @ inverse(true)
        moved = nib.affines.apply_affine(back, points)
        assert np.linalg.norm(moved - points, axis=1).mean() < 4.0
    before = nib.affines.apply_affine(inverse(true), points)
    assert np.linalg.norm(before - points, axis=1).mean() > 5.0


def test_transforms_are_itk_files_of_the_matrices_that_were_used(store: Store):
    files = sorted((store.root / "transforms").rglob("*.txt"))
    names = [path.relative_to(store.root / "transforms").as_posix() for path in files]
    assert names == [
        f"{PATIENT}/{session}/{name}_to_common.txt"
        for session in SESSIONS
        for name in prepared(store, session).sequences
    ]
    for path in files:
        matrix = inverse(read_itk_transform(path))
        source = prepared(store, path.parent.name).sources[path.name.split("_")[0]]
        np.testing.assert_allclose(matrix, source["to_common"], rtol=0, atol=1e-9)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)


def test_a_transform_file_resamples_the_scan_in_ants(store: Store, native):
    """ANTs itself, given scan and file, makes what the store holds."""
    ants = pytest.importorskip("ants")
    index, _ = native
    found = prepared(store, SESSIONS[0])
    from xrano.data.registration.ants_images import from_ants, to_ants

    scan = nib.load(index / "images" / f"{PATIENT}_{SESSIONS[0]}" / "CT1.nii.gz")
    path = store.root / "transforms" / PATIENT / SESSIONS[0] / "CT1_to_common.txt"
    moved = ants.apply_transforms(
        to_ants(np.zeros(store.grid.shape, np.float32), store.grid),
        to_ants(np.asarray(scan.dataobj), image_grid(scan)),
        [str(path)],
    )
    values, _ = from_ants(moved)
    stored = found.sequences["CT1"].astype(np.float32) * np.float32(found.scale["CT1"])
    np.testing.assert_allclose(values, stored, atol=2e-3 * float(found.scale["CT1"]))


# --- again, and with broken files


def test_the_second_time_nothing_is_registered(
    store: Store, native, settings: PrepareSettings, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("registered again")

    monkeypatch.setattr(registrar, "register", never)
    files = [path for path in store.root.rglob("*.*") if path.suffix in (".json", ".safetensors")]
    before = {path: path.read_bytes() for path in files}
    prepare_index(native[0], store.root, settings).require_whole()
    assert {path: path.read_bytes() for path in files} == before


@pytest.mark.parametrize("broken", ["scan", "mask"])
def test_a_broken_file_of_the_first_session_costs_only_that_session(
    store: Store, native, settings: PrepareSettings, tmp_path: Path, broken: str, monkeypatch
):
    """The patient's others go to the second session then."""
    shutil.copytree(native[0].parent, tmp_path / "copy", copy_function=shutil.copy2)
    index = tmp_path / "copy" / "index"
    table = pd.read_csv(native[0] / "sessions.csv", dtype=str, keep_default_na=False)
    table = table.map(lambda text: text.replace(str(native[0]), str(index)))
    assert table.loc[0, "brain_mask_sequence"] == "FLAIR"
    table.to_csv(index / "sessions.csv", index=False)
    name = {"scan": "CT1", "mask": "brain"}[broken]
    path = index / "images" / f"{PATIENT}_{SESSIONS[0]}" / f"{name}.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    found = registrar.LinearRegistration(np.eye(4), 0.1, 0.2)
    monkeypatch.setattr(registrar, "register", lambda *_, **__: found)
    cohort = prepare_index(index, tmp_path / "store", settings, allow_outside=True)
    assert [(one.session_id, one.kind) for one in cohort.failures] == [
        (SESSIONS[0], VolumeError.__name__)
    ]
    assert str(path) in cohort.failures[0].text
    assert list(cohort.pairs["pair_id"]) == PAIRS[1:]
    assert list(cohort.exclusions["session_id"]) == [SESSIONS[1]]
    with pytest.raises(UnfinishedError, match=SESSIONS[0]):
        cohort.require_whole()


def test_a_mask_of_an_unknown_sequence_costs_only_its_session(
    store: Store, native, settings: PrepareSettings, tmp_path: Path
):
    rows = read_sessions(native[0] / "sessions.csv").to_dict("records")
    rows[2]["brain_mask_sequence"] = "CT1"
    outcomes = place_sessions(rows, ("CT1", "FLAIR"), settings, store.root)
    assert [outcome.value is None for outcome in outcomes] == [False, False, True]
    assert isinstance(outcomes[2].error, ManifestError)
    assert "has FLAIR" in str(outcomes[2].error)


# --- what concerns all sessions is said once, before any is read


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("a session was read")

    monkeypatch.setattr(session_placement, "read_session", read)


def test_without_antspyx_the_command_is_refused_as_a_whole(
    native, settings: PrepareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unread(monkeypatch)
    monkeypatch.setitem(sys.modules, "ants", None)
    with pytest.raises(ConfigError, match=r'pip install "xrano\[prepare\]"'):
        prepare_index(native[0], tmp_path / "store", settings)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("correction", ["n4", "denoise"])
def test_corrections_need_antspyx_in_the_atlas_too(
    phantom_index: Path, tmp_path: Path, correction: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ants", None)
    with pytest.raises(ConfigError, match=r'pip install "xrano\[prepare\]"'):
        prepare_index(phantom_index, tmp_path / "store", PrepareSettings(**{correction: True}))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("template", "error", "words"),
    [("nowhere.nii", VolumeError, "nowhere.nii does not exist"), ("none", ConfigError, "template")],
)
def test_a_template_that_is_not_there_is_said_once(
    native, tmp_path: Path, template: str, error, words: str, monkeypatch: pytest.MonkeyPatch
):
    unread(monkeypatch)
    settings = PrepareSettings(template=template, chain="atlas")
    with pytest.raises(error, match=words):
        prepare_index(native[0], tmp_path / "store", settings)
    assert not (tmp_path / "store").exists()
