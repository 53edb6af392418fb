from __future__ import annotations

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xrano.data.label_schemes import region_mask
from xrano.data.registration.template import load_template
from xrano.data.store import read_prepared
from xrano.errors import ConfigError, ManifestError, UnknownNameError
from xrano.experiments.atlas import class_atlas
from xrano.experiments.atlas_background import BACKGROUNDS, template_on, template_wanted
from xrano.experiments.patient_means import PatientMeans
from xrano.geometry import Grid
from xrano.map_files import find_maps, save_map, sidecar_path
from xrano.maps import AttributionMap
from xrano.resampling import resample
from xrano.training.run import Run
from xrano.viz.atlas_figure import atlas_figure

CLASSES = ("CR", "PR", "SD", "PD")


def usable(run: Run) -> list[dict]:
    pairs = run.pairs()
    return pairs[(pairs["response"] != "") & ~pairs["spans_surgery"]].to_dict("records")


def meta(pair: dict, method: str, **changes) -> dict:
    return {
        "pair_id": pair["pair_id"],
        "patient_id": pair["patient_id"],
        "prior": pair["prior_session"],
        "current": pair["current_session"],
        "response": pair["response"],
        "predicted": "PD",
        "target_name": "PD",
        "method": method,
        "weights": "trained",
        "logits": {"CR": 0.0, "PR": 1.0, "SD": 2.0, "PD": 3.0},
        **changes,
    }


def voxel_map(run: Run, pair: dict, seed: int, scale: float = 1.0, **changes) -> AttributionMap:
    rng = np.random.default_rng(seed)
    data = scale * rng.normal(size=(len(run.layout), *run.store.grid.shape))
    return AttributionMap(
        data.astype(np.float32),
        run.store.grid,
        run.layout.names,
        meta(pair, changes.pop("method", "saliency"), **changes),
    )


def cells(grid: Grid) -> Grid:
    """A coarse grid that covers another; not aligned with it."""
    affine = np.diag([30.0, 32.0, 34.0, 1.0])
    affine[:3, 3] = grid.world((0, 0, 0)) + 11.0
    return Grid((5, 6, 4), affine)


def cam(run: Run, pair: dict, seed: int) -> AttributionMap:
    grid = cells(run.store.grid)
    data = np.random.default_rng(seed).normal(size=(1, *grid.shape)).astype(np.float32)
    facts = meta(pair, "gradcam", layer="features", feature_grid={"shape": list(grid.shape)})
    return AttributionMap(data, grid, ("all",), facts)


def brain_of(run: Run, pair: dict) -> np.ndarray:
    prior, current = (
        read_prepared(run.store.session_path(pair["patient_id"], pair[name]), ())
        for name in ("prior_session", "current_session")
    )
    return prior.brain | current.brain


def core_of(run: Run, pair: dict) -> np.ndarray:
    found = []
    for name in ("prior_session", "current_session"):
        session = read_prepared(run.store.session_path(pair["patient_id"], pair[name]), ())
        labels, scheme = session.segmentations["deepbratumia"]
        found.append(region_mask(labels, scheme, "core"))
    return found[0] | found[1]


def by_hand(volumes: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Patient to volumes: the mean of the patients' means, in float64."""
    return np.mean([np.mean(own, axis=0, dtype=np.float64) for own in volumes.values()], axis=0)


@pytest.fixture(scope="module")
def folder(tiny_run: Run, tmp_path_factory) -> Path:
    """A map of two methods of every usable pair, of very different magnitudes."""
    out = tmp_path_factory.mktemp("maps")
    for number, pair in enumerate(usable(tiny_run)):
        save_map(voxel_map(tiny_run, pair, number, scale=10.0 ** (number % 5)), out)
        save_map(cam(tiny_run, pair, number), out)
    return out


@pytest.fixture(scope="module")
def atlas(tiny_run: Run, folder: Path):
    return class_atlas(tiny_run, folder)


def test_means_are_within_patients_then_over_them_whatever_a_maps_magnitude(tiny_run, atlas):
    pairs = usable(tiny_run)
    assert len({pair["patient_id"] for pair in pairs}) < len(pairs)
    for name in {pair["response"] for pair in pairs}:
        volumes: dict[str, list[np.ndarray]] = {}
        for number, pair in enumerate(pairs):
            if pair["response"] == name:
                raw = np.abs(voxel_map(tiny_run, pair, number).data).sum(axis=0)
                brain = brain_of(tiny_run, pair)
                inside = np.where(brain, raw, 0).astype(np.float64)
                times = inside * brain.sum() / inside.sum()
                volumes.setdefault(pair["patient_id"], []).append(times)
        found = atlas.maps["saliency", name]
        np.testing.assert_allclose(found.mean, by_hand(volumes), rtol=1e-4, atol=1e-5)
        assert found.n_patients == len(volumes)
        assert found.n_pairs == sum(map(len, volumes.values()))


def test_coarse_maps_are_rectified_on_their_cells_and_carried_in_world_space(tiny_run, atlas):
    pairs = usable(tiny_run)
    name = pairs[0]["response"]
    volumes: dict[str, list[np.ndarray]] = {}
    for number, pair in enumerate(pairs):
        if pair["response"] == name:
            coarse = cam(tiny_run, pair, number)
            positive = np.maximum(coarse.data[0], 0)
            fine = resample(positive, coarse.grid, tiny_run.store.grid, outside="edge")
            brain = brain_of(tiny_run, pair)
            inside = np.where(brain, fine, 0).astype(np.float64)
            times = inside * brain.sum() / inside.sum()
            volumes.setdefault(pair["patient_id"], []).append(times)
    found = atlas.maps["gradcam", name].mean
    np.testing.assert_allclose(found, by_hand(volumes), rtol=1e-4, atol=1e-5)


def test_the_mean_of_a_map_over_one_patients_brain_is_one(tiny_run, tmp_path):
    pair = usable(tiny_run)[0]
    save_map(voxel_map(tiny_run, pair, 1), tmp_path)
    found = class_atlas(tiny_run, tmp_path)
    mean = found.maps["saliency", pair["response"]].mean
    assert mean[brain_of(tiny_run, pair)].mean(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert not mean[~brain_of(tiny_run, pair)].any()
    assert [*found.maps] == [("saliency", pair["response"])]
    np.testing.assert_array_equal(found.brain, brain_of(tiny_run, pair))


def test_tumours_are_shares_of_patients_of_the_core_of_both_scans(tiny_run, atlas):
    for name in {pair["response"] for pair in usable(tiny_run)}:
        volumes: dict[str, list[np.ndarray]] = {}
        for pair in usable(tiny_run):
            if pair["response"] == name:
                mask = core_of(tiny_run, pair) & brain_of(tiny_run, pair)
                volumes.setdefault(pair["patient_id"], []).append(mask)
        np.testing.assert_allclose(atlas.tumours[name].share, by_hand(volumes), atol=1e-6)
    assert atlas.region == "core"


def test_classes_are_always_the_four_and_methods_in_the_order_of_their_names(atlas):
    assert atlas.classes == CLASSES
    assert atlas.methods == ("saliency", "gradcam")
    assert atlas.background_name.startswith("mean CT1 of the current scans of ")
    assert "that the network chose" in atlas.notes[0]


@pytest.mark.parametrize("axes", ["LPS", "SRA"])
def test_a_lesion_of_the_left_hemisphere_is_on_the_right_of_the_picture(tiny_run, tmp_path, axes):
    pair = next(one for one in usable(tiny_run) if one["response"] == "PD")
    grid = tiny_run.store.grid
    # Saved on a scan whose axes are flipped or permuted.
    turned = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(grid.affine), nib.orientations.axcodes2ornt(axes)
    )
    index = np.stack(np.indices(grid.shape), axis=-1)
    left = np.exp(-((np.linalg.norm(grid.world(index) - [-38, -10, 10], axis=-1) / 15) ** 2))
    data = nib.orientations.apply_orientation(left, turned).astype(np.float32)
    affine = grid.affine @ nib.orientations.inv_ornt_aff(turned, grid.shape)
    scan = Grid(data.shape, affine)
    facts = meta(pair, "saliency", resampled=True)
    save_map(AttributionMap(data[None], scan, ("all",), facts), tmp_path)
    found = replace(class_atlas(tiny_run, tmp_path), tumours={})
    for convention in ("radiological", "neurological"):
        figure = atlas_figure(found, convention=convention)
        (ax,) = (one for one in figure.axes if one.get_label() == "saliency PD axial")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
        box, height = ax.get_window_extent(), pixels.shape[0]
        own = pixels[height - round(box.y1) : height - round(box.y0), round(box.x0) : round(box.x1)]
        coloured = np.ptp(own, axis=2) > 40
        side = np.nonzero(coloured)[1].mean() / own.shape[1]
        assert side > 0.6 if convention == "radiological" else side < 0.4


def test_broken_empty_and_misplaced_maps_are_left_out_and_counted(tiny_run, tmp_path):
    pairs = usable(tiny_run)[:4]
    good = save_map(voxel_map(tiny_run, pairs[0], 0), tmp_path)
    for number, pair in enumerate(pairs[1:3], start=1):
        path = save_map(voxel_map(tiny_run, pair, number), tmp_path)
        image = nib.load(path)
        data = np.asarray(image.dataobj).copy()
        data[3, 3, 3] = np.nan if number == 1 else 0
        if number == 2:
            data[:] = 0
        nib.save(nib.Nifti1Image(data, image.affine), path)
    away = Grid((9, 9, 9), np.eye(4))
    lost = meta(pairs[3], "saliency")
    save_map(AttributionMap(np.ones((1, 9, 9, 9), np.float32), away, ("all",), lost), tmp_path)
    found = class_atlas(tiny_run, tmp_path)
    assert {key: one.n_pairs for key, one in found.maps.items()} == {
        ("saliency", pairs[0]["response"]): 1
    }
    said = " ".join(found.notes)
    assert "1 map that cannot be read or hold NaN" in said
    assert "1 map without relevance in the brain" in said
    assert "1 map on another grid" in said
    # A folder that holds nothing else cannot be averaged.
    good.unlink()
    with pytest.raises(ManifestError, match="no map can be averaged: 1 map that cannot be read"):
        class_atlas(tiny_run, tmp_path)


def test_other_targets_and_random_weights_are_left_out(tiny_run, tmp_path):
    pair = usable(tiny_run)[0]
    true = pair["response"]
    other = next(name for name in CLASSES if name != true)
    for target, weights in ((other, "trained"), (true, "trained"), (other, "random-1")):
        facts = {"predicted": other, "target_name": target, "weights": weights}
        method = "ig" if weights != "trained" else "saliency"
        save_map(voxel_map(tiny_run, pair, 5, method=method, **facts), tmp_path)
    chosen = class_atlas(tiny_run, tmp_path)
    assert [*chosen.maps] == [("saliency", true)]
    assert "1 map of random weights" in " ".join(chosen.notes)
    assert "of the response" in class_atlas(tiny_run, tmp_path, target="response").notes[0]
    with pytest.raises(UnknownNameError, match="target of an atlas"):
        class_atlas(tiny_run, tmp_path, target="all")


def test_methods_are_chosen_by_name_with_or_without_baseline(tiny_run, tmp_path):
    pair = usable(tiny_run)[0]
    for method, baseline in (("saliency", ""), ("ig", "prior"), ("ig", "zero")):
        save_map(voxel_map(tiny_run, pair, 3, method=method, baseline=baseline), tmp_path)
    assert class_atlas(tiny_run, tmp_path).methods == ("saliency", "ig:prior", "ig:zero")
    assert class_atlas(tiny_run, tmp_path, methods=["ig"]).methods == ("ig:prior", "ig:zero")
    assert class_atlas(tiny_run, tmp_path, methods=["ig:zero"]).methods == ("ig:zero",)
    with pytest.raises(UnknownNameError, match="method with maps 'gradcam'.*saliency"):
        class_atlas(tiny_run, tmp_path, methods=["gradcam"])


def test_layers_of_one_method_are_rows_of_their_own(tiny_run, tmp_path):
    pair = usable(tiny_run)[0]
    for layer in ("features.a", "features.b"):
        found = cam(tiny_run, pair, 1)
        save_map(replace(found, meta={**found.meta, "layer": layer}), tmp_path)
    assert class_atlas(tiny_run, tmp_path).methods == ("gradcam@features.a", "gradcam@features.b")


def test_maps_that_were_summed_over_channels_are_told(tiny_run, folder, tmp_path, atlas):
    pair = usable(tiny_run)[0]
    whole = voxel_map(tiny_run, pair, 7)
    summed = AttributionMap(whole.data.sum(axis=0)[None], whole.grid, ("all",), whole.meta)
    save_map(summed, tmp_path)
    assert "summed over channels" in " ".join(class_atlas(tiny_run, tmp_path).notes)
    assert "summed over channels" not in " ".join(atlas.notes)


def test_two_maps_of_one_pair_and_method_are_refused(tiny_run, folder, tmp_path):
    copy = tmp_path / "again"
    path = find_maps(folder)[0]
    for file in (path, sidecar_path(path)):
        (copy / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy / file.parent.name / file.name)
    with pytest.raises(ManifestError, match="two maps are of"):
        class_atlas(tiny_run, [folder, copy])


def test_no_maps_and_maps_of_other_cohorts_say_what_is_wrong(tiny_run, tmp_path):
    with pytest.raises(ManifestError, match="holds no finished map"):
        class_atlas(tiny_run, tmp_path)
    path = save_map(voxel_map(tiny_run, usable(tiny_run)[0], 1), tmp_path)
    facts = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps({**facts, "pair_id": "elsewhere"}))
    with pytest.raises(ManifestError, match="none of 1 maps.*pairs that the run does not have"):
        class_atlas(tiny_run, tmp_path)


def test_the_template_is_no_background_for_scans_that_came_in_an_atlas(tiny_run, folder):
    with pytest.raises(ConfigError, match="not brought to the MNI152 template"):
        class_atlas(tiny_run, folder, background="template")
    with pytest.raises(UnknownNameError, match="background of an atlas"):
        class_atlas(tiny_run, folder, background="white")


def test_the_template_is_the_background_where_the_store_was_brought_to_it(tiny_run, tmp_path):
    frame = pd.read_csv(tiny_run.store.root / "sessions.csv", dtype=str, keep_default_na=False)
    frame.assign(space="native").to_csv(tmp_path / "sessions.csv", index=False)
    store = replace(tiny_run.store, root=tmp_path, settings={"template": "mni152"})
    wanted = {name: template_wanted(name, store) for name in BACKGROUNDS}
    assert wanted == {"auto": True, "scans": False, "template": True}
    assert not template_wanted("auto", replace(store, settings={"template": "none"}))
    template = load_template("mni152")
    # Voxels of the template itself, every fourth, with i towards the left.
    affine = template.grid.affine @ np.diag([-4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = template.grid.world((160, 20, 20))
    found = template_on(Grid((30, 30, 30), affine))
    np.testing.assert_allclose(
        found, template.data[160:40:-4, 20:140:4, 20:140:4][:30], rtol=1e-5, atol=1e-4
    )


def test_patients_that_share_no_world_are_not_averaged(tiny_run, folder):
    store = replace(tiny_run.store, settings={**tiny_run.store.settings, "template": "none"})
    apart = store.sessions.assign(space="native")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "sessions", apart)
        with pytest.raises(ConfigError, match="a place means another one in each patient"):
            class_atlas(replace(tiny_run, store=store), folder)


def test_memory_does_not_grow_with_pairs_or_patients():
    def peak(patients: int, pairs: int) -> int:
        means = PatientMeans()
        rng = np.random.default_rng(0)
        tracemalloc.start()
        for _ in range(patients):
            for _ in range(pairs):
                means.add(rng.random((40, 40, 40), dtype=np.float32))
            means.close_patient()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(12, 6) < 1.05 * peak(2, 2)


def test_patient_means_of_nothing_are_refused():
    means = PatientMeans()
    means.close_patient()
    with pytest.raises(ManifestError, match="nothing was averaged"):
        _ = means.mean
