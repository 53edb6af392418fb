from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from xrano.attribution.methods import AttributionSettings
from xrano.cli.main import main
from xrano.data.pair_volumes import load_pair
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.tables import write_table
from xrano.errors import (
    ConfigError,
    ManifestError,
    ModelError,
    SplitError,
    UnknownNameError,
    VolumeError,
)
from xrano.experiments.explained_pairs import explain_pairs
from xrano.experiments.outside_pair import explain_outside
from xrano.explain import Explainer
from xrano.map_files import find_maps, load_map
from xrano.training.run import Run, open_run

METHODS = ("saliency", "gradcam", "ig:prior")
QUICK = AttributionSettings(n_steps=3)


@pytest.fixture(scope="module")
def some(tiny_run: Run) -> list[str]:
    """A test pair of each trained fold, and another one."""
    table = tiny_run.predictions
    first = [table[table["fold"] == fold]["pair_id"].iloc[0] for fold in (0, 1)]
    return [*first, table[table["fold"] == 1]["pair_id"].iloc[-1]]


@pytest.fixture(scope="module")
def explained(tiny_run: Run, some: list[str], tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("explained")
    panels = explain_pairs(tiny_run, some, METHODS, out, settings=QUICK)
    return out, panels


def current_scan(run: Run, pair_id: str) -> Path:
    row = run.pair(pair_id)
    sessions = run.store.sessions.set_index(["patient_id", "session_id"])
    return Path(sessions.loc[(row["patient_id"], row["current_session"])]["CT1"])


def maps_of(out: Path, pair_id: str) -> dict[str, Path]:
    found = {}
    for path in find_maps(out):
        meta = load_map(path).meta
        if meta["pair_id"] == pair_id:
            found[f"{meta['method']}:{meta['baseline']}".strip(":")] = path
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


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


# --- again


def test_what_is_finished_is_not_made_again(tiny_run: Run, explained, some: list[str]):
    out, panels = explained
    before = stamps(out)
    assert explain_pairs(tiny_run, some, METHODS, out, settings=QUICK) == panels
    assert stamps(out) == before


def test_other_settings_are_explained_anew(tiny_run: Run, some: list[str], tmp_path: Path):
    pair_id = some[0]
    first = explain_pairs(tiny_run, [pair_id], ["ig"], tmp_path, settings=QUICK)[0]
    before = stamps(tmp_path)
    other = AttributionSettings(n_steps=4)
    assert explain_pairs(tiny_run, [pair_id], ["ig"], tmp_path, settings=other) == [first]
    changed = {path for path, stamp in stamps(tmp_path).items() if stamp != before.get(path)}
    assert first in changed
    assert {path for path in changed if path.name.endswith(".nii.gz")}
    meta = load_map(find_maps(tmp_path)[0]).meta
    assert meta["n_steps"] == 4


def test_a_store_made_anew_is_explained_anew(
    tiny_run: Run, explained, some: list[str], phantom_index: Path, tmp_path: Path
):
    """The same network, the same pair, other intensities: the old maps are of other inputs."""
    out = tmp_path / "out"
    shutil.copytree(explained[0], out)
    prepare_index(phantom_index, tmp_path / "store", PrepareSettings(normalisation="brain"))
    run = open_run(tiny_run.root, store=tmp_path / "store")
    explain_pairs(run, some[:1], METHODS, out, settings=QUICK)
    before, after = (
        load_map(maps_of(folder, some[0])["saliency"]) for folder in (explained[0], out)
    )
    assert before.meta["input_sha256"] != after.meta["input_sha256"]


@pytest.mark.parametrize("lost", ["panel", "record"])
def test_what_is_lost_is_made_again_and_is_the_same(
    tiny_run: Run, explained, some: list[str], tmp_path: Path, lost: str
):
    out, _ = explained
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    name = {"panel": f"panels/{some[0]}.png", "record": f"explanations/{some[0]}.json"}[lost]
    (copy / name).unlink()
    explain_pairs(tiny_run, some, METHODS, copy, settings=QUICK)
    assert contents(copy) == contents(out)


def test_a_record_cut_off_is_made_again(tiny_run: Run, explained, some: list[str], tmp_path: Path):
    out, _ = explained
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "explanations" / f"{some[1]}.json").write_text('{"key": "')
    explain_pairs(tiny_run, some, METHODS, copy, settings=QUICK)
    assert contents(copy) == contents(out)


def test_explaining_that_was_killed_ends_with_the_same_files(
    tiny_run: Run, explained, some: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Killed once the first pair is finished, then run again to the end."""
    out, _ = explained
    copy = tmp_path / "copy"
    arguments = ["explain", str(tiny_run.root), "--pair", *some, "--methods", *METHODS]
    arguments += ["--n_steps", "3", "--out", str(copy)]
    process = subprocess.Popen(
        [sys.executable, "-m", "xrano.cli.main", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    first = copy / "explanations" / f"{some[0]}.json"
    end = time.monotonic() + 120
    while not first.exists():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (copy / "explanations" / f"{some[2]}.json").exists()
    kept = first.stat().st_mtime_ns
    assert main(arguments) == 0
    assert first.stat().st_mtime_ns == kept
    assert str(copy / "panels" / f"{some[2]}.png") in capsys.readouterr().out
    whole, again = contents(out), contents(copy)
    # The panels' options are part of a record: the command line names them all.
    for name in [name for name in whole if name.startswith("explanations")]:
        one, two = (json.loads(files.pop(name)) for files in (whole, again))
        drop = ("key", "panel")
        assert {k: v for k, v in one.items() if k not in drop} == {
            k: v for k, v in two.items() if k not in drop
        }
    # A file that was being written when the process died is hidden, and read by nobody.
    assert {n: data for n, data in again.items() if not Path(n).name.startswith(".")} == whole


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


# --- two folders outside the cohort


@pytest.fixture(scope="module")
def outside(tiny_run: Run, some: list[str], tmp_path_factory: pytest.TempPathFactory):
    """The second pair's folders under a patient whom no network has seen."""
    row = tiny_run.pair(some[0])
    home = tmp_path_factory.mktemp("outside") / "Patient-900"
    for name in ("prior_session", "current_session"):
        scan = nib.load(current_scan(tiny_run, some[0])).get_filename()
        session = Path(scan).parents[4] / row[name]
        shutil.copytree(session, home / row[name])
    return home / row["prior_session"], home / row["current_session"]


def test_outside_a_cohort_a_pair_is_explained_as_inside(
    tiny_run: Run, explained, outside, some: list[str], tmp_path: Path
):
    """The same network (fold 0), the same scans: the same maps, up to the patient's name."""
    prior, current = outside
    panel = explain_outside(tiny_run, prior, current, METHODS, tmp_path, settings=QUICK)
    pair_id = f"Patient-900_{prior.name}_{current.name}"
    assert panel == tmp_path / "panels" / f"{pair_id}.png"
    assert panel.is_file()
    inside, found = maps_of(explained[0], some[0]), maps_of(tmp_path, pair_id)
    assert set(found) == set(inside)
    for method, path in found.items():
        one, two = nib.load(inside[method]), nib.load(path)
        np.testing.assert_array_equal(one.affine, two.affine)
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))
        a, b = (dict(load_map(p).meta) for p in (inside[method], path))
        for name in ("pair_id", "patient_id", "response", "rating_source", "spans_surgery"):
            a.pop(name), b.pop(name)
        assert a == b


def test_flat_folders_will_do(tiny_run: Run, explained, outside, some: list[str], tmp_path: Path):
    flat = []
    for folder in outside:
        here = tmp_path / "Someone" / folder.name
        here.mkdir(parents=True)
        strip = folder / "DeepBraTumIA-segmentation" / "atlas" / "skull_strip"
        for name in ("CT1", "FLAIR"):
            shutil.copy(strip / f"{name.lower()}_skull_strip.nii.gz", here / f"{name}.nii.gz")
        shutil.copy(strip / "brain_mask.nii.gz", here / "brain_mask.nii.gz")
        labels = nib.load(folder / "DeepBraTumIA-segmentation/atlas/segmentation/seg_mask.nii.gz")
        lesion = (np.asarray(labels.dataobj) > 0).astype(np.uint8)
        nib.save(nib.Nifti1Image(lesion, labels.affine), here / "segmentation.nii.gz")
        flat.append(here)
    explain_outside(tiny_run, flat[0], flat[1], ["saliency"], tmp_path / "out", settings=QUICK)
    (path,) = find_maps(tmp_path / "out")
    one, two = nib.load(maps_of(explained[0], some[0])["saliency"]), nib.load(path)
    # The same voxels are lesion, so the same tissue normalises the pair.
    np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))


def test_two_scans_of_one_name_are_told_apart(tiny_run: Run, outside, tmp_path: Path):
    _, current = outside
    panel = explain_outside(tiny_run, current, current, ["saliency"], tmp_path)
    assert panel.stem == f"Patient-900_{current.name}-prior_{current.name}"


def test_outside_refusals(tiny_run: Run, outside, tmp_path: Path):
    prior, current = outside
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="no response to explain"):
        explain_outside(tiny_run, prior, current, ["saliency"], out, target="response")
    with pytest.raises(VolumeError, match="nowhere is no folder"):
        explain_outside(tiny_run, tmp_path / "nowhere", current, ["saliency"], out)
    lacking = tmp_path / "Patient-901" / "week-001"
    lacking.mkdir(parents=True)
    strip = current / "DeepBraTumIA-segmentation" / "atlas" / "skull_strip"
    shutil.copy(strip / "ct1_skull_strip.nii.gz", lacking / "CT1.nii.gz")
    with pytest.raises(VolumeError, match="lacks FLAIR.*trained on CT1, FLAIR"):
        explain_outside(tiny_run, prior, lacking, ["saliency"], out)
    # In another space: the brain lies two metres away.
    away = tmp_path / "Patient-902" / "week-001"
    away.mkdir(parents=True)
    for name in ("ct1", "flair"):
        image = nib.load(strip / f"{name}_skull_strip.nii.gz")
        affine = image.affine.copy()
        affine[0, 3] += 150.0
        moved = nib.Nifti1Image(np.asarray(image.dataobj), affine)
        nib.save(moved, away / f"{name.upper()}.nii.gz")
    with pytest.raises((ManifestError, VolumeError), match="field of view|inside the brain"):
        explain_outside(tiny_run, prior, away, ["saliency"], out)
    assert not out.exists()


def test_a_scan_of_the_cohort_keeps_its_patient_in_any_folder(
    tiny_run: Run, outside, tmp_path: Path
):
    """A training patient must not be explained by going round the cohort."""
    pairs = tiny_run.pairs()
    untrained = set(tiny_run.splits["folds"][2]["test"])
    pair_id = pairs[pairs["patient_id"].isin(untrained)]["pair_id"].iloc[0]
    prior = Path(current_scan(tiny_run, pair_id)).parents[3]
    renamed = tmp_path / "somebody" / "week-777"
    renamed.parent.mkdir()
    renamed.symlink_to(prior)
    for folders in ((prior, outside[1]), (outside[0], renamed)):
        with pytest.raises(SplitError, match="test patient of fold 2"):
            explain_outside(tiny_run, *folders, ["saliency"], tmp_path / "out")
    own = Path(current_scan(tiny_run, pairs["pair_id"].iloc[-1])).parents[3]
    with pytest.raises(ConfigError, match="different patients"):
        explain_outside(tiny_run, own, renamed, ["saliency"], tmp_path / "out")
