from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xrano.errors import UnknownNameError
from xrano.evaluation.evaluate import evaluate_predictions
from xrano.experiments.figures import KINDS, FigureRequest, make_figures
from xrano.experiments.layer_sweep import SUMMARY_COLUMNS as LAYER_COLUMNS
from xrano.experiments.saved_explanation import saved_explanation
from xrano.map_files import save_map
from xrano.maps import AttributionMap
from xrano.scoring.shares import SHARE_COLUMNS
from xrano.scoring.summary import SUMMARY_COLUMNS
from xrano.training.run import Run
from xrano.viz.panel_page import SIDES
from xrano.viz.slices import Convention

LOGITS = {"CR": 0.0, "PR": 0.0, "SD": 0.0, "PD": np.log(3.0)}


def write_maps(run: Run, out: Path) -> None:
    pairs = run.pairs()
    pairs = pairs[(pairs["response"] != "") & ~pairs["spans_surgery"]]
    for number, pair in enumerate(pairs.to_dict("records")):
        data = np.random.default_rng(number).normal(size=(1, *run.store.grid.shape))
        facts = {
            **{name: pair[name] for name in ("pair_id", "patient_id", "response")},
            "prior": pair["prior_session"],
            "current": pair["current_session"],
            "predicted": "PD",
            "target_name": "PD",
            "method": "saliency",
            "logits": LOGITS,
        }
        save_map(AttributionMap(data.astype(np.float32), run.store.grid, ("all",), facts), out)


def write_scores(run: Run, out: Path) -> None:
    out.mkdir()
    row = dict.fromkeys(SUMMARY_COLUMNS, 1)
    row |= {"response": "PD", "method": "saliency", "descriptive": True}
    pd.DataFrame([row]).to_csv(out / "summary.csv", index=False)
    share = dict.fromkeys(SHARE_COLUMNS, "")
    pair = run.predictions.iloc[0]
    share |= {
        **{"pair_id": pair["pair_id"], "patient_id": pair["patient_id"], "weights": "trained"},
        **{"target": "PD", "predicted": "PD", "method": "saliency", "timepoint": "current"},
        **{"sequence": "CT1", "share": 1.0, "expected": 0.5, "status": "ok", "one_visit": True},
    }
    pd.DataFrame([share]).to_csv(out / "shares.csv", index=False)


def write_layers(out: Path) -> None:
    out.mkdir()
    row = dict.fromkeys(LAYER_COLUMNS, 1.0)
    row |= {"method": "gradcam", "layer": "b", "cells": "2×2×2", "chosen": True}
    row |= {"n_pairs": 5, "n_patients": 4}
    rows = [{**row, "part": part} for part in ("training", "held out")]
    pd.DataFrame(rows).to_csv(out / "layers_summary.csv", index=False)


def write_study(run: Run, out: Path) -> None:
    out.mkdir()
    found = evaluate_predictions(run.predictions, n_resamples=20)
    names = {"concat": "arm", "majority": "reference"}
    (out / "study.json").write_text(json.dumps({"evaluations": dict.fromkeys(names, found)}))
    rows = [
        {"name": name, "kind": kind, "approach": "stems", "verdict": ""}
        for name, kind in names.items()
    ]
    pd.DataFrame(rows).to_csv(out / "study.csv", index=False)


@pytest.fixture(scope="module")
def inputs(tiny_run: Run, tmp_path_factory) -> dict[str, Path]:
    """Folders as other commands write them."""
    root = tmp_path_factory.mktemp("inputs")
    folders = {name: root / name for name in ("maps", "scores", "layers", "study", "audit")}
    write_maps(tiny_run, folders["maps"])
    write_scores(tiny_run, folders["scores"])
    write_layers(folders["layers"])
    write_study(tiny_run, folders["study"])
    return folders


@pytest.fixture(scope="module")
def audit(inputs: dict[str, Path]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "audit"))
        from audit_tables import made
    from xrano.experiments.audit.audit_files import write_audit

    write_audit(made(3), inputs["audit"])
    return inputs["audit"]


def test_every_kind_whose_inputs_are_there_is_drawn(tiny_run, inputs, audit, tmp_path):
    found = make_figures(tiny_run, tmp_path, FigureRequest(folders=inputs))
    assert found.missing == ()
    assert {path.name for path in found.files} == {
        *("atlas.png", "timeline.png", "overlap.png", "reliability.png", "layers.png"),
        *("case_panel.png", "comparison.png", "study_forest.png", "study_reliability.png"),
        *("audit.png", "audit-kinds.png"),
    }
    for path in found.files:
        pixels = np.asarray(Image.open(path).convert("L"))
        assert min(pixels.shape) > 200
        assert np.ptp(pixels) > 100


def test_of_the_others_the_command_is_told(tiny_run, tmp_path):
    found = make_figures(tiny_run, tmp_path / "out")
    assert [path.name for path in found.files] == ["timeline.png", "reliability.png"]
    commands = {item.kind: item.command.split()[:2] for item in found.missing}
    assert commands == {
        "atlas": ["xrano", "explain"],
        "overlap": ["xrano", "score"],
        "layers": ["xrano", "layers"],
        "case": ["xrano", "explain"],
        "comparison": ["xrano", "explain"],
        "study": ["xrano", "study"],
        "audit": ["xrano", "audit"],
    }
    assert all(item.why for item in found.missing)
    assert str(tiny_run.root) in found.missing[0].command


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_forms_for_print(tiny_run, inputs, tmp_path, form):
    request = FigureRequest(kinds=("atlas", "timeline"), folders=inputs, form=form)
    found = make_figures(tiny_run, tmp_path, request)
    start = {"svg": b"<?xml", "pdf": b"%PDF"}[form]
    assert [path.name for path in found.files] == [f"atlas.{form}", f"timeline.{form}"]
    assert all(path.read_bytes().startswith(start) for path in found.files)


def test_the_same_call_gives_the_same_bytes(tiny_run, inputs, tmp_path):
    request = FigureRequest(kinds=("atlas", "timeline"), folders=inputs)
    first, second = (
        make_figures(tiny_run, tmp_path / name, request).files for name in ("one", "two")
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_broken_input_stops_only_its_own_figure(tiny_run, inputs, tmp_path):
    scores = tmp_path / "scores"
    scores.mkdir()
    (scores / "summary.csv").write_text("no,table\n1,2\n")
    request = FigureRequest(kinds=("overlap", "reliability"), folders={**inputs, "scores": scores})
    found = make_figures(tiny_run, tmp_path / "out", request)
    assert [path.name for path in found.files] == ["reliability.png"]
    assert [item.kind for item in found.missing] == ["overlap"]


def test_a_patient_is_drawn_by_name_and_an_unknown_one_is_refused(tiny_run, inputs, tmp_path):
    pairs = tiny_run.pairs()
    patient = pairs[pairs["response"] == "SD"]["patient_id"].iloc[0]
    request = FigureRequest(kinds=("timeline", "case"), folders=inputs, patient=patient)
    assert len(make_figures(tiny_run, tmp_path, request).files) == 2
    with pytest.raises(UnknownNameError, match="patient in"):
        make_figures(tiny_run, tmp_path, FigureRequest(patient="Nobody"))


def test_all_figures_are_as_wide_as_a_column(tiny_run, inputs, audit, tmp_path):
    found = make_figures(tiny_run, tmp_path, FigureRequest(folders=inputs, width="double"))
    for path in found.files:
        with Image.open(path) as image:
            assert image.width / image.info["dpi"][0] * 25.4 == pytest.approx(183, abs=0.5), path


def test_slices_turn_with_the_convention(tiny_run, inputs, tmp_path):
    for seen, other in permutations(("radiological", "neurological")):
        request = FigureRequest(
            kinds=("atlas", "case", "comparison"), folders=inputs, form="svg", convention=seen
        )
        for path in make_figures(tiny_run, tmp_path / seen, request).files:
            said = path.read_text().lower()
            assert SIDES[Convention(seen)].lower() in said, path
            assert SIDES[Convention(other)].lower() not in said, path


@pytest.mark.parametrize(
    "changes",
    [{"kinds": ("poster",)}, {"form": "bmp"}, {"width": "huge"}, {"convention": "upside down"}],
)
def test_unknown_kinds_and_forms_are_refused_before_anything_is_written(
    tiny_run, tmp_path, changes
):
    with pytest.raises(UnknownNameError):
        make_figures(tiny_run, tmp_path / "out", FigureRequest(**changes))
    assert not (tmp_path / "out").exists()


def test_what_the_network_said_comes_from_the_sidecar(tiny_run, inputs):
    path = next(inputs["maps"].rglob("*_statmap.nii.gz"))
    pair_id = json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text())["pair_id"]
    found = saved_explanation(tiny_run, pair_id, [path])
    assert found.predicted == "PD"
    assert found.probabilities == pytest.approx({"CR": 1 / 6, "PR": 1 / 6, "SD": 1 / 6, "PD": 0.5})
    assert found.pair.pair_id == pair_id


def test_kinds_are_described():
    assert all(KINDS.values())
