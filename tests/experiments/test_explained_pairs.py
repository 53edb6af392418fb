"""Explained pairs: where maps lie, what they and their records say, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from explained_cases import METHODS, QUICK, current_scan, maps_of

from xrano.attribution.methods import AttributionSettings
from xrano.data.image_roots import ROOTS
from xrano.data.pair_volumes import load_pair
from xrano.data.tables import write_table
from xrano.errors import ConfigError, ModelError, SplitError, UnknownNameError
from xrano.experiments.explained_pairs import explain_pairs
from xrano.explain import Explainer
from xrano.map_files import find_maps, load_map
from xrano.training.run import Run, open_run

# --- what is written


def test_maps_lie_on_the_current_scan(tiny_run: Run, explained, some: list[str]):
    out, _ = explained
    for pair_id in some:
        scan = nib.load(current_scan(tiny_run, pair_id))
        found = maps_of(out, pair_id)
        assert set(found) == set(METHODS)
        for method, path in found.items():
            image = nib.load(path)
            channels = () if method == "gradcam" else (4,)
            assert image.shape == (*scan.shape, *channels)
            np.testing.assert_array_equal(image.affine, scan.affine)
            for code in ("sform_code", "qform_code"):
                assert image.header[code] == scan.header[code] == 4
            np.testing.assert_allclose(image.get_qform(), scan.affine, atol=1e-5)
            assert image.get_data_dtype() == np.float32
            assert nib.aff2axcodes(image.affine) == nib.aff2axcodes(scan.affine)


def test_values_are_those_of_the_network_s_own_maps(tiny_run: Run, explained, some: list[str]):
    """Voxel by voxel in world space, for the voxel-wise methods; nothing is interpolated."""
    out, _ = explained
    pair_id = some[1]
    pair = load_pair(tiny_run.store, tiny_run.pair(pair_id), tiny_run.layout)
    explainer = Explainer(tiny_run.model(1), ["saliency"], settings=QUICK)
    direct = explainer.explain(pair).maps[0].data
    saved = nib.load(maps_of(out, pair_id)["saliency"])
    values = np.asarray(saved.dataobj)
    to_saved = np.linalg.inv(saved.affine) @ pair.grid.affine
    rng = np.random.default_rng(0)
    inside = np.argwhere(pair.brain)
    for voxel in inside[rng.choice(len(inside), 200, replace=False)]:
        at = tuple(np.rint(nib.affines.apply_affine(to_saved, voxel)).astype(int))
        np.testing.assert_array_equal(values[at], direct[:, *voxel])


def test_maps_lie_on_the_current_scan_where_the_two_scans_differ(
    tiny_run: Run, explained, some: list[str], tmp_path: Path
):
    """The current scan's file is wider, along other axes, and has scanner codes."""
    pair_id = some[0]
    scan = nib.load(current_scan(tiny_run, pair_id))
    padded = np.pad(np.asarray(scan.dataobj), [(3, 1), (0, 2), (4, 0)])
    affine = scan.affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(affine, (-3, 0, -4))
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt("PIR")
    )
    image = nib.Nifti1Image(padded, affine).as_reoriented(turn)
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    nib.save(image, tmp_path / "CT1.nii.gz")
    root = tmp_path / "store"
    shutil.copytree(tiny_run.store.root, root)
    # It would keep the changed table from leading outside.
    (root / ROOTS).unlink()
    sessions, row = tiny_run.store.sessions, tiny_run.pair(pair_id)
    is_current = (sessions["patient_id"] == row["patient_id"]) & (
        sessions["session_id"] == row["current_session"]
    )
    sessions.loc[is_current, "CT1"] = str(tmp_path / "CT1.nii.gz")
    write_table(root / "sessions.csv", sessions)
    run = open_run(tiny_run.root, store=root)
    explain_pairs(run, [pair_id], ["saliency"], tmp_path / "out", settings=QUICK)
    (path,) = find_maps(tmp_path / "out")
    saved = nib.load(path)
    assert saved.shape == (*image.shape, 4)
    np.testing.assert_array_equal(saved.affine, image.affine)
    assert saved.header["sform_code"] == saved.header["qform_code"] == 1
    # At every place of the usual scan the value is the usual one.
    usual = nib.load(maps_of(explained[0], pair_id)["saliency"])
    values, expected = np.asarray(saved.dataobj), np.asarray(usual.dataobj)
    to_saved = np.linalg.inv(saved.affine) @ usual.affine
    places = np.argwhere(np.abs(expected).sum(axis=-1) > 0)
    at = np.rint(nib.affines.apply_affine(to_saved, places)).astype(int)
    np.testing.assert_array_equal(values[tuple(at.T)], expected[tuple(places.T)])
    assert len(places) > 1000


def test_a_map_tells_what_it_is(tiny_run: Run, explained, some: list[str]):
    out, _ = explained
    for pair_id, fold in zip(some, (0, 1, 1), strict=True):
        row = tiny_run.pair(pair_id)
        predicted = tiny_run.predictions.set_index("pair_id").loc[pair_id]
        for path in maps_of(out, pair_id).values():
            meta = load_map(path).meta
            assert (meta["fold"], meta["weights"], meta["run"]) == (fold, "trained", "tiny")
            assert meta["response"] == row["response"]
            assert meta["predicted"] == meta["target_name"] == predicted["predicted"]
            assert (meta["prior"], meta["current"]) == (
                row["prior_session"],
                row["current_session"],
            )
            for response, logit in meta["logits"].items():
                assert logit == pytest.approx(predicted[f"logit_{response}"], abs=1e-4)
        grad_cam = load_map(maps_of(out, pair_id)["gradcam"]).meta
        assert grad_cam["layer"] == "backbone.features.denseblock2"


def test_every_pair_has_a_panel_and_a_record(explained, some: list[str]):
    out, panels = explained
    assert panels == [out / "panels" / f"{pair_id}.png" for pair_id in some]
    for panel, pair_id in zip(panels, some, strict=True):
        assert panel.read_bytes().startswith(b"\x89PNG")
        record = json.loads((out / "explanations" / f"{pair_id}.json").read_text())
        assert sum(record["probabilities"].values()) == pytest.approx(1.0)
        assert record["predicted"] == max(record["logits"], key=record["logits"].get)
        assert record["methods"] == list(METHODS)
    assert not [path for path in out.rglob(".*") if path.is_file()]


def test_maps_need_not_be_saved(tiny_run: Run, some: list[str], tmp_path: Path):
    explain_pairs(tiny_run, some[:1], ["saliency"], tmp_path, save_maps=False)
    assert {path.name for path in tmp_path.iterdir()} == {"panels", "explanations"}


def test_every_class_can_be_the_target(tiny_run: Run, some: list[str], tmp_path: Path):
    explain_pairs(tiny_run, some[:1], ["gradcam"], tmp_path, target="all")
    found = [load_map(path).meta for path in find_maps(tmp_path) if "_res-" in path.name]
    assert [meta["target_name"] for meta in sorted(found, key=lambda m: m["target"])] == [
        "CR",
        "PR",
        "SD",
        "PD",
    ]
    assert {meta["target_choice"] for meta in found} == {"all"}


# --- refusals


def test_a_test_patient_of_a_fold_that_was_not_trained_is_refused(tiny_run: Run, tmp_path: Path):
    patients = tiny_run.splits["folds"][2]["test"]
    pairs = tiny_run.pairs()
    pair_id = pairs[pairs["patient_id"].isin(patients)]["pair_id"].iloc[0]
    with pytest.raises(SplitError, match=r"test patient of fold 2.*trained: 0, 1.*has seen"):
        explain_pairs(tiny_run, [pair_id], METHODS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_names_list_the_choices_before_anything_is_written(
    tiny_run: Run, some: list[str], tmp_path: Path
):
    out = tmp_path / "out"
    for pair_id, methods, options, words in (
        (some[0][:-1], METHODS, {}, some[0]),
        (some[0], ["saliency", "lrp"], {}, "choose from: captum.NAME, deeplift, gradcam"),
        (some[0], ["ig:median"], {}, "blurred, brain_mean, prior"),
        (some[0], ["gradcam"], {"settings": AttributionSettings("conv9")}, "denseblock2"),
        (some[0], ["saliency"], {"target": "XX"}, "CR, PD, PR, SD, all, predicted, response"),
    ):
        with pytest.raises(UnknownNameError, match=words):
            explain_pairs(tiny_run, [pair_id], methods, out, **options)
        assert not out.exists()
    with pytest.raises(ConfigError, match="at least one method"):
        explain_pairs(tiny_run, some[:1], [], out)
    with pytest.raises(ConfigError, match="takes no baseline"):
        explain_pairs(tiny_run, some[:1], ["saliency:zero"], out)


def test_a_network_that_gives_nan_is_refused_and_the_pair_named(
    tiny_run: Run, some: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(self: Run, fold: int):
        model = original(self, fold)
        torch.nn.init.constant_(next(model.parameters()), float("nan"))
        return model

    original = Run.model
    monkeypatch.setattr(Run, "model", broken)
    with pytest.raises(ModelError, match=f"{some[0]}.*NaN or infinite logits"):
        explain_pairs(tiny_run, some[:1], ["saliency"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
