from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_tables import made

from xrano.errors import ConfigError, ManifestError
from xrano.experiments.audit.audit_files import audit_json, claim, read_audit, write_audit
from xrano.experiments.audit.audit_result import audit_result
from xrano.experiments.audit.settings import DEVELOPMENT_SEEDS
from xrano.experiments.audit.verdict import model_lines, verdict_text


def test_the_verdict_says_what_to_trust_what_not_and_of_how_many_models():
    text = verdict_text(made(8))
    assert "Audit: 24 of 24 models, 24 min of work." in text
    assert "all lesions (8 honest, 15 cheating models):" in text
    assert "small lesions below 6.0 ml of core (8 honest, 15 cheating models):" in text
    lines = text.splitlines()
    first, last = (
        next(number for number, line in enumerate(lines) if line.startswith(start))
        for start in ("  to trust:", "  to distrust")
    )
    (trusted,) = (line for line in lines[first + 1 : last] if line.startswith("    Saliency"))
    assert trusted.startswith("    Saliency (1.00, intervals from 1.00): ")
    assert "relevance mass, gain" in trusted
    assert not any("Grad-CAM" in line for line in lines[first + 1 : last])
    distrusted = lines[last + 1]
    assert distrusted.startswith("    Grad-CAM (0.")
    assert "relevance mass, gain" in distrusted
    assert "Headline, named beforehand" in text
    assert "not a medical device" in text
    assert "phantoms" in text
    assert "a sign" not in text


def test_a_model_that_did_not_cheat_is_counted_and_shown_as_such():
    result = made(4)
    row = result.models.set_index("model").loc["noise-cohort0-seed0"]
    assert (row["assigned"], row["verified"], row["usable"]) == ("cheat", "undecided", False)
    (line,) = (line for line in model_lines(result.models) if line.startswith("noise:"))
    assert "4 models assigned cheat: 3 cheats, 1 undecided" in line
    assert "1 assigned to cheat did not, and stand on neither side" in line
    assert set(result.scores.loc[result.scores["model"] == row.name, "usable"]) == {False}


def test_the_quick_form_calls_itself_a_sign_and_so_does_an_audit_of_few_models():
    for result in (made(8, quick=True), made(4)):
        assert "a sign and no finding" in verdict_text(result)
    assert verdict_text(made(8, quick=True)).startswith("Quick form")


def test_mixed_models_are_told_of_beside_the_sides_that_they_do_not_stand_on():
    result = made(3)
    edge = result.scores["kind"] == "edge"
    mixed = result.scores[edge].assign(kind="edge@0.5", assigned="mixed", usable=False)
    scores = pd.concat([result.scores, mixed])
    line = next(
        line
        for line in verdict_text(replace(result, scores=scores)).splitlines()
        if line.startswith("edge@0.5")
    )
    gain = np.log2(np.array([0.03, 0.031, 0.032]) / 0.02).mean()
    assert f"mixed, 3 models): headline {gain:+.2f} on average" in line
    assert "honest +4." in line


def test_without_decoys_the_verdict_says_that_the_scans_differ():
    result = made(3)
    assert "decoys" in verdict_text(result)
    renamed = result.separation.assign(comparison="noise, same marks")
    both = pd.concat([result.separation, renamed])
    assert "--kinds" not in verdict_text(replace(result, separation=both))


def test_development_cohorts_are_not_to_be_reported():
    result = made(3)
    used = replace(result, settings=replace(result.settings, cohort_seeds=DEVELOPMENT_SEEDS))
    assert "not to be reported" in verdict_text(used)
    assert "not to be reported" not in verdict_text(result)


def test_without_a_verified_side_no_score_is_judged(tmp_path: Path):
    result = made(3)
    nothing = replace(result, separation=result.separation.iloc[:0])
    assert "no score can be judged" in verdict_text(nothing)
    assert "verdict.txt" in {path.name for path in write_audit(nothing, tmp_path)}
    assert not (tmp_path / "audit.png").exists()


def test_the_files_hold_the_tables_and_come_back(tmp_path: Path):
    result = made(4)
    written = write_audit(result, tmp_path)
    assert all(path.is_file() for path in written)
    assert {"audit.png", "audit-kinds.png"} <= {path.name for path in written}
    back = read_audit(tmp_path)
    for name in ("models", "scores", "separation"):
        pd.testing.assert_frame_equal(
            getattr(back, name), getattr(result, name), check_dtype=False, rtol=1e-12
        )
    assert back.median_ml == result.median_ml == 6.0
    assert back.settings == result.settings
    found = json.loads((tmp_path / "audit.json").read_text())
    assert len(found["separation"]) == len(result.separation)
    assert found["model_seconds"] == pytest.approx(12 * 60.0)


def test_the_json_holds_no_number_that_json_does_not_know():
    result = made(3)
    scores = result.separation.assign(low=np.nan, auroc=-np.inf)
    text = json.dumps(audit_json(replace(result, separation=scores), ""), allow_nan=False)
    assert json.loads(text)["separation"][0]["low"] is None


def test_a_folder_without_an_audit_is_refused(tmp_path: Path):
    with pytest.raises(ManifestError, match="holds no finished audit"):
        read_audit(tmp_path)


def test_an_audit_without_a_model_has_nothing_to_say():
    with pytest.raises(ManifestError, match="no model"):
        audit_result(made(3).settings, [])


def test_a_folder_of_models_that_were_trained_otherwise_is_refused(tmp_path: Path):
    settings = made(3).settings
    claim(tmp_path, settings)
    more = replace(settings, kinds=("honest", "tag"), cohort_seeds=(7,), quick=True)
    claim(tmp_path, more)
    with pytest.raises(ConfigError, match="another epochs, copies|another copies, epochs"):
        claim(tmp_path, replace(settings, epochs=99, copies=7))
    assert json.loads((tmp_path / "settings.json").read_text())["kinds"] == ["honest", "tag"]
