"""A patient whose name holds blanks, quotes, markup and letters that are not ASCII, end to end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
from report_pages import cohort, tables_of

from xrano.training.run import Run, open_run

NASTY = "P \"é\" '1' <script>alert(1)<b> &amp; 患"


def renamed(text: str, patient: str) -> str:
    return text.replace(patient, NASTY)


def rename_in_tables(folder: Path, patient: str) -> None:
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for column in {"patient_id", "pair_id"} & set(table.columns):
            table[column] = [renamed(value, patient) for value in table[column]]
        table.to_csv(path, index=False)


def test_a_hostile_name_is_text_everywhere_and_its_pages_are_found(laid_out, tmp_path: Path):
    run = open_run(laid_out / "run")
    patient = str(run.tested_pairs()["patient_id"].iloc[0])
    shutil.copytree(laid_out, tmp_path / "all")
    shutil.copytree(run.store.root, tmp_path / "all" / "store")
    for name in ("run", "scores", "store"):
        rename_in_tables(tmp_path / "all" / name, patient)
    sessions = tmp_path / "all" / "store" / "sessions"
    (sessions / patient).rename(sessions / NASTY)
    statistics = tmp_path / "all" / "store" / "statistics.json"
    known = json.loads(statistics.read_text())
    known["pairs"] = {renamed(name, patient): one for name, one in known["pairs"].items()}
    statistics.write_text(json.dumps(known))
    splits = tmp_path / "all" / "run" / "splits.json"
    found = json.loads(splits.read_text())
    for fold in found["folds"]:
        fold["test"] = [renamed(name, patient) for name in fold["test"]]
    splits.write_text(json.dumps(found))
    for sidecar in (tmp_path / "all" / "explained").rglob("*_statmap.json"):
        meta = json.loads(sidecar.read_text())
        meta |= {name: renamed(meta[name], patient) for name in ("patient_id", "pair_id")}
        sidecar.write_text(json.dumps(meta))

    opened = open_run(tmp_path / "all" / "run", store=tmp_path / "all" / "store")
    pairs = opened.tested_pairs()
    own = pairs[pairs["patient_id"] == NASTY].reset_index(drop=True)
    assert len(own) >= 2

    class OnePatient(Run):
        def tested_pairs(self) -> pd.DataFrame:
            return own

    one = OnePatient(opened.root, opened.config, opened.store, opened.splits)
    written = cohort(one, tmp_path / "report", cases="all")
    assert written.failed == {}
    page = written.index.read_text(encoding="utf-8")
    rows = tables_of(page)["case-table"][1:]
    assert [row[0] for row in rows] == list(own["pair_id"])
    for pair_id, path in written.cases.items():
        assert path.name.isascii()
        assert f'href="cases/{path.name}"' in page
        assert unquote(path.name) == path.name
        text = path.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert pair_id in written.cases
    assert "<script>alert" not in page
    # Neighbours lead to each other, by the safe names.
    first, second = (written.cases[pair_id] for pair_id in own["pair_id"][:2])
    assert f'href="{second.name}"' in first.read_text(encoding="utf-8")
    assert f'href="{first.name}"' in second.read_text(encoding="utf-8")
