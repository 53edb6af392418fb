"""``xrano evaluate``, ``explain`` and ``score`` on a run: one takes what the other has written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from command_lines import Capture, refused

from xrano.cli.main import main
from xrano.training.run import Run


def test_evaluate_prints_the_network_beside_its_references(tiny_run: Run, capsys: Capture):
    assert main(["evaluate", str(tiny_run.root), "--n_resamples", "20"]) == 0
    said = capsys.readouterr().out
    for word in (
        "network",
        "majority class",
        "volumetric rule, prior scan (deepbratumia)",
        "balanced",
    ):
        assert word in said
    assert str(tiny_run.root / "evaluation.json") in said


def test_evaluate_refusals(untrained_config, tmp_path: Path, capsys: Capture):
    from xrano.training.train_run import train_run

    refused(capsys, "evaluate", tmp_path, words=(str(tmp_path), "config.yaml"))
    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    refused(capsys, "evaluate", run.root, words=(str(run.root), "predictions.csv"))


def test_explain_and_score_take_what_the_command_before_has_written(
    tiny_run: Run, tmp_path: Path, capsys: Capture
):
    pair_ids = [str(name) for name in tiny_run.predictions["pair_id"].iloc[[0, -1]]]
    out = tmp_path / "explained"
    arguments = ["explain", str(tiny_run.root), "--methods", "saliency", "gradcam"]
    arguments += ["--pair", *pair_ids, "--out", str(out), "--planes", "axial", "sagittal"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    for pair_id in pair_ids:
        assert str(out / "panels" / f"{pair_id}.png") in said
    written = [path.name for path in (out / "maps").rglob("*_statmap.nii.gz")]
    # Grad-CAM on its own cells as well: that is what is scored.
    assert len(written) == 6
    assert sum("_res-cells_" in name for name in written) == 2
    scores = tmp_path / "scores"
    arguments = ["score", str(tiny_run.root), "--maps", str(out / "maps"), "--out", str(scores)]
    assert main([*arguments, "--n_resamples", "20"]) == 0
    table = pd.read_csv(scores / "scores.csv", keep_default_na=False)
    assert set(table["pair_id"]) == set(pair_ids)
    own = table[table["weights"] == "trained"]
    assert set(own["method"]) == {"saliency", "gradcam"}
    # Beside them, on the same pairs, the maps that need no network.
    others = set(table["method"]) - set(own["method"])
    assert {"uniform", "change", "edges", "training_mask", "mask"} <= others
    assert (scores / "summary.csv").is_file()
    assert (scores / "report.json").is_file()
    said = capsys.readouterr().out
    assert f"{len(table)} scores in {scores / 'scores.csv'}" in said


def test_explain_refusals(tiny_run: Run, tmp_path: Path, capsys: Capture):
    run, out = tiny_run.root, tmp_path / "out"
    pair_id = str(tiny_run.predictions["pair_id"].iloc[0])
    unseen = tiny_run.splits["folds"][2]["test"]
    pairs = tiny_run.pairs()
    other = pairs[pairs["patient_id"].isin(unseen)]["pair_id"].iloc[0]
    pair = ("explain", run, "--out", out, "--pair")
    for more, words in (
        ((pair_id, "--methods", "saliency", "gradcma"), ("gradcma", "'gradcam'", "occlusion")),
        ((pair_id, "--methods", "gradcam", "--layer", "conv9"), ("conv9", "denseblock2")),
        ((pair_id[:-1],), (pair_id[:-1], "did you mean", pair_id)),
        ((other,), ("fold 2", "0, 1")),
    ):
        refused(capsys, *pair, *more, words=words)
        assert not list(out.rglob("*.png")) if out.exists() else True
    refused(capsys, "explain", run, "--out", out, words=("--pair", "--prior", "--current"))
    refused(capsys, *pair, pair_id, "--prior", out, "--current", out, words=("--pair",))
    refused(capsys, "explain", run, "--out", out, "--prior", out, words=("--current",))
    refused(capsys, "explain", tmp_path, "--out", out, "--pair", "x", words=("config.yaml",))
    refused(capsys, *pair, pair_id, "--target", "XX", words=("'XX'", "CR", "predicted"))


def test_score_refusals(tiny_run: Run, tmp_path: Path, capsys: Capture):
    out = tmp_path / "out"
    refused(
        capsys, "score", tiny_run.root, "--out", out, "--maps", tmp_path,
        words=(str(tmp_path), "no finished map"),
    )  # fmt: skip
    refused(
        capsys, "score", tiny_run.root, "--out", out, "--methods", "lime",
        words=("lime", "guided_gradcam, hirescam, ig"),
    )  # fmt: skip
    refused(capsys, "score", tiny_run.root, "--out", out, "--copies", "-1", words=("copies",))
    assert not (out / "scores.csv").exists()


def test_a_checkpoint_of_another_architecture_is_refused(
    tiny_run: Run, tmp_path: Path, capsys: Capture
):
    import shutil

    root = tmp_path / "run"
    shutil.copytree(tiny_run.root, root)
    text = (root / "config.yaml").read_text()
    (root / "config.yaml").write_text(text.replace("densenet_small", "densenet121"))
    pair_id = tiny_run.predictions["pair_id"].iloc[0]
    refused(
        capsys, "explain", root, "--pair", pair_id, "--out", tmp_path / "out",
        words=("model.safetensors", "densenet_small", "densenet121"),
    )  # fmt: skip


def test_an_untrained_run_is_scored_from_the_command_line(
    untrained_config, tmp_path: Path, capsys: Capture
):
    from xrano.training.train_run import train_run

    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    arguments = ["score", run.root, "--out", tmp_path / "s", "--methods", "gradcam", "--copies", 1]
    assert main([str(argument) for argument in [*arguments, "--n_resamples", 10]]) == 0
    said = capsys.readouterr().out
    assert "gradcam" in said
    assert "nan" not in said.lower()
