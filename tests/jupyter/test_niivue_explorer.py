"""The explorer in three dimensions, driven as a hand would drive it, without a browser."""

from __future__ import annotations

import gzip
import re
import sys

import ipyniivue
import nibabel as nib
import numpy as np
import pytest
from ipyniivue import SliceType

import xrano
from xrano.errors import ConfigError, UnknownNameError
from xrano.jupyter.controls import ALL_PLANES


@pytest.fixture
def view(tiny_run):
    return xrano.explore(tiny_run, viewer="niivue")


@pytest.fixture
def viewer(view):
    return view.picture.viewer


def opened(volume):
    return nib.Nifti1Image.from_bytes(gzip.decompress(volume.data))


def choose(view, **values):
    for name, value in values.items():
        getattr(view.controls, name).value = value
    assert view.status.value == ""


def crosshair_mm(viewer) -> np.ndarray:
    """Where niivue puts the crosshair: shares of the scan's extent, edge to edge."""
    image = opened(viewer.volumes[0])
    index = np.array(viewer.scene.crosshair_pos) * image.shape[:3] - 0.5
    return nib.affines.apply_affine(image.affine, index)


def told_mm(view) -> dict[str, float]:
    """Plane to the position that the words tell."""
    found = re.findall(r"(\w+) at ([+−][\d.]+) mm", view.words.value)
    return {plane: float(mm.replace("−", "-")) for plane, mm in found}


def test_scan_and_map_lie_on_one_grid_of_the_patient(view, viewer):
    scan, shown = (opened(volume) for volume in viewer.volumes)
    assert [volume.name for volume in viewer.volumes] == ["scan.nii.gz", "map.nii.gz"]
    assert scan.shape == shown.shape
    np.testing.assert_array_equal(scan.affine, shown.affine)
    assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")
    pair = view.explored.explanation.pair
    brain = pair.grid.world(np.argwhere(pair.brain))
    low = nib.affines.apply_affine(scan.affine, [-0.5] * 3)
    high = nib.affines.apply_affine(scan.affine, np.array(scan.shape) - 0.5)
    assert (brain > low).all()
    assert (brain < high).all()
    assert view.picture.bar.value[:4] == b"\x89PNG"


def test_it_begins_radiological_with_all_planes_and_offers_what_it_can_show(view, viewer):
    assert viewer.opts.is_radiological_convention
    assert viewer.opts.sagittal_nose_left
    assert viewer.opts.is_orientation_text_visible
    assert viewer.opts.slice_type is SliceType.MULTIPLANAR
    assert view.controls.plane.value == ALL_PLANES
    assert view.controls.timepoints.disabled
    assert view.controls.mm.disabled
    offered = [value for _, value in view.controls.target.options]
    assert "all" not in offered
    assert {"predicted", "response", "PD", "PD-SD"} <= set(offered)


def test_controls_reach_the_viewer(view, viewer):
    choose(view, convention="neurological")
    assert not viewer.opts.is_radiological_convention
    assert not viewer.opts.sagittal_nose_left
    choose(view, convention="radiological")
    assert viewer.opts.is_radiological_convention


def test_all_planes_are_always_shown_since_letters_of_one_alone_are_misplaced(view, viewer):
    for plane in ("axial", "coronal", "sagittal", ALL_PLANES):
        choose(view, plane=plane)
        assert viewer.opts.slice_type is SliceType.MULTIPLANAR
        assert view.controls.mm.disabled == (plane == ALL_PLANES)
    # niivue's own key would change it.
    assert viewer.opts.view_mode_hot_key == ""


def test_only_what_changes_is_sent_again(view, viewer):
    scan, shown = viewer.volumes
    seen = {shown.data}
    changes = {"threshold": 0.6, "opacity": 0.4, "rectification": "none", "method": "gradcam"}
    for name, value in changes.items():
        choose(view, **{name: value})
        kept, now = viewer.volumes
        assert kept is scan
        assert now.data not in seen, name
        seen.add(now.data)
        assert shown.comm is None
        shown = now
    choose(view, background="FLAIR")
    assert viewer.volumes[0].data != scan.data
    assert scan.comm is None
    assert len(viewer.volumes) == 2
    before = viewer.volumes[0]
    choose(view, pair=view.controls.pair.options[1][1])
    assert viewer.volumes[0] is not before


def test_the_crosshair_stands_where_the_words_say(view, viewer):
    for choice in ("tumour", "peak", "centre"):
        choose(view, slice_by=choice)
        told = told_mm(view)
        wanted = [told[plane] for plane in ("sagittal", "coronal", "axial")]
        np.testing.assert_allclose(crosshair_mm(viewer), wanted, atol=0.051)
    choose(view, plane="coronal")
    slider = view.controls.mm
    choose(view, mm=slider.value + 2 * slider.step)
    assert crosshair_mm(viewer)[1] == pytest.approx(slider.value, abs=1e-3)


def test_a_crosshair_that_was_moved_stays_until_another_slice_is_chosen(view, viewer):
    moved = [0.25, 0.5, 0.75]
    viewer.set_state({"scene": {"crosshairPos": moved}})
    choose(view, threshold=0.5)
    choose(view, method="gradcam")
    assert viewer.scene.crosshair_pos == moved
    choose(view, slice_by="centre")
    assert viewer.scene.crosshair_pos != moved


def test_nothing_to_see_is_said(view):
    assert view.picture.note.value == ""
    choose(view, method="ig:prior")
    choose(view, threshold=0.95)
    assert view.picture.note.value == ""


def test_an_error_hides_the_viewer(view, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("xrano.jupyter.niivue_picture.colours_of", fails)
        view.controls.threshold.value = 0.9
    assert "RuntimeError: no room" in view.status.value
    assert view.picture.layout.display == "none"
    choose(view, threshold=0.1)
    assert view.picture.layout.display is None


def test_its_script_comes_with_the_package_and_loads_no_other():
    script = str(ipyniivue.NiiVue._esm)
    assert len(script) > 1_000_000
    assert not re.search(r"""(import|from|src=)\s*\(?["'`]https?:""", script)


def test_unknown_viewers_are_refused(tiny_run):
    with pytest.raises(UnknownNameError, match=r"unknown viewer .*figure, niivue"):
        xrano.explore(tiny_run, viewer="slicer")


def test_without_ipyniivue_it_says_what_to_install(tiny_run, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "ipyniivue"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "xrano.jupyter.niivue_picture", raising=False)
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    with pytest.raises(ConfigError, match=r'needs ipyniivue.*pip install "xrano\[niivue\]"'):
        xrano.explore(tiny_run, viewer="niivue")
    assert xrano.explore(tiny_run).picture.value[:4] == b"\x89PNG"
