from __future__ import annotations

import csv
import json
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from xrano.cli.main import COMMANDS, build_parser, main
from xrano.data.store import Store, open_store
from xrano.training.config_file import load_config
from xrano.training.run import Run

Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *arguments: object, words: tuple[str, ...], code: int = 1) -> str:
    """Run a command that must fail; its one line of complaint."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith("xrano: error: ")
    assert "Traceback" not in said
    for word in words:
        assert word in said, said
    return said


def exit_code(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code


# --- help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_an_example(command: str, capsys: Capture):
    assert exit_code(command, "--help") == 0
    text = capsys.readouterr().out
    assert "example:" in text
    example = " ".join(text.split("example:")[1].split())
    assert example.startswith(f"xrano {command} ")
    assert "--config" in text


def test_the_main_help_names_every_command(capsys: Capture):
    assert exit_code("--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert command in text
    assert "not a medical device" in text
    assert exit_code("--version") == 0
    assert capsys.readouterr().out.strip().endswith("0.1.0")


def test_without_a_command_the_help_is_shown(capsys: Capture):
    assert main([]) == 2
    assert "phantom" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["explain", "prepare", "train", "score"])
def test_examples_name_options_that_exist(command: str, capsys: Capture):
    exit_code(command, "--help")
    head, example = capsys.readouterr().out.split("example:")
    options = {word.strip("()") for word in example.split() if word.startswith("--")}
    assert options
    for option in options - {"--preset"}:
        assert option in head


def test_nothing_heavy_is_loaded_before_a_command_runs():
    code = textwrap.dedent("""
        import sys
        import xrano
        from xrano.cli.main import build_parser
        build_parser()
        heavy = ("torch", "matplotlib", "pandas", "monai", "captum", "nilearn", "scipy", "sklearn")
        loaded = [name for name in heavy if name in sys.modules]
        assert not loaded, loaded
        # What is named lazily is there all the same.
        assert "open_run" in xrano.__all__
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "xrano", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "xrano"


def test_what_is_imported_lazily_can_be_imported():
    import xrano

    assert all(getattr(xrano, name) is not None for name in xrano.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xrano.nothing  # noqa: B018


def test_a_parser_can_be_built_twice():
    assert build_parser().prog == build_parser().prog == "xrano"


# --- usage


def test_bad_usage_exits_with_2(tmp_path: Path, capsys: Capture):
    assert exit_code("phantom", "--out", tmp_path / "p", "--patients", "x") == 2
    assert exit_code("phantom", "--out", tmp_path / "p", "--patient", "1") == 2
    assert exit_code("dance") == 2
    assert exit_code("train", tmp_path) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", range(5))
def test_a_traceback_is_shown_when_asked_for(tmp_path: Path, place: int, capsys: Capture):
    """Anywhere on the line; what is said without it is said last."""
    words = ["index", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert main([*words[:place], "--debug", *words[place:]]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1] == line


def test_the_module_runs_as_a_program(tmp_path: Path):
    command = [sys.executable, "-m", "xrano.cli.main", "index", str(tmp_path), "--out"]
    done = subprocess.run([*command, str(tmp_path / "o")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("xrano: error: ")
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) in done.stderr


# --- phantom and index


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


# --- prepare


def test_prepare_says_what_it_made(phantom_index: Path, tmp_path: Path, capsys: Capture):
    out = tmp_path / "store"
    assert main(["prepare", str(phantom_index), "--out", str(out), "--spacing_mm", "12"]) == 0
    said = capsys.readouterr().out
    assert "12×12×12 mm" in said
    assert f"xrano train {out}" in said
    pairs = pd.read_csv(phantom_index / "pairs.csv")
    assert said.startswith(f"{len(pairs)} pairs on ")


def test_options_may_be_bare_and_hyphenated(phantom_index: Path, tmp_path: Path, capsys: Capture):
    """``--unrated`` alone means true; ``--spacing-mm`` is ``--spacing_mm``."""
    out = tmp_path / "store"
    assert (
        main(["prepare", str(phantom_index), "--unrated", "--spacing-mm=12", "--out", str(out)])
        == 0
    )
    store = open_store(out)
    assert store.grid.spacing == (12.0, 12.0, 12.0)
    assert (store.pairs["response"] == "").any()
    assert main(["prepare", str(phantom_index), "--spacing-mm", "12", "--out", str(out)]) == 0
    assert (open_store(out).pairs["response"] != "").all()


def test_prepare_refusals(phantom_index: Path, tmp_path: Path, capsys: Capture):
    out = tmp_path / "store"
    refused(capsys, "prepare", tmp_path, "--out", out, words=(str(tmp_path), "sessions.csv"))
    refused(
        capsys, "prepare", phantom_index, "--out", out, "--normalisation", "zscore",
        words=("zscore", "brain, healthy, paper, wm-peak"),
    )  # fmt: skip
    refused(capsys, "prepare", phantom_index, "--out", out, "--spacing_mm", "-1", words=("negat",))
    assert not out.exists()


# --- train: presets, config files, names


def train(store: Store, out: Path, *more: object) -> list[str]:
    fixed = ["train", store.root, "--out", out, "--training.accelerator", "cpu"]
    return [str(argument) for argument in (*fixed, *more)]


def test_an_untrained_run_and_a_list_with_blanks(
    phantom_store: Store, tmp_path: Path, capsys: Capture
):
    out = tmp_path / "run"
    options = ("--model.name", "densenet_small", "--model.sequences", "FLAIR", "T1")
    assert main(train(phantom_store, out, *options, "--training.epochs", 0)) == 0
    said = capsys.readouterr().out
    assert "untrained densenet_small" in said
    config = load_config(out / "config.yaml")
    assert config.model.sequences == ("FLAIR", "T1")
    assert config.store == str(phantom_store.root.resolve())


@pytest.mark.parametrize("epochs_first", [True, False])
def test_a_preset_is_the_ground_and_options_change_it(
    phantom_store: Store, tmp_path: Path, epochs_first: bool
):
    """Whichever comes first on the line."""
    out = tmp_path / "run"
    parts = [["--training.epochs", "0"], ["--preset", "demo"]]
    more = [word for part in (parts if epochs_first else parts[::-1]) for word in part]
    assert main(train(phantom_store, out, *more)) == 0
    config = load_config(out / "config.yaml")
    assert config.training.epochs == 0
    assert config.model.name == "densenet_small"
    preset = yaml.safe_load((Path(__file__).parents[2] / "xrano/presets/demo.yaml").read_text())
    assert config.training.batch_size == preset["training"]["batch_size"]
    assert config.n_folds == preset["n_folds"]


@pytest.mark.parametrize("name", ["demo", "laptop", "paper"])
def test_every_preset_is_a_config(name: str, phantom_store: Store, tmp_path: Path):
    parser = build_parser()
    path = Path(__file__).parents[2] / "xrano" / "presets" / f"{name}.yaml"
    parsed = parser.parse_args(
        ["train", str(phantom_store.root), "--out", str(tmp_path), "--config", str(path)]
    )
    values = parser.instantiate(parsed)["train"]
    stored = yaml.safe_load(path.read_text())
    assert values["model"].name == stored["model"]["name"]
    for key, value in stored["training"].items():
        assert getattr(values["training"], key) == value


def test_an_unknown_preset_lists_them(phantom_store: Store, tmp_path: Path, capsys: Capture):
    refused(
        capsys, *train(phantom_store, tmp_path / "r", "--preset", "laptob"),
        words=("laptob", "did you mean 'laptop'", "demo, laptop, paper"),
    )  # fmt: skip
    refused(
        capsys, *train(phantom_store, tmp_path / "r"), "--preset", words=("demo, laptop, paper",)
    )


def test_a_config_file_does_what_the_options_do(phantom_store: Store, tmp_path: Path):
    content = {
        "out": str(tmp_path / "from-file"),
        "model": {"name": "densenet_small", "sequences": ["T2", "CT1"]},
        "training": {"epochs": 0, "accelerator": "cpu"},
        "n_folds": 3,
        "seed": 8,
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["train", str(phantom_store.root), "--config", str(path)]) == 0
    options = ["--model.name", "densenet_small", "--model.sequences", "T2", "CT1"]
    options += ["--training.epochs", "0", "--n_folds", "3", "--seed", "8"]
    assert main(train(phantom_store, tmp_path / "from-options", *options)) == 0
    one, two = (tmp_path / name / "fold-0" for name in ("from-file", "from-options"))
    weights = "model.safetensors"
    assert (one / weights).read_bytes() == (two / weights).read_bytes()
    assert load_config(one.parent / "config.yaml") == load_config(two.parent / "config.yaml")


def test_a_config_file_of_another_command(phantom_tree: Path, tmp_path: Path):
    path = tmp_path / "index.yaml"
    path.write_text(yaml.safe_dump({"out": str(tmp_path / "index"), "unrated": "include"}))
    assert main(["index", str(phantom_tree), "--config", str(path)]) == 0
    pairs = pd.read_csv(tmp_path / "index" / "pairs.csv", keep_default_na=False)
    assert "" in set(pairs["response"])


def test_a_config_file_that_is_wrong(phantom_store: Store, tmp_path: Path, capsys: Capture):
    path = tmp_path / "run.yaml"
    path.write_text("training:\n  epoch: 3\n")
    assert exit_code(*train(phantom_store, tmp_path / "r", "--config", path)) == 2
    said = capsys.readouterr().err
    assert "epoch" in said
    assert "Traceback" not in said


def test_training_refusals(phantom_store: Store, tmp_path: Path, capsys: Capture):
    out = tmp_path / "run"
    small = ("--model.name", "densenet_small", "--training.epochs", "1")
    n_patients = phantom_store.pairs["patient_id"].nunique()
    for more, words in (
        (("--model.name", "resnet"), ("resnet", "densenet121, densenet169, densenet264")),
        ((*small, "--model.sequences", "T1", "ADC"), ("'ADC'", "CT1, FLAIR, T1, T2")),
        ((*small, "--n_folds", "50"), ("50 folds", str(n_patients))),
        (("--training.balancing", "smote"), ("both, none, paper, sampler, weights",)),
        (("--training.epochs", "-1"), ("training.epochs must be ≥ 0",)),
        (("--folds", "0", "7"), ("fold 7",)),
    ):
        refused(capsys, *train(phantom_store, out, *more), words=words)
    refused(capsys, "train", tmp_path, "--out", out, words=(str(tmp_path), "store.json", "prepare"))


def test_a_splits_file_with_strangers_is_refused(
    phantom_store: Store, tiny_run: Run, tmp_path: Path, capsys: Capture
):
    splits = json.loads((tiny_run.root / "splits.json").read_text())
    splits["folds"][0]["test"].append("Patient-777")
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(splits))
    more = ("--model.name", "densenet_small", "--splits", path, "--n_folds", 3)
    refused(
        capsys, *train(phantom_store, tmp_path / "run", *more), words=(str(path), "Patient-777")
    )


# --- evaluate, explain, score on a run


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
