"""Reports of runs that lack something: each says what, why, and the command that makes it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_pages import cohort, hand_made_audit, page_of, tables_of

from xrano.errors import ConfigError, ManifestError
from xrano.experiments.report.sources import find_sources
from xrano.experiments.summary_files import write_summary
from xrano.scoring.score_table import read_scores, write_scores
from xrano.training.run import Run, open_run
from xrano.training.train_run import train_run


def test_a_run_alone_says_what_is_missing_and_how_to_make_it(own_copy: Path, own_run: Run):
    shutil.rmtree(own_copy / "scores")
    shutil.rmtree(own_copy / "explained")
    (own_run.root / "evaluation.json").unlink()
    page = page_of(own_run, own_copy / "report")
    for command in (
        "xrano evaluate run",
        "xrano score run --out scores",
        "xrano explain run --all --methods saliency gradcam ig:prior --target all "
        "--maps reduced --out explained",
        "xrano faithfulness run --out faithfulness",
        "xrano audit --out audit",
    ):
        assert command in page, command
    assert "5 of 5 parts missing" in page
    assert "Where it looks has not been scored" in page
    # How right the network is can be told all the same.
    assert "reached a balanced accuracy of" in page
    assert len(tables_of(page)["case-table"]) == len(own_run.tested_pairs()) + 1


def test_an_old_run_says_which_tables_it_lacks(own_copy: Path, own_run: Run):
    for name in ("claims", "accounting_summary", "shuffle"):
        (own_copy / "scores" / f"{name}.csv").unlink()
    strata = own_copy / "scores" / "strata.csv"
    pd.read_csv(strata).drop(columns=["q"]).to_csv(strata, index=False)
    page = page_of(own_run, own_copy / "report")
    assert "accounting_summary.csv, shuffle.csv, claims.csv, strata.csv are missing" in page
    assert "xrano score run --out scores" in page
    assert "table-lift" in tables_of(page)


def test_without_a_summary_nothing_is_said_of_lifts(own_copy: Path, own_run: Run):
    (own_copy / "scores" / "summary.csv").unlink()
    page = page_of(own_run, own_copy / "report")
    assert "summary.csv is missing" in page
    assert "table-lift" not in tables_of(page)


def test_scores_of_another_run_are_left_aside_and_refused_if_named(own_copy: Path, own_run: Run):
    settings = own_copy / "scores" / "settings.json"
    facts = json.loads(settings.read_text())
    facts["run"]["seed"] = 99
    settings.write_text(json.dumps(facts))
    page = page_of(own_run, own_copy / "report")
    assert "scores is of another run (seed: 99, not 0)" in page
    with pytest.raises(ManifestError, match="of another run"):
        find_sources(own_run, scores=own_copy / "scores")


def test_of_a_fact_with_parts_those_that_differ_are_told(own_copy: Path, own_run: Run):
    settings = own_copy / "scores" / "settings.json"
    before = json.loads(settings.read_text())
    facts = json.loads(settings.read_text())
    facts["run"]["store"]["shape"] = [1, 2, 3]
    settings.write_text(json.dumps(facts))
    shape = list(own_run.store.grid.shape)
    page = page_of(own_run, own_copy / "report")
    assert f"scores is of another run (store: shape [1, 2, 3], not {shape})" in page
    # A version that told less of the store wrote them.
    del before["run"]["store"]["shape"]
    settings.write_text(json.dumps(before))
    page = page_of(own_run, own_copy / "report")
    assert "of another version of xrano, which tells other things of the store (shape)" in page


def test_a_folder_that_is_named_must_hold_its_kind(own_copy: Path, own_run: Run):
    for kind in ("scores", "maps", "audit", "faithfulness"):
        with pytest.raises(ManifestError, match=r"nothing"):
            find_sources(own_run, **{kind: own_copy / "nothing"})


def test_an_evaluation_of_other_predictions_is_not_shown(own_copy: Path, own_run: Run):
    path = own_run.root / "evaluation.json"
    found = json.loads(path.read_text())
    found["evaluations"]["network"]["n_pairs"] += 1
    path.write_text(json.dumps(found))
    rows = tables_of(page_of(own_run, own_copy / "report"))["table-evaluation"]
    assert [row[0] for row in rows[1:]] == ["network"]


def test_an_untrained_run_has_nothing_to_judge(untrained_config, tmp_path: Path):
    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    page = page_of(run, tmp_path / "report")
    assert "untrained" in page
    assert "Its weights are random (seed 0)" in page
    rows = tables_of(page)["case-table"]
    assert {row[6] for row in rows[1:]} <= {"not judged", "unrated"}


def _only(run: Run, pairs: pd.DataFrame, out: Path) -> Run:
    """The run as if it had predicted these pairs alone."""
    ids = set(pairs["pair_id"])
    table = pd.read_csv(run.root / "predictions.csv", keep_default_na=False)
    table[table["pair_id"].isin(ids)].to_csv(run.root / "predictions.csv", index=False)
    (run.root / "evaluation.json").unlink()
    scores = read_scores(out / "scores.csv")
    scores = scores[scores["pair_id"].isin(ids)].reset_index(drop=True)
    for path in out.glob("*.csv"):
        path.unlink()
    write_scores(scores, out / "scores.csv")
    write_summary(scores, out, n_resamples=20)

    class Few(Run):
        def tested_pairs(self) -> pd.DataFrame:
            return pairs.reset_index(drop=True)

    return Few(run.root, run.config, run.store, run.splits)


def test_one_pair(own_copy: Path, own_run: Run):
    pairs = own_run.tested_pairs()
    pairs = pairs[(pairs["response"] != "") & ~pairs["spans_surgery"]].head(1)
    run = _only(own_run, pairs, own_copy / "scores")
    page = page_of(run, own_copy / "report")
    assert "1 held-out pair of 1 patient" in page
    assert len(tables_of(page)["case-table"]) == 2
    assert "nan" not in page.split("<h2")[1].split("src=")[0].lower().replace("nance", "")


def test_one_class(own_copy: Path, own_run: Run):
    pairs = own_run.tested_pairs()
    name = pairs["response"].value_counts().drop("", errors="ignore").idxmax()
    run = _only(own_run, pairs[pairs["response"] == name], own_copy / "scores")
    page = page_of(run, own_copy / "report")
    absent = [other for other in ("CR", "PR", "SD", "PD") if other != name]
    assert f"No pair has the response {', '.join(absent)}" in page


def test_all_undefined(own_copy: Path, own_run: Run):
    out = own_copy / "scores"
    scores = read_scores(out / "scores.csv")
    scores["value"], scores["status"] = np.nan, "empty_mask"
    write_scores(scores, out / "scores.csv")
    write_summary(scores, out, n_resamples=20)
    page = page_of(own_run, own_copy / "report")
    assert "where it looks cannot be told" in page
    rows = tables_of(page)["case-table"]
    assert "no tumour core on either scan" in {row[-1] for row in rows[1:]}
    assert {cell for row in tables_of(page)["table-lift"][1:] for cell in row[1:]} <= {
        "–",
        *(f"– {n} undefined" for n in range(100)),
        *(f"– {n} patients, {m} undefined" for n in range(20) for m in range(100)),
    }


def test_the_place_on_an_audit_and_its_verdict(own_copy: Path, own_run: Run):
    hand_made_audit(own_copy / "audit")
    page = page_of(own_run, own_copy / "report")
    assert "run on the scale of the audit:" in page
    assert "of 4 cheating and" in page
    assert "Quick form: 8 of 8 models." in page
    assert "No audit was given" not in page


def test_an_audit_without_scores_places_no_run(own_copy: Path, own_run: Run):
    hand_made_audit(own_copy / "audit")
    shutil.rmtree(own_copy / "scores")
    page = page_of(own_run, own_copy / "report")
    assert "Where this run lies cannot be told: the run has no scores" in page


def test_a_protocol_that_leaks_is_warned_of_first(own_copy: Path, own_run: Run):
    leaking = replace(own_run, config=replace(own_run.config, selection="test"))
    page = page_of(leaking, own_copy / "report")
    assert page.index("These results leak") < page.index('class="lead"')


def test_the_same_run_gives_the_same_bytes(own_copy: Path, own_run: Run):
    first = page_of(own_run, own_copy / "one")
    assert page_of(own_run, own_copy / "two") == first


def test_maps_with_a_broken_sidecar_are_told_and_stop_nothing(own_copy: Path, own_run: Run):
    # All of them, since the report reads but those of the maps that it draws.
    for sidecar in (own_copy / "explained").rglob("*_statmap.json"):
        sidecar.write_text("{")
    assert "cannot read the map" in page_of(own_run, own_copy / "report")


def test_nothing_is_left_where_nothing_can_be_written(own_copy: Path, own_run: Run):
    (own_copy / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        cohort(own_run, own_copy / "file" / "report")


def test_cases_that_are_no_number_are_refused(own_copy: Path, own_run: Run):
    with pytest.raises(ConfigError, match="all, none or a number"):
        cohort(own_run, own_copy / "report", cases="some")
    assert not (own_copy / "report").exists()


def test_a_run_opened_elsewhere_is_the_same_run(own_copy: Path):
    shutil.move(own_copy, own_copy.with_name("else where"))
    run = open_run(own_copy.with_name("else where") / "run")
    sources = find_sources(run)
    assert sources.scores.path is not None
    assert set(sources.files) <= set(run.pairs()["pair_id"])
