from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from xrano.data.index import index_cohort
from xrano.data.phantom import PhantomSettings, write_phantom
from xrano.data.quality.segmenter_agreement import (
    AgreementStatus,
    add_agreement,
    compare_segmentations,
    describe_agreement,
    dice,
)
from xrano.data.tables import read_sessions
from xrano.data.volumes import read_labels
from xrano.errors import ConfigError, GridMismatchError

SHAPE = (5, 6, 7)
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN @ np.diag([-0.9, 1.1, 3.0])
AFFINE[:3, 3] = (12.0, -31.0, 4.0)


def _labels(**boxes: tuple[slice, ...]) -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for name, box in boxes.items():
        labels[box] = int(name.removeprefix("label"))
    return labels


# 12 enhancing, 3 necrotic and 10 oedematous voxels
BRAIN = _labels(
    label3=(slice(0, 5), slice(0, 5), slice(0, 1)),
    label2=(slice(0, 3), slice(0, 1), slice(0, 1)),
    label1=(slice(0, 3), slice(1, 5), slice(0, 1)),
)
# 8 of the enhancing voxels and 4 others, 10 beside
GLIO = _labels(
    label1=(slice(0, 5), slice(0, 5), slice(0, 1)),
    label2=(slice(0, 3), slice(3, 6), slice(0, 1)),
)


def _save(path: Path, labels: np.ndarray, affine: np.ndarray = AFFINE, axes: str = "") -> Path:
    image = nib.Nifti1Image(labels, affine)
    if axes:
        turn = nib.orientations.ornt_transform(
            nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(axes))
        )
        image = image.as_reoriented(turn)
    nib.save(image, path)
    return path


def _compare(folder: Path, brain: np.ndarray, glio: np.ndarray, **options):
    first = _save(folder / "brain.nii.gz", brain)
    second = _save(folder / "glio.nii.gz", glio, **options)
    return compare_segmentations(
        read_labels(first, "lumiere-deepbratumia"), read_labels(second, "lumiere-hdglio")
    )


@pytest.mark.parametrize("axes", ["", "RAS", "PIR", "SLA"])
def test_dice_counts_voxels_where_they_lie(tmp_path: Path, axes: str) -> None:
    found = _compare(tmp_path, BRAIN, GLIO, axes=axes)
    brain, glio = BRAIN == 1, GLIO == 2
    expected = 2 * (brain & glio).sum() / (brain.sum() + glio.sum())
    assert expected == pytest.approx(2 * 6 / (12 + 9))
    assert found.dice_enhancing == pytest.approx(expected)
    whole = 2 * ((BRAIN > 0) & (GLIO > 0)).sum() / ((BRAIN > 0).sum() + (GLIO > 0).sum())
    assert found.dice_whole == pytest.approx(whole)
    assert found.status is AgreementStatus.BOTH


def test_empty_regions(tmp_path: Path) -> None:
    no_glio = np.where(GLIO == 2, 0, GLIO).astype(np.uint8)
    no_brain = np.where(BRAIN == 1, 0, BRAIN).astype(np.uint8)
    one = _compare(tmp_path, BRAIN, no_glio)
    assert (one.dice_enhancing, one.status) == (0.0, AgreementStatus.ONE_EMPTY)
    neither = _compare(tmp_path, no_brain, no_glio)
    assert math.isnan(neither.dice_enhancing)
    assert neither.status is AgreementStatus.BOTH_EMPTY
    assert 0 < neither.dice_whole < 1
    nothing = _compare(tmp_path, np.zeros_like(BRAIN), np.zeros_like(GLIO))
    assert math.isnan(nothing.dice_whole)


def test_other_grids_are_refused(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 0.5
    with pytest.raises(GridMismatchError, match=r"brain\.nii\.gz and .*glio\.nii\.gz must lie"):
        _compare(tmp_path, BRAIN, GLIO, affine=moved)
    with pytest.raises(GridMismatchError):
        _compare(tmp_path, BRAIN, GLIO[:-1])


def test_dice_against_sets() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, two = rng.random(SHAPE) < 0.3, rng.random(SHAPE) < 0.1
        a, b = set(np.flatnonzero(one)), set(np.flatnonzero(two))
        assert dice(one, two) == pytest.approx(2 * len(a & b) / (len(a) + len(b)))


def test_a_broken_session_does_not_stop_the_others(tmp_path: Path) -> None:
    good = _save(tmp_path / "a.nii.gz", BRAIN), _save(tmp_path / "b.nii.gz", GLIO)
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(good[0].read_bytes()[:40])
    sessions = pd.DataFrame({"patient_id": "P1", "session_id": ["s0", "s1", "s2"]})
    masks = {("P1", "s0"): (str(good[0]), str(bad)), ("P1", "s1"): (str(good[0]), str(good[1]))}
    found, failures = add_agreement(sessions, masks)
    assert list(found["agreement"]) == ["failed", "both", ""]
    assert list(found["dice_enhancing"].isna()) == [True, False, True]
    assert len(failures) == 1
    assert failures[0].startswith("P1 s0: the two segmentations cannot be compared: ")
    assert "agreement" not in sessions
    assert describe_agreement(found) == (
        "both tools segmented 2 sessions: 1 with enhancing tumour in both, 0 in one alone, 0 in "
        f"neither, 1 failed; median Dice enhancing 0.57, whole {found['dice_whole'][1]:.2f}"
    )
    assert describe_agreement(sessions) == ""
    assert list(add_agreement(sessions.iloc[:0], {})[0]["agreement"]) == []


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("agreement") / "phantom"
    settings = PhantomSettings(
        patients=1, visits=(1, 1), spacing_mm=5.0, raw_scans=True, hdglio=True, seed=2
    )
    write_phantom(out, settings)
    return out


def test_the_phantoms_native_masks_lie_on_the_raw_grids(phantom: Path) -> None:
    folder = sorted((phantom / "Imaging").glob("*/*"))[0]
    for name in ("T1", "CT1", "T2", "FLAIR"):
        raw = nib.load(folder / f"{name}.nii.gz")
        native = folder / "HD-GLIO-AUTO-segmentation" / "native"
        labels = nib.load(native / f"segmentation_{name}_origspace.nii.gz")
        assert labels.shape == raw.shape
        assert np.array_equal(labels.affine, raw.affine)
        other = folder / "DeepBraTumIA-segmentation" / "native" / "segmentation"
        mine = np.asarray(nib.load(other / f"{name.lower()}_seg_mask.nii.gz").dataobj)
        assert np.array_equal(np.asarray(labels.dataobj) == 2, mine == 1)


def test_index_writes_the_columns(phantom: Path, tmp_path: Path) -> None:
    shown = []

    def show(items, what):
        shown.append(what)
        return items

    summary = index_cohort(phantom, tmp_path, image_source="native", agreement=True, progress=show)
    assert shown == ["comparing segmentations"]
    sessions = read_sessions(tmp_path / "sessions.csv")
    assert set(sessions["agreement"]) <= {"both", "both_empty"}
    seen = sessions[sessions["agreement"] == "both"]
    # both tools are drawn from one truth
    assert seen["dice_enhancing"].astype(float).tolist() == [1.0] * len(seen)
    assert len(seen) > 0
    assert f"both tools segmented {len(sessions)} sessions" in summary.describe()
    assert "agreement" not in read_sessions(_indexed(phantom, tmp_path / "plain"))


def _indexed(tree: Path, out: Path) -> Path:
    index_cohort(tree, out)
    return out / "sessions.csv"


@pytest.mark.parametrize(
    ("source", "space"), [("atlas", "atlas"), ("hdglio", "session"), ("native", "native")]
)
def test_the_phantom_can_be_indexed_from_every_source(
    phantom: Path, tmp_path: Path, source: str, space: str
) -> None:
    summary = index_cohort(phantom, tmp_path, image_source=source)
    sessions = read_sessions(tmp_path / "sessions.csv")
    assert set(sessions["space"]) == {space}
    assert all(Path(path).is_file() for path in sessions["FLAIR"])
    assert summary.segmentations == len(sessions) * (1 if source == "hdglio" else 2)


def test_agreement_is_lumieres_alone(tmp_path: Path) -> None:
    (tmp_path / "sessions.csv").write_text(
        "patient_id,session_id,week,rating,T1\nP1,a,0,,a.nii.gz\n"
    )
    with pytest.raises(ConfigError, match="agreement: an option of lumiere alone"):
        index_cohort(tmp_path, tmp_path / "out", dataset="manifest", agreement=True)
