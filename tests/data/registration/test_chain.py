from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moved_head import head, moved
from native_patient import patient, save, scan_grid, write_patient

from xrano.data.phantom.anatomy import rigid
from xrano.data.registration import registrar
from xrano.data.registration.alignment import align_patient
from xrano.data.registration.motion import inverse
from xrano.data.registration.sessions import ScanSource, SessionScans, mask_sequence, most_isotropic
from xrano.data.registration.settings import AlignmentSettings
from xrano.data.registration.steps import RegistrationStep
from xrano.data.registration.template import Template, load_template
from xrano.data.volumes import Scan
from xrano.errors import ConfigError, ManifestError, UnknownNameError, VolumeError
from xrano.geometry import Grid
from xrano.resampling import resample

STAY = AlignmentSettings(template="none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patient(tmp_path_factory.mktemp("patient"))


FAR = {
    "a_T1": rigid(np.array([10.0, 20.0, -30.0]), np.array([40.0, 0.0, -10.0])),
    "a_FLAIR": rigid(np.array([-20.0, 0.0, 10.0]), np.array([-20.0, 30.0, 20.0])),
    "b_T2": rigid(np.array([15.0, -25.0, 5.0]), np.array([0.0, -30.0, 30.0])),
    "b_FLAIR": rigid(np.array([5.0, 10.0, 40.0]), np.array([25.0, 15.0, 0.0])),
}
"""Where a head lies in the world of each scan, far apart, so that a step left out is seen."""


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ScanSource]:
    """Scans of a head by name, and registration that knows where they lie."""
    sources = {}
    for name, world in FAR.items():
        sequence = name[2:]
        size = 8.0 if sequence == "FLAIR" else 6.0
        affine = world @ head().grid.affine @ np.diag([size / 6, size / 6, size / 6, 1.0])
        shape = tuple(int(np.ceil(edge * 6 / size)) for edge in head().grid.shape)
        grid = Grid(shape, affine)
        brightness = moved("T1", world, grid) + np.float32(100)
        sources[name] = ScanSource(save(tmp_path / f"{name}.nii", brightness, grid))

    def known(
        _self: object, scan: Scan, data: np.ndarray, fixed: str, *_rest: object, **masks: object
    ) -> object:
        there = FAR.get(Path(fixed).stem, np.eye(4))
        matrix = there @ inverse(FAR[scan.path.stem])
        rows = tuple(tuple(row) for row in matrix.tolist())
        REGISTERED[scan.path.stem, Path(fixed).stem] = data
        MASKS[scan.path.stem, Path(fixed).stem] = masks
        return RegistrationStep(str(scan.path), fixed, "rigid", rows, 0.1, 0.2, 0.0, 0.0)

    REGISTERED.clear()
    MASKS.clear()
    monkeypatch.setattr(registrar.Registrar, "_register", known)
    return sources


REGISTERED: dict[tuple[str, str], np.ndarray] = {}
MASKS: dict[tuple[str, str], dict[str, object]] = {}


def of_session(name: str, scans: dict[str, ScanSource], **more) -> SessionScans:
    mine = {key[2:]: scan for key, scan in scans.items() if key.startswith(name)}
    return SessionScans(name, "native", mine, **more)


@pytest.mark.parametrize("chain", ["patient", "atlas"])
def test_steps_are_chained_in_the_right_order(chain: str, far: dict[str, ScanSource]):
    """The sessions meet in FLAIR, the anchor of neither."""
    template = Template("template", head().images["T1"], head().grid, ("head",))
    sessions = [of_session(name, far) for name in "ab"]
    found = align_patient(sessions, template, AlignmentSettings(chain=chain))
    assert {key: value.anchor for key, value in found.items()} == {"a": "T1", "b": "T2"}
    last = ("b_FLAIR", "a_FLAIR") if chain == "patient" else ("b_T2", "template")
    assert list(REGISTERED) == [
        ("a_FLAIR", "a_T1"), ("a_T1", "template"), ("b_FLAIR", "b_T2"), last
    ]  # fmt: skip
    for name, world in FAR.items():
        matrix = found[name[0]].to_common[name[2:]]
        np.testing.assert_allclose(matrix, inverse(world), rtol=0, atol=1e-9)


def test_the_template_sees_the_brain_alone_whatever_world_its_mask_lies_in(
    far: dict[str, ScanSource], tmp_path: Path
):
    """The mask lies in the FLAIR's world, the anchor is the T1."""
    template = Template("template", head().images["T1"], head().grid, ("head",))
    grid = Grid(head().grid.shape, FAR["a_FLAIR"] @ head().grid.affine)
    mask = save(tmp_path / "brain.nii", head().brain.astype(np.uint8), grid)
    session = of_session("a", far, brain_mask=mask, brain_mask_sequence="FLAIR")
    align_patient([session], template, AlignmentSettings())
    seen, whole = REGISTERED["a_T1", "template"], far["a_T1"]().data
    # The T1 lies on the head's own grid, moved; so the brain is where it was drawn.
    np.testing.assert_array_equal(seen != 0, head().brain)
    np.testing.assert_array_equal(seen[head().brain], whole[head().brain])
    assert (REGISTERED["a_FLAIR", "a_T1"] != 0).all()


@pytest.mark.parametrize("masked", ["a", "b", "ab", ""])
def test_between_sessions_the_brain_counts_alone(
    masked: str, far: dict[str, ScanSource], tmp_path: Path
):
    """Each mask lies in the world of an anchor, and the sessions meet in FLAIR."""
    sessions = []
    for name, anchor in (("a", "T1"), ("b", "T2")):
        grid = Grid(head().grid.shape, FAR[f"{name}_{anchor}"] @ head().grid.affine)
        mask = save(tmp_path / f"{name}_brain.nii", head().brain.astype(np.uint8), grid)
        given = {"brain_mask": mask, "brain_mask_sequence": anchor} if name in masked else {}
        sessions.append(of_session(name, far, **given))
    align_patient(sessions, None, STAY)
    used = MASKS["b_FLAIR", "a_FLAIR"]
    for name, which in (("a", "fixed_mask"), ("b", "moving_mask")):
        if name in masked:
            where = far[f"{name}_FLAIR"].grid()
            placed = Grid(head().grid.shape, FAR[f"{name}_FLAIR"] @ head().grid.affine)
            expected = resample(head().brain, placed, where, order=0)
            np.testing.assert_array_equal(used[which], expected)
        else:
            assert used[which] is None


def test_a_mask_that_misses_the_scan_is_refused(far: dict[str, ScanSource], tmp_path: Path):
    template = Template("template", head().images["T1"], head().grid, ("head",))
    away = Grid((3, 3, 3), np.diag([1.0, 1.0, 1.0, 1.0]) + 900 * np.eye(4, k=3))
    mask = save(tmp_path / "away.nii", np.ones((3, 3, 3), np.uint8), away)
    session = of_session("a", far, brain_mask=mask, brain_mask_sequence="T1")
    with pytest.raises(VolumeError, match=r"away\.nii does not meet .*a_T1\.nii"):
        align_patient([session], template, AlignmentSettings())


def test_sequences_of_one_world_share_a_matrix(folder: Path, monkeypatch: pytest.MonkeyPatch):
    shift = np.eye(4)
    shift[:3, 3] = 1.0, 2.0, 3.0
    asked: list[str] = []

    def register(moving: np.ndarray, *_rest: object, **_options: object) -> object:
        asked.append("step")
        return registrar.LinearRegistration(shift, 0.1, 0.2)

    monkeypatch.setattr(registrar, "register", register)
    sessions = [replace(session, space="session") for session in patient(folder)]
    found = align_patient(sessions, None, STAY)
    assert asked == ["step"]
    for sequence in ("FLAIR", "T1"):
        np.testing.assert_array_equal(found["week-000"].to_common[sequence], np.eye(4))
        np.testing.assert_array_equal(found["week-012"].to_common[sequence], shift)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (("FLAIR", "T1"), ("week-012_T1.nii", "week-000_T1.nii")),
        (("FLAIR",), ("week-012_FLAIR.nii", "week-000_FLAIR.nii")),
        (("T2",), ("week-012_T2.nii", "week-000_T1.nii")),
    ],
)
def test_sessions_meet_in_a_sequence_that_both_have(
    present: tuple[str, ...], expected: tuple[str, str], folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    found = registrar.LinearRegistration(np.eye(4), 0.1, 0.2)
    monkeypatch.setattr(registrar, "register", lambda *_args, **_options: found)
    first, second = patient(folder)
    data = moved("T1", np.eye(4), scan_grid("T1"))
    t2 = ScanSource(save(tmp_path / "week-012_T2.nii", data, scan_grid("T1")))
    sources = {name: second.scans.get(name, t2) for name in present}
    result = align_patient([first, replace(second, scans=sources)], None, STAY)
    step = result["week-012"].steps[-1]
    assert (Path(step.moving).name, Path(step.fixed).name) == expected


def test_atlas_sessions_stay_and_need_no_file(tmp_path: Path):
    scans = {name: ScanSource(tmp_path / "missing.nii") for name in ("CT1", "T2")}
    found = align_patient([SessionScans("week-000", "atlas", scans)], None, STAY)["week-000"]
    assert found.steps == ()
    for matrix in found.to_common.values():
        np.testing.assert_array_equal(matrix, np.eye(4))


def test_what_cannot_be_aligned_is_refused(folder: Path):
    first, second = patient(folder)
    with pytest.raises(ManifestError, match="different ids"):
        align_patient([first, first], None, STAY)
    with pytest.raises(ManifestError, match="lie in atlas, native space"):
        align_patient([first, replace(second, space="atlas")], None, STAY)
    with pytest.raises(ConfigError, match="needs a template"):
        align_patient([first], None, AlignmentSettings(chain="atlas"))
    with pytest.raises(ConfigError, match="chain 'atlas' brings each session"):
        AlignmentSettings(chain="atlas", template="none")
    with pytest.raises(UnknownNameError, match="kind 'elastic'"):
        AlignmentSettings(kind="elastic")
    with pytest.raises(UnknownNameError, match="space 'mni'"):
        replace(first, space="mni")
    with pytest.raises(ManifestError, match="no scan to align"):
        replace(first, scans={})
    with pytest.raises(UnknownNameError, match="sequence 'T2'"):
        replace(first, brain_mask_sequence="T2")


def test_the_anchor_has_the_smallest_longest_edge_and_comes_first_of_equals(tmp_path: Path):
    data = np.zeros((3, 3, 3), np.float32)
    sizes = {"T1": (0.5, 0.5, 3.0), "CT1": (1.0, 1.2, 1.0), "T2": (1.2004, 0.4, 0.4)}
    scans = {
        name: ScanSource(
            save(tmp_path / f"{name}.nii", data, Grid((3, 3, 3), np.diag([*spacing, 1.0])))
        )
        for name, spacing in sizes.items()
    }
    assert most_isotropic(scans) == "CT1"
    assert most_isotropic({"T2": scans["T2"], "T1": scans["T1"]}) == "T2"
    equal = {"FLAIR": scans["CT1"], **scans}
    assert most_isotropic(equal) == "FLAIR"
    with pytest.raises(VolumeError, match="does not exist"):
        most_isotropic({"T1": ScanSource(tmp_path / "missing.nii")})


def test_the_world_of_a_mask_is_told_by_its_grid_or_asked_for(folder: Path):
    (session, _) = patient(folder, brain_mask=folder / "brain.nii")
    mask = session.load_mask(session.brain_mask)
    assert mask_sequence(session, mask) == "FLAIR"
    twin = {**session.scans, "T2": session.scans["FLAIR"]}
    with pytest.raises(VolumeError, match=r"with FLAIR, T2 of session.*brain_mask_sequence"):
        mask_sequence(replace(session, scans=twin), mask)
    assert mask_sequence(replace(session, brain_mask_sequence="T1"), mask) == "T1"


def test_templates_by_name_and_by_file(folder: Path):
    mni = load_template()
    assert mni is not None
    assert mni.name == "mni152"
    assert mni.grid.spacing == (1.0, 1.0, 1.0)
    assert (mni.data > 0).mean() < 0.5
    from_file = load_template(str(folder / "week-000_T1.nii"))
    assert from_file is not None
    assert from_file.grid.matches(scan_grid("T1"))
    assert from_file.identity != mni.identity
    with pytest.raises(VolumeError, match="does not exist"):
        load_template("nowhere.nii")


def test_a_session_that_cannot_be_registered_does_not_stop_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """The first one fails: the second takes its place as the one that the others go to."""
    step = RegistrationStep("a", "b", "rigid", tuple(map(tuple, np.eye(4).tolist())), 0, 1, 0, 0)

    def register(_self: object, scan: Scan, *_rest: object, **_masks: object) -> RegistrationStep:
        if scan.path.name.startswith("week-000"):
            raise VolumeError(f"{scan.path} cannot be registered")
        return step

    monkeypatch.setattr(registrar.Registrar, "_register", register)
    with pytest.raises(VolumeError, match="week-000"):
        align_patient(patient(folder), None, STAY)
    failures: dict[str, VolumeError] = {}
    aligned = align_patient(patient(folder), None, STAY, failures=failures)
    assert list(aligned) == ["week-012"]
    assert list(failures) == ["week-000"]
    np.testing.assert_array_equal(aligned["week-012"].to_common["T1"], np.eye(4))
