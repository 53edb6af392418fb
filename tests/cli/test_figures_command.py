from __future__ import annotations

import json

import pytest

from xrano.cli.main import main
from xrano.training.run import Run


def test_figures_are_listed_with_what_the_others_need(tiny_run: Run, tmp_path, capsys):
    out = tmp_path / "figures"
    assert main(["figures", str(tiny_run.root), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"timeline.png", "reliability.png"}
    assert str(out / "timeline.png") in said
    assert "no atlas (mean map of each response class)" in said
    assert f"xrano explain {tiny_run.root} --all" in said


def test_one_kind_as_json_in_another_format(tiny_run: Run, tmp_path, capsys):
    arguments = ["figures", str(tiny_run.root), "--out", str(tmp_path), "--json"]
    arguments += ["--kinds", "reliability", "layers", "--format", "svg"]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [str(tmp_path / "reliability.svg")]
    assert [item["kind"] for item in said["missing"]] == ["layers"]


def test_nothing_to_draw_is_an_error(tiny_run: Run, tmp_path, capsys):
    arguments = ["figures", str(tiny_run.root), "--out", str(tmp_path), "--kinds", "audit"]
    assert main(arguments) == 1
    assert "no figure could be drawn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "word"), [("--kinds", "poster", "poster"), ("--format", "bmp", "bmp")]
)
def test_unknown_kinds_and_formats_are_refused(
    tiny_run: Run, tmp_path, capsys, option, value, word
):
    with pytest.raises(SystemExit) as caught:
        main(["figures", str(tiny_run.root), "--out", str(tmp_path), option, value])
    assert caught.value.code == 2
    assert word in capsys.readouterr().err


def test_an_unknown_patient_names_near_ones(tiny_run: Run, tmp_path, capsys):
    arguments = ["figures", str(tiny_run.root), "--out", str(tmp_path), "--patient", "Patient-01"]
    assert main(arguments) == 1
    assert "did you mean 'Patient-00" in capsys.readouterr().err
