"""The explorer, driven as a hand would drive it, without a browser."""

from __future__ import annotations

import random
import re
import sys
import time

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import xrano
from xrano.errors import ConfigError, UnknownNameError
from xrano.explain import Explainer
from xrano.jupyter.opened_run import OpenRun
from xrano.training.run import Run
from xrano.training.train_run import train_run
from xrano.viz.slice_places import aligned_grid


@pytest.fixture
def view(tiny_run):
    return xrano.explore(tiny_run)


@pytest.fixture
def undrawn(monkeypatch):
    """A picture of the choices in words: drawing is what takes time."""

    def words(case, maps, look, choices):
        figure = Figure(figsize=(4, 0.3))
        named = [str(item.meta["target_name"]) for item in maps]
        figure.text(0, 0.1, f"{case.pair_id} {named} {choices}", fontsize=4)
        return figure

    monkeypatch.setattr("xrano.jupyter.drawn_picture.draw_picture", words)


@pytest.fixture
def explain_calls(monkeypatch):
    calls = []
    original = Explainer.explain

    def spy(self, pair, target="predicted", **options):
        calls.append((pair.pair_id, self.methods, target))
        return original(self, pair, target, **options)

    monkeypatch.setattr(Explainer, "explain", spy)
    return calls


def choose(view, **values):
    for name, value in values.items():
        getattr(view.controls, name).value = value
    assert view.status.value == ""
    return view.picture.value


def numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()  # noqa: NPY002


def text_of(widget) -> str:
    return re.sub(r"<[^>]*>", "", widget.value)


def cells_of(view) -> str:
    """The table of scores without its style."""
    return re.sub(r' style="[^"]*"', "", view.scores.value)


def test_the_first_picture_comes_within_three_seconds_of_work(tiny_run):
    before = time.process_time()
    view = xrano.explore(OpenRun(tiny_run))
    assert view.picture.value[:4] == b"\x89PNG"
    assert time.process_time() - before < 3


def test_a_folder_will_do(tiny_run):
    pair = tiny_run.tested_pairs()["pair_id"].iloc[-1]
    view = xrano.explore(str(tiny_run.root), pair, method="gradcam")
    assert view.controls.pair.value == pair
    assert view.controls.method.value == "gradcam"
    assert pair in text_of(view.words)


CHANGES = {
    "method": "gradcam",
    "target": "all",
    "timepoints": "apart",
    "plane": "coronal",
    "threshold": 0.6,
    "opacity": 0.3,
    "rectification": "none",
    "background": "FLAIR",
    "convention": "neurological",
    "outlines": False,
}


def test_every_control_changes_the_picture_and_back(view):
    first = view.picture.value
    seen, before = [first], {}
    for name, value in CHANGES.items():
        control = getattr(view.controls, name)
        before[name] = control.value
        picture = choose(view, **{name: value})
        assert picture not in seen, name
        seen.append(picture)
    # One by one, since values in between (signed maps of each class) are as good as any.
    with view.controls.quietly():
        for name, value in before.items():
            getattr(view.controls, name).value = value
    view.refresh()
    assert view.picture.value == first


def test_every_pair_is_shown_with_what_was_said_of_it(undrawn, view, tiny_run):
    said = tiny_run.predictions.set_index("pair_id")
    for pair_id in list(said.index)[:3]:
        choose(view, pair=pair_id)
        row = said.loc[pair_id]
        right = "right" if row["response"] == row["predicted"] else "wrong"
        words = text_of(view.words)
        assert f"{pair_id}: predicted {row['predicted']}" in words
        assert f"true response {row['response']} (expert): {right}" in words
        logits = row[[f"logit_{name}" for name in tiny_run.task.classes]].to_numpy(float)
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        for name, share in zip(tiny_run.task.classes, shares, strict=True):
            assert f"{name} {share:.2f}" in words


def test_three_planes_need_no_slider(view):
    first = view.picture.value
    assert choose(view, plane="all three") != first
    assert view.controls.mm.disabled
    assert choose(view, plane="axial") == first
    assert not view.controls.mm.disabled


def test_the_slider_stands_where_the_slice_lies_and_moves_it(undrawn, view, tiny_run):
    frame = aligned_grid(tiny_run.store.grid)
    slider = view.controls.mm
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        choose(view, plane=plane)
        low, step = frame.affine[axis, 3], frame.spacing[axis]
        assert (slider.min, slider.step) == (low, step)
        assert slider.max == pytest.approx(low + step * (frame.shape[axis] - 1))
        # On the centre of a layer of voxels.
        assert (slider.value - low) / step == pytest.approx(round((slider.value - low) / step))
    here, first = slider.value, view.picture.value
    assert choose(view, mm=here + slider.step) != first
    assert view.controls.slice_by.value == "mm"
    assert f"axial at {here + slider.step:+.1f} mm, as asked for".replace("-", "−") in text_of(
        view.words
    )
    # Each plane keeps its own position.
    choose(view, plane="coronal")
    choose(view, plane="axial")
    assert slider.value == here + slider.step
    assert choose(view, slice_by="tumour") == first
    assert slider.value == here


def test_the_slice_goes_through_the_peak_of_the_map(undrawn, view):
    choose(view, slice_by="peak")
    attribution = view.explored.maps[0]
    pair = view.explored.explanation.pair
    strength = np.where(pair.brain, np.abs(attribution.data).sum(axis=0), 0)
    index = np.unravel_index(strength.argmax(), strength.shape)
    assert view.controls.mm.value == pytest.approx(pair.grid.world(index)[2])
    # The same place is told in words, with what is there.
    place = ", ".join(f"{one:+.0f}" for one in pair.grid.world(index)).replace("-", "−")
    channel = pair.layout.names.index("current_CT1")
    value = pair.inputs[channel][index]
    words = text_of(view.words)
    assert f"Strongest in the brain at ({place}) mm" in words
    assert f"map {strength[index]:.3g}" in words
    assert f"CT1 {value:+.2f}".replace("-", "−") in words
    choose(view, slice_by="change")
    choose(view, slice_by="centre")
    assert "centre of the brain" in text_of(view.words)


def test_pairs_are_filtered_by_response_and_outcome(undrawn, view, tiny_run):
    said = tiny_run.predictions.set_index("pair_id")
    right = set(said.index[said["response"] == said["predicted"]])
    everyone = {one for _, one in view.controls.pair.options}
    assert everyone == set(tiny_run.tested_pairs()["pair_id"])
    for response in said["response"].unique():
        view.controls.response.value = response
        offered = {one for _, one in view.controls.pair.options}
        assert offered == set(said.index[said["response"] == response])
    view.controls.response.value = ""
    for outcome, wanted in (("right", right), ("wrong", set(said.index) - right)):
        view.controls.outcome.value = outcome
        assert {one for _, one in view.controls.pair.options} == wanted


def test_no_such_pair_is_said_and_nothing_is_shown(undrawn, view):
    view.controls.response.value = "unrated"
    assert view.controls.pair.value is None
    assert "no held-out pair is like that" in view.status.value
    assert view.picture.layout.display == "none"
    view.controls.response.value = ""
    assert view.status.value == ""
    assert view.picture.layout.display is None


def test_the_network_runs_only_for_what_is_not_at_hand(undrawn, tiny_run, explain_calls):
    view = xrano.explore(tiny_run)
    pair = view.controls.pair.value
    assert explain_calls == [(pair, ("saliency",), "predicted")]
    for name, value in (("threshold", 0.5), ("plane", "coronal"), ("rectification", "none")):
        choose(view, **{name: value})
    choose(view, target=view.explored.predicted)
    assert len(explain_calls) == 1
    choose(view, target="all")
    for target in tiny_run.task.classes:
        choose(view, target=target)
    choose(view, target="response")
    assert len(explain_calls) == 2
    choose(view, method="gradcam")
    choose(view, method="saliency")
    choose(view, method="gradcam")
    assert explain_calls[2:] == [(pair, ("gradcam",), "response")]
    choose(view, target="PD-SD")
    choose(view, target="SD-PD")
    choose(view, target="PD-SD")
    assert [call[2] for call in explain_calls[3:]] == ["PD-SD", "SD-PD"]


def test_a_kept_map_is_the_one_that_would_be_made(undrawn, view, tiny_run):
    choose(view, target="all")
    kept = choose(view, target="SD") and view.explored.maps[0]
    pair_id = view.controls.pair.value
    anew = OpenRun(tiny_run).explain(pair_id, ["saliency"], target="SD").maps[0]
    np.testing.assert_allclose(kept.data, anew.data, rtol=0, atol=1e-6 * np.abs(anew.data).max())
    assert kept.meta["target_name"] == "SD"


def test_scores_are_those_of_the_shown_map(undrawn, view):
    explored = view.explored
    scores = explored.scores()
    own = scores[scores["segmentation_source"] == scores["segmentation_source"].iloc[0]]
    row = own[(own["region"] == "core/union") & (own["metric"] == "relevance_mass_accuracy")]
    value, chance = row["value"].item(), row["chance"].item()
    shown = cells_of(view).partition("core/union")[2]
    assert shown.startswith(f"</td><td>{value:.3f}</td><td>{chance:.3f}</td>")
    lift = f"{np.log2(value / chance):+.2f}".replace("-", "−")
    assert f"<td>{lift}</td>" in shown[:90]
    assert "absolute relevance is scored" in view.scores.value
    choose(view, rectification="positive")
    assert "positive relevance is scored" in view.scores.value
    choose(view, rectification="none")
    assert "absolute relevance is scored, though signs are shown" in view.scores.value
    choose(view, target="all")
    assert view.scores.value.count("core/union") == 4
    assert "core/prior" not in view.scores.value


def test_an_undefined_score_says_why(undrawn, view, tiny_run):
    complete = OpenRun(tiny_run).pairs(response="CR")
    if not complete:
        pytest.skip("no CR pair is held out")
    choose(view, pair=complete[0])
    assert "core/current</td><td>undefined: empty mask" in cells_of(view)


def test_an_error_is_one_escaped_line_and_hides_the_old_picture(undrawn, view, monkeypatch):
    def fails(self, pair, target="predicted", **_):
        raise RuntimeError("<b>no</b> memory\nand more\n" + "x" * 1000)

    with monkeypatch.context() as patch:
        patch.setattr(Explainer, "explain", fails)
        view.controls.method.value = "gradcam"
    assert "RuntimeError: &lt;b&gt;no&lt;/b&gt; memory and more x" in view.status.value
    assert "\n" not in view.status.value
    assert "Traceback" not in view.status.value
    assert len(view.status.value) < 600
    for part in (view.picture, view.words, view.scores):
        assert part.layout.display == "none"
    assert isinstance(view.problem, RuntimeError)
    with pytest.raises(ConfigError, match="nothing is shown"):
        _ = view.explored
    choose(view, method="saliency")
    assert view.picture.layout.display is None


def test_stopping_is_no_crash_of_the_widget(undrawn, view, monkeypatch):
    def stopped(self, pair, target="predicted", **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Explainer, "explain", stopped)
        with pytest.raises(KeyboardInterrupt):
            view.controls.method.value = "gradcam"
    assert "stopped" in view.status.value
    choose(view, method="saliency")


def test_says_that_it_is_busy_while_it_computes(undrawn, view, monkeypatch):
    seen = []
    original = Explainer.explain

    def spy(self, *arguments, **options):
        seen.append(text_of(view.status))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Explainer, "explain", spy)
    choose(view, method="ig:prior")
    assert seen == ["Computing Integrated gradients, prior scan …"]


def test_leaves_matplotlib_random_states_and_the_network_alone(tiny_run, monkeypatch):
    model = tiny_run.model(tiny_run.trained_folds[0]).train()
    monkeypatch.setattr(Run, "model", lambda *_: model)
    settings = dict(matplotlib.rcParams)
    figures = plt.get_fignums()
    random.seed(1)
    states = random.getstate(), numpy_state(), torch.get_rng_state().tolist()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    view = xrano.explore(tiny_run)
    choose(view, target="all", method="gradcam")
    assert plt.get_fignums() == figures
    assert dict(matplotlib.rcParams) == settings
    assert random.getstate() == states[0]
    assert numpy_state() == states[1]
    assert torch.get_rng_state().tolist() == states[2]
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(bool((value == weights[name]).all()) for name, value in model.state_dict().items())


def test_methods_that_do_not_fit_are_not_offered(undrawn, view):
    offered = [one for _, one in view.controls.method.options]
    assert {"saliency", "gradcam", "ig:prior", "ig:zero", "occlusion_regions:zero"} <= set(offered)
    assert "tokengrad" not in offered
    assert len(set(offered)) == len(offered)


def test_what_is_shown_can_be_gone_on_with(view):
    explored = view.explored
    assert explored.explanation.pair.pair_id == view.controls.pair.value
    assert explored.maps[0].meta["method"] == "saliency"
    assert len(explored.figure().axes) > 3


def test_an_untrained_run_has_no_outcome_to_filter_by(untrained_config, tmp_path):
    run = train_run(untrained_config, tmp_path / "random", report=lambda *_: None)
    view = xrano.explore(run)
    assert view.controls.outcome.disabled
    assert view.picture.value[:4] == b"\x89PNG"


def test_unknown_names_are_refused_before_anything_is_shown(tiny_run):
    with pytest.raises(UnknownNameError, match="unknown pair"):
        xrano.explore(tiny_run, "Patient-999")
    with pytest.raises(UnknownNameError, match="unknown method"):
        xrano.explore(tiny_run, method="tokengrad")
    with pytest.raises(ConfigError, match="is not a run"):
        xrano.explore("no-such-folder")


def test_without_ipywidgets_it_says_what_to_install(tiny_run, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "ipywidgets"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("controls", "explorer"):
        monkeypatch.delitem(sys.modules, f"xrano.jupyter.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ConfigError, match=r'pip install "xrano\[notebook\]"'):
        xrano.explore(tiny_run)
