"""A map's way onto the scan as it came from the scanner, and back."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from native_cohort import native_grid
from scanner_places import LEFT, hot_at, placed

from xrano.data.nifti_files import read_nifti
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import UnknownNameError, VolumeError
from xrano.experiments import scan_panel as panel_of_scan
from xrano.experiments.cohort import masks_of, score_one
from xrano.experiments.explained_pairs import save_on_scan
from xrano.experiments.saved_maps import score_saved_maps
from xrano.experiments.scan_panel import scan_panel
from xrano.experiments.scan_place import ScanPlace, scan_place
from xrano.explain import Explainer, Explanation
from xrano.geometry import Grid, image_grid, inverse
from xrano.map_files import find_maps, load_map
from xrano.maps import AttributionMap, in_common_world
from xrano.resampling import resample
from xrano.training.run import Run

KINDS = ("LPS", "RAS", "PIR", "oblique")


@pytest.fixture(params=KINDS)
def place(request, tiny_run: Run, pair: PairVolumes, matrix, tmp_path: Path) -> ScanPlace:
    return placed(tiny_run, pair, matrix, tmp_path / "CT1.nii.gz", request.param)


def centre_of(values: np.ndarray, grid: Grid) -> np.ndarray:
    """The centre of mass in world mm."""
    index = np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3)
    weights = np.maximum(values, 0).ravel()
    return (grid.world(index) * weights[:, None]).sum(axis=0) / weights.sum()


# --- there and back


def test_a_hot_place_goes_to_the_scanner_and_back(pair, matrix, place: ScanPlace, tmp_path: Path):
    path = save_on_scan(hot_at(pair, LEFT), place, tmp_path / "maps")
    saved = nib.load(path)
    found = centre_of(np.asarray(saved.dataobj), image_grid(saved))
    there = nib.affines.apply_affine(inverse(matrix), LEFT)
    np.testing.assert_allclose(found, there, atol=0.5)
    assert np.linalg.norm(there - LEFT) > 30
    back = in_common_world(load_map(path))
    np.testing.assert_allclose(centre_of(back.data[0], back.grid), LEFT, atol=0.5)
    on_store = back.resample_to(pair.grid)
    peak = np.unravel_index(on_store.data[0].argmax(), pair.grid.shape)
    assert (np.abs(pair.grid.world(peak) - LEFT) <= np.array(pair.grid.spacing)).all()
    assert on_store.data[0].sum() == pytest.approx(hot_at(pair, LEFT).data.sum(), rel=0.05)


def test_the_file_lies_exactly_where_the_scan_does(pair, place: ScanPlace, tmp_path: Path):
    saved, scan = nib.load(save_on_scan(hot_at(pair, LEFT), place, tmp_path)), nib.load(place.path)
    assert saved.shape == scan.shape
    np.testing.assert_array_equal(saved.affine, scan.affine)
    # A header keeps three of a quaternion's four numbers in single precision: about half a turn
    # away from the axes the fourth is known to 2e-4 alone.
    np.testing.assert_allclose(saved.get_qform(), scan.affine, atol=2e-3)
    assert int(saved.header["sform_code"]) == 1
    assert int(saved.header["qform_code"]) == 3


def test_the_matrix_is_told_beside_the_map_and_only_where_worlds_differ(
    pair, matrix, place: ScanPlace, tmp_path: Path
):
    meta = load_map(save_on_scan(hot_at(pair, LEFT), place, tmp_path / "moved")).meta
    np.testing.assert_array_equal(np.array(meta["to_common"]), matrix)
    assert meta["scan"] == "CT1"
    still = ScanPlace("CT1", place.path, np.eye(4), 0.0, 1.0)
    unmoved = load_map(save_on_scan(hot_at(pair, LEFT), still, tmp_path / "still"))
    assert "to_common" not in unmoved.meta
    assert in_common_world(unmoved) is unmoved


@pytest.mark.parametrize("wrong", [[[1, 0], [0, 1]], "nonsense", [[0.0] * 4] * 4, [[1], [2, 3]]])
def test_a_matrix_that_is_none_is_refused(pair, wrong: object):
    hot = hot_at(pair, LEFT)
    broken = AttributionMap(hot.data, hot.grid, hot.channels, {**hot.meta, "to_common": wrong})
    with pytest.raises(VolumeError, match="to_common"):
        in_common_world(broken)


# --- left and right


def test_left_is_left_in_the_file(pair, matrix, place: ScanPlace, tmp_path: Path):
    saved = nib.load(save_on_scan(hot_at(pair, LEFT), place, tmp_path))
    scan = nib.load(place.path)
    brain = centre_of(np.asarray(scan.dataobj) > 0, image_grid(scan))
    hot = centre_of(np.asarray(saved.dataobj), image_grid(saved))
    assert hot[0] < brain[0] - 20
    # By index: along the axis that runs to the patient's left, further on than the brain.
    axes = nib.aff2axcodes(saved.affine)
    axis = next(n for n, code in enumerate(axes) if code in "LR")
    at, middle = (image_grid(saved).voxel(point)[axis] for point in (hot, brain))
    assert (at > middle) == (axes[axis] == "L")


@pytest.mark.parametrize(
    ("convention", "side"), [("radiological", "right"), ("neurological", "left")]
)
def test_left_is_drawn_on_the_side_that_the_convention_says(
    pair, place: ScanPlace, convention: str, side: str
):
    explanation = Explanation(pair, {"PD": 1.0}, {"PD": 1.0}, "PD", (hot_at(pair, LEFT),))
    figure = scan_panel(explanation, place, slice_by="peak", convention=convention)
    (ax,) = (ax for ax in figure.axes if ax.get_label() == "map 0 axial")
    drawn = {image.get_label(): np.asarray(image.get_array()) for image in ax.images}
    colour, anatomy = drawn["colour"], drawn["anatomy"]
    hot = (colour.sum(axis=0) * np.arange(colour.shape[1])).sum() / colour.sum()
    shown = anatomy > anatomy.min() + 0.1 * np.ptp(anatomy)
    brain = np.argwhere(shown)[:, 1].mean()
    assert abs(hot - brain) > 0.1 * colour.shape[1]
    assert {True: "right", False: "left"}[bool(hot > brain)] == side
    letters = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert (letters["L"] > letters["R"]) == (convention == "radiological")


def test_prior_scan_and_masks_are_brought_to_the_scan(
    pair, place: ScanPlace, monkeypatch: pytest.MonkeyPatch
):
    """Centre of mass by centre of mass, taken from the store to the scanner by hand."""
    cases = []
    monkeypatch.setattr(panel_of_scan, "case_panel", lambda case, *_, **__: cases.append(case))
    explanation = Explanation(pair, {"PD": 1.0}, {"PD": 1.0}, "PD", ())
    scan_panel(explanation, place, region="whole")
    (case,) = cases
    prior, current, scheme = pair.segmentations["deepbratumia"]
    assert scheme == "lumiere-deepbratumia"
    for found, stored in (
        (case.brain, pair.brain),
        (case.prior_mask, prior > 0),
        (case.current_mask, current > 0),
        (case.prior["CT1"], pair.volume("prior", "CT1")),
    ):
        expected = inverse(place.to_common) @ [*centre_of(stored, pair.grid), 1.0]
        np.testing.assert_allclose(centre_of(found, case.grid), expected[:3], atol=3.0)
    _, data, grid = read_nifti(place.path)
    assert case.grid.matches(grid)
    expected = (data - place.mean) / place.sd
    np.testing.assert_allclose(case.current["CT1"], expected, rtol=1e-4, atol=1e-4)


# --- scoring


@pytest.mark.parametrize(("kind", "tolerance"), [("LPS", 1e-3), ("PIR", 1e-3), ("oblique", 0.1)])
def test_a_map_saved_on_the_scan_scores_as_in_the_store(
    tiny_run: Run, pair, matrix, tmp_path: Path, kind: str, tolerance: float
):
    """Where only axes turn, but for the header's float32; else nearly, at 6 mm voxels."""
    place = placed(tiny_run, pair, matrix, tmp_path / "CT1.nii.gz", kind)
    explainer = Explainer(
        tiny_run.model(tiny_run.fold_of({"patient_id": pair.patient_id})), ["saliency"]
    )
    (attribution,) = explainer.explain(pair).maps
    save_on_scan(attribution, place, tmp_path / "maps")
    table = score_saved_maps(tiny_run, tmp_path / "maps", tmp_path / "scores")
    direct = score_one(attribution, masks_of(pair), "sum")
    compared = 0
    for row in direct:
        # The whole tumour: smaller regions are a handful of voxels here.
        if row["metric"] != "relevance_mass_accuracy" or not row["region"].startswith("whole"):
            continue
        if row["status"] != "ok":
            continue
        same = (
            (table["metric"] == row["metric"])
            & (table["region"] == row["region"])
            & (table["segmentation_source"] == row["segmentation_source"])
            & (table["weights"] == row["weights"])
        )
        (found,) = table[same].to_dict("records")
        assert found["value"] == pytest.approx(row["value"], rel=tolerance)
        assert found["chance"] == pytest.approx(row["chance"])
        compared += 1
    assert compared >= 3


# --- which file, and how it is opened


def test_a_nifti_2_scan_and_one_whose_affines_disagree(pair, matrix, tmp_path: Path):
    grid = native_grid(pair.grid, "CT1", matrix)
    data = np.ones(grid.shape, np.float32)
    nib.save(nib.Nifti2Image(data, grid.affine), tmp_path / "two.nii")
    saved = nib.load(
        save_on_scan(
            hot_at(pair, LEFT), ScanPlace("CT1", tmp_path / "two.nii", matrix, 0, 1), tmp_path / "a"
        )
    )
    np.testing.assert_allclose(saved.affine, grid.affine, atol=1e-4)
    header = nib.Nifti1Header()
    header.set_data_shape(grid.shape)
    wrong = grid.affine.copy()
    wrong[:3, 3] += 30.0
    header.set_sform(wrong, code=1)
    header.set_qform(grid.affine, code=1)
    nib.save(nib.Nifti1Image(data, None, header), tmp_path / "both.nii")
    place = ScanPlace("CT1", tmp_path / "both.nii", matrix, 0, 1, affine_from="qform")
    with pytest.warns(UserWarning, match="the qform is used"):
        saved = nib.load(save_on_scan(hot_at(pair, LEFT), place, tmp_path / "b"))
    np.testing.assert_allclose(saved.affine, grid.affine, atol=1e-4)
    back = in_common_world(load_map(next(iter(find_maps(tmp_path / "b")))))
    np.testing.assert_allclose(centre_of(back.data[0], back.grid), LEFT, atol=0.5)


def test_a_scan_that_cannot_be_opened_is_named(pair, tmp_path: Path):
    (tmp_path / "CT1.nii.gz").write_text("nothing")
    for name in ("CT1.nii.gz", "nowhere.nii"):
        place = ScanPlace("CT1", tmp_path / name, np.eye(4), 0.0, 1.0)
        with pytest.raises(VolumeError, match=name):
            save_on_scan(hot_at(pair, LEFT), place, tmp_path / "out")


def test_the_scan_of_a_pair_is_the_current_one(tiny_run: Run, pair: PairVolumes):
    row = tiny_run.pair(pair.pair_id)
    sessions = tiny_run.store.sessions.set_index(["patient_id", "session_id"])
    files = sessions.loc[(pair.patient_id, pair.current_session)]
    assert scan_place(tiny_run, row).path == Path(files["CT1"])
    place = scan_place(tiny_run, row, "FLAIR")
    assert (place.sequence, place.path) == ("FLAIR", Path(files["FLAIR"]))
    assert not place.is_moved()
    # In the file's own unit: what the store's normalised values are made of.
    _, data, grid = read_nifti(place.path)
    on_grid = resample(np.asarray(data, dtype=np.float32), grid, pair.grid)
    normalised = (on_grid[pair.brain] - place.mean) / place.sd
    expected = pair.volume("current", "FLAIR")[pair.brain]
    inside = expected != 0
    np.testing.assert_allclose(normalised[inside], expected[inside], atol=0.02)
    with pytest.raises(UnknownNameError, match="'T3'.*CT1, FLAIR"):
        scan_place(tiny_run, row, "T3")
