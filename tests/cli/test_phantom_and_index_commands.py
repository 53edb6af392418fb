"""``xrano phantom`` and ``xrano index``: pairs and exclusions against a count by hand."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml
from command_lines import Capture, refused

from xrano.cli.main import main


def test_a_phantom_is_written_and_named(tmp_path: Path, capsys: Capture):
    out = tmp_path / "phantom"
    arguments = ["phantom", "--out", out, "--patients", "1", "--spacing_mm", "6", "--seed", "4"]
    arguments += ["--texture", "0.2", "--repeat-ratings", "0.9"]
    assert main([str(argument) for argument in arguments]) == 0
    assert f"xrano index {out}" in capsys.readouterr().out
    settings = json.loads((out / "phantom.json").read_text())["settings"]
    assert (settings["patients"], settings["spacing_mm"], settings["seed"]) == (1, 6.0, 4)
    assert (settings["texture"], settings["repeat_ratings"]) == (0.2, 0.9)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    refused(
        capsys, "phantom", "--out", tmp_path / "taken", words=(str(tmp_path / "taken"), "not an")
    )
    refused(capsys, "phantom", "--out", tmp_path / "x", "--margin", "0.9", words=("margin", "0.3"))


def by_hand(tree: Path) -> tuple[dict[tuple[str, str], list[object]], Counter[str]]:
    """Pairs and exclusions, from what the cohort says of itself and the rating table alone."""
    truth = json.loads((tree / "phantom.json").read_text())["patients"]
    rows: dict[tuple[str, str], list[tuple[str, str]]] = {}
    with (tree / "LUMIERE-ExpertRating-v202211.csv").open(newline="") as file:
        for row in csv.reader(file):
            rows.setdefault((row[0], row[1]), []).append((row[4].strip(), row[2]))
    pairs: dict[tuple[str, str], list[object]] = {}
    reasons: Counter[str] = Counter()
    for patient, sessions in truth.items():
        before = None
        for session in sessions:
            name = session["session_id"]
            found = rows.get((patient, name), [])
            ratings = {rating for rating, _ in found}
            if any(early for _, early in found):
                reasons["less_than_3_months"] += 1
            elif len(ratings) > 1:
                reasons["duplicate_rating"] += 1
            elif ratings == {"Pre-Op"}:
                reasons["preop"] += 1
            elif ratings == {"Post-Op"}:
                reasons["postop"] += 1
            elif not ratings or ratings == {"None"}:
                reasons["no_rating"] += 1
            elif before is None:
                reasons["first_session"] += 1
            else:
                (rating,) = ratings
                assert rating in ("CR", "PR", "SD", "PD")
                operated = before["role"] == "preop" or session["role"] == "postop"
                pairs[patient, name] = [before["session_id"], rating, operated]
            before = session
    return pairs, reasons


def test_an_index_of_the_phantom_is_the_count_of_the_hand(
    phantom_tree: Path, tmp_path: Path, capsys: Capture
):
    assert main(["index", str(phantom_tree), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    pairs, reasons = by_hand(phantom_tree)
    assert len(pairs) > 20
    assert {"less_than_3_months", "duplicate_rating", "postop", "preop", "no_rating"} <= set(
        reasons
    )
    written = pd.read_csv(tmp_path / "pairs.csv", dtype=str, keep_default_na=False)
    found = {
        (row["patient_id"], row["current_session"]): [
            row["prior_session"],
            row["response"],
            row["spans_surgery"] == "True",
        ]
        for row in written.to_dict("records")
    }
    assert found == pairs
    excluded = pd.read_csv(tmp_path / "exclusions.csv", dtype=str, keep_default_na=False)
    assert Counter(excluded["reason"]) == reasons
    assert excluded.columns[-1] == "reason"
    sessions = pd.read_csv(tmp_path / "sessions.csv", dtype=str, keep_default_na=False)
    assert len(sessions) == len(pairs) + sum(reasons.values())
    assert f"{len(pairs)} pairs" in said
    for reason, count in reasons.items():
        assert f"{reason:22}{count:5}" in said


def test_index_refusals(phantom_tree: Path, tmp_path: Path, capsys: Capture):
    out = tmp_path / "out"
    refused(capsys, "index", tmp_path, "--out", out, words=(str(tmp_path), "Imaging"))
    refused(capsys, "index", tmp_path / "no", "--out", out, words=("does not exist",))
    refused(capsys, "index", phantom_tree, "--out", out, "--dataset", "brats", words=("lumiere",))
    refused(
        capsys, "index", phantom_tree, "--out", out, "--reference", "nadirr", words=("'nadir'",)
    )
    refused(
        capsys, "index", phantom_tree, "--out", out, "--paper", "--reference", "nadir",
        words=("paper", "prior scans"),
    )  # fmt: skip
    assert not out.exists()


def test_a_rating_that_is_none_is_refused_with_its_line(
    phantom_tree: Path, tmp_path: Path, capsys: Capture
):
    (tmp_path / "Imaging").symlink_to(phantom_tree / "Imaging")
    table = tmp_path / "LUMIERE-ExpertRating-v202211.csv"
    text = (phantom_tree / table.name).read_text().splitlines()
    row = next(n for n, line in enumerate(text) if ",PD," in line)
    text[row] = text[row].replace(",PD,", ",progress,")
    table.write_text("\n".join(text) + "\n")
    refused(
        capsys, "index", tmp_path, "--out", tmp_path / "out",
        words=(str(table), f"line {row + 1}", "progress", "CR"),
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_config_file_of_another_command(phantom_tree: Path, tmp_path: Path):
    path = tmp_path / "index.yaml"
    path.write_text(yaml.safe_dump({"out": str(tmp_path / "index"), "unrated": "include"}))
    assert main(["index", str(phantom_tree), "--config", str(path)]) == 0
    pairs = pd.read_csv(tmp_path / "index" / "pairs.csv", keep_default_na=False)
    assert "" in set(pairs["response"])
