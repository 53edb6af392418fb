from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.special import softmax

from xrano.data.tables import read_exclusions
from xrano.errors import ManifestError, UnknownNameError
from xrano.experiments.timeline import patient_timeline, tissue_volumes
from xrano.training.run import Run
from xrano.viz.timeline_figure import timeline_figure


def most_tested(run: Run) -> str:
    """The patient with the most out-of-fold predictions."""
    return run.predictions["patient_id"].value_counts().sort_index().idxmax()


def share_table(pair_id: str, patient: str, **changes) -> pd.DataFrame:
    row = {
        "run": "tiny",
        "weights": "trained",
        "pair_id": pair_id,
        "patient_id": patient,
        "predicted": "PD",
        "target": "PD",
        "method": "ig",
        "baseline": "zero",
        "timepoint": "current",
        "sequence": "CT1",
        "share": 0.7,
        "status": "ok",
    }
    others = [
        {"timepoint": "prior", "share": 0.3},
        {"sequence": "all", "share": 0.7},
        {"weights": "random-0", "method": "saliency"},
        {"target": "CR", "method": "saliency"},
        {"status": "zero_map", "share": float("nan"), "method": "saliency"},
        {"pair_id": "elsewhere", "method": "saliency"},
        {"patient_id": "elsewhere", "method": "saliency"},
    ]
    return pd.DataFrame([row, *({**row, **other} for other in others)]).assign(**changes)


def test_visits_are_all_sessions_in_time_with_those_that_were_left_out(tiny_run):
    for patient in tiny_run.store.sessions["patient_id"].unique():
        found = patient_timeline(tiny_run, patient)
        table = tiny_run.store.sessions.query("patient_id == @patient")
        out = read_exclusions(tiny_run.store.root / "exclusions.csv").query(
            "patient_id == @patient"
        )
        known = {visit.session_id: visit for visit in found.visits}
        assert set(known) == set(table["session_id"]) | set(out["session_id"])
        weeks = [visit.week for visit in found.visits]
        assert weeks == sorted(weeks)
        current = set(tiny_run.pairs().query("patient_id == @patient")["current_session"])
        assert {name for name, visit in known.items() if not visit.excluded} == current
        for row in table.to_dict("records"):
            assert known[row["session_id"]].rating == row["rating"]
            assert known[row["session_id"]].week == row["week"]


def test_volumes_of_tissues_add_up_to_the_whole_tumour(tiny_run):
    patient = most_tested(tiny_run)
    volumes = tiny_run.store.volumes.query("patient_id == @patient and region == 'whole'")
    found = {
        visit.session_id: visit.volumes for visit in patient_timeline(tiny_run, patient).visits
    }
    for row in volumes.to_dict("records"):
        own = found[row["session_id"]]
        assert set(own) == {"enhancing", "necrosis", "oedema"}
        assert sum(own.values()) == pytest.approx(row["ml"])


def test_tissues_that_a_segmentation_does_not_tell_are_missing():
    assert tissue_volumes({}) == {}
    assert tissue_volumes({"enhancing": 3.0}) == {"enhancing": 3.0}
    # Rounding of the table may leave a difference just below zero.
    found = tissue_volumes({"enhancing": 2.0, "core": 2.0 - 1e-9, "whole": 2.0})
    assert found["necrosis"] == 0


def test_predictions_are_those_of_the_run_at_the_current_session(tiny_run):
    patient = most_tested(tiny_run)
    table = tiny_run.predictions.query("patient_id == @patient").set_index("pair_id")
    pairs = tiny_run.pairs().set_index("pair_id")
    found = patient_timeline(tiny_run, patient).predictions
    assert {item.pair_id for item in found} == set(table.index)
    for item in found:
        row = table.loc[item.pair_id]
        expected = softmax([float(row[f"logit_{name}"]) for name in ("CR", "PR", "SD", "PD")])
        assert list(item.probabilities.values()) == pytest.approx(list(expected))
        assert (item.truth, item.predicted) == (row["response"], row["predicted"])
        assert item.current_session == pairs.loc[item.pair_id, "current_session"]


def test_a_patient_of_no_trained_fold_has_no_prediction_and_it_is_said(tiny_run):
    known = set(tiny_run.predictions["patient_id"])
    patient = next(name for name in tiny_run.store.sessions["patient_id"] if name not in known)
    found = patient_timeline(tiny_run, patient)
    assert found.predictions == ()
    assert "no fold that was trained tests this patient" in found.notes[0]


def test_an_untrained_run_has_no_predictions_and_it_is_said(tiny_run):
    training = replace(tiny_run.config.training, epochs=0)
    untrained = replace(tiny_run, config=replace(tiny_run.config, training=training))
    found = patient_timeline(untrained, most_tested(tiny_run))
    assert found.predictions == ()
    assert "untrained run" in found.notes[0]


def test_shares_are_of_the_networks_own_maps_of_the_predicted_class(tiny_run):
    patient = most_tested(tiny_run)
    pair = tiny_run.pairs().query("patient_id == @patient").iloc[0]
    (found,) = patient_timeline(tiny_run, patient, share_table(pair["pair_id"], patient)).shares
    assert found.method == "ig:zero"
    assert found.current_session == pair["current_session"]
    assert found.shares == {("current", "CT1"): 0.7, ("prior", "CT1"): 0.3}


def test_a_folder_without_shares_is_refused(tiny_run, tmp_path):
    with pytest.raises(ManifestError, match=r"shares\.csv"):
        patient_timeline(tiny_run, most_tested(tiny_run), tmp_path)


def test_an_unknown_patient_is_refused_with_near_ones(tiny_run):
    patient = most_tested(tiny_run)
    with pytest.raises(UnknownNameError, match=f"did you mean '{patient}'"):
        patient_timeline(tiny_run, patient.replace("-", "_"))


def test_operations_lie_before_the_scan_after_them(tiny_run):
    marked = 0
    for patient in tiny_run.store.sessions["patient_id"].unique():
        found = patient_timeline(tiny_run, patient)
        roles = {visit.session_id: visit.role for visit in found.visits}
        assert [session for session, _ in found.events] == [
            name for name, role in roles.items() if role == "postop"
        ]
        marked += len(found.events)
    assert marked


def changed(run: Run, tmp_path, change) -> Run:
    """The run over a copy of the tables of its store, changed."""
    root = tmp_path / "store"
    root.mkdir()
    for name in ("sessions.csv", "pairs.csv", "exclusions.csv", "volumes.csv"):
        frame = pd.read_csv(run.store.root / name, dtype=str, keep_default_na=False)
        change(name, frame).to_csv(root / name, index=False)
    return replace(run, store=replace(run.store, root=root))


def test_sessions_that_were_not_prepared_stand_where_their_name_says(tiny_run, tmp_path):
    patient = most_tested(tiny_run)

    def change(name, frame):
        if name != "exclusions.csv":
            return frame
        rows = [
            (patient, "week-999-2", "", "preop"),
            (patient, "undated", "blurred", "marked"),
        ]
        return pd.DataFrame(rows, columns=frame.columns)

    found = patient_timeline(changed(tiny_run, tmp_path, change), patient)
    last = found.visits[-1]
    assert (last.session_id, last.week, last.excluded) == ("week-999-2", 999, "before operation")
    assert not last.volumes
    assert "undated (blurred)" in " ".join(found.notes)


def test_one_visit_without_segmentation_and_with_treatment_is_drawn(tiny_run, tmp_path):
    patient = most_tested(tiny_run)

    def change(name, frame):
        if name == "sessions.csv":
            own = frame["patient_id"] == patient
            frame = frame[~own | ~frame["patient_id"].duplicated()]
            return frame.assign(chemotherapy="TMZ $2$ <b>")
        return frame[frame["patient_id"] != patient]

    found = patient_timeline(changed(tiny_run, tmp_path, change), patient)
    (visit,) = found.visits
    assert visit.treatment == "TMZ $2$ <b>"
    assert visit.volumes == {}
    assert visit.excluded == "in no pair"
    FigureCanvasAgg(timeline_figure(found)).draw()


def test_visits_of_one_week_keep_the_order_of_their_names(tiny_run, tmp_path):
    patient = most_tested(tiny_run)

    def change(name, frame):
        if name == "sessions.csv":
            frame.loc[frame["patient_id"] == patient, ["week", "days"]] = "5"
        return frame

    found = patient_timeline(changed(tiny_run, tmp_path, change), patient)
    there = set(tiny_run.store.sessions.query("patient_id == @patient")["session_id"])
    own = [visit for visit in found.visits if visit.session_id in there]
    assert {visit.week for visit in own} == {5}
    FigureCanvasAgg(timeline_figure(found)).draw()
