"""A tiny study from its file to its tables, interrupted, sharded and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from xrano.channels import PAPER_SETS, sequence_set
from xrano.cli.main import main
from xrano.data.store import Store
from xrano.errors import ConfigError, ManifestError, UnknownNameError
from xrano.experiments.shards import of_shard, parse_shard
from xrano.experiments.study.arms import expand_arms, merged
from xrano.experiments.study.collect import collect_study
from xrano.experiments.study.run_study import open_study, train_study
from xrano.experiments.study.study_file import read_study
from xrano.experiments.study.study_files import write_study
from xrano.experiments.study.units import Unit, folder_name


def quiet(*_: object) -> None:
    pass


def content(store: Store) -> dict[str, object]:
    return {
        "store": str(store.root),
        "base": {
            "model": {"name": "densenet_small", "sequences": "CT1+FLAIR"},
            "training": {"epochs": 1, "batch_size": 4, "accelerator": "cpu"},
        },
        "seeds": [0, 1],
        "n_folds": 2,
        "arms": {
            "concat": {"approach": "subtraction"},
            "subtract": {
                "approach": "subtraction",
                "against": "concat",
                "model": {"stem": "subtract"},
            },
            "CT1": {"approach": "sequences", "against": "concat", "model": {"sequences": ["CT1"]}},
            "PD or rest": {"approach": "task", "task": "progression"},
        },
        "n_resamples": 50,
        "n_permutations": 50,
    }


def write(path: Path, values: object) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study_file(phantom_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study") / "tiny.yaml", content(phantom_store))


@pytest.fixture(scope="module")
def finished(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "study"
    assert main(["study", str(study_file), "--out", str(out)]) == 0
    return out


# --- what comes out


def test_every_arm_and_reference_stands_in_one_table(finished: Path):
    table = pd.read_csv(finished / "study.csv")
    arms = table[table["kind"] == "arm"].set_index("name")
    assert list(arms.index) == ["concat", "subtract", "CT1", "PD or rest"]
    # The same cases, pooled over the folds.
    assert arms["n_pairs"].nunique() == 1
    assert arms.loc["subtract", "against"] == "concat"
    assert arms.loc["subtract", "verdict"] in ("better", "worse", "not resolved")
    assert arms["seed_min"].le(arms["seed_max"]).all()
    references = table[table["kind"] == "reference"]
    assert any(name.startswith("boosted volumes") for name in references["name"])
    rule = references[references["name"].str.startswith("volumetric rule, prior scan")]
    assert rule["balanced_accuracy"].tolist() == [1.0]
    assert set(references["against"].dropna()) == {"concat"}
    for name in ("study.md", "study.json", "forest.png", "forest-progression.png"):
        assert (finished / name).is_file()
    text = (finished / "study.md").read_text()
    assert "not a medical device" in text
    assert "subtraction: " in text
    assert "--arms 'PD or rest'" in text


def test_predictions_behind_the_table_are_kept_and_cover_every_pair_once_a_seed(finished: Path):
    table = pd.read_csv(finished / "predictions" / "concat.csv")
    assert set(table["seed"]) == {0, 1}
    counts = table.groupby("pair_id").size()
    assert set(counts) == {2}
    splits = json.loads((finished / "splits.json").read_text())
    for fold, entry in enumerate(splits["folds"]):
        own = table[table["fold"] == fold]
        assert set(own["patient_id"]) <= set(entry["test"])


def test_an_interrupted_study_repeats_nothing_and_ends_alike(
    study_file: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import xrano.experiments.study.run_units as run_units_module

    trained: list[str] = []
    original = run_units_module.train_run

    class Stop(Exception):
        pass

    def spy(config, root, **options):
        if len(trained) == 3:
            raise Stop
        trained.append(f"{root.parent.name} {config.seed} {config.folds}")
        return original(config, root, **options)

    monkeypatch.setattr(run_units_module, "train_run", spy)
    opened = open_study(read_study(study_file), tmp_path / "study")
    with pytest.raises(Stop):
        train_study(opened, say=quiet)
    done = list(trained)
    trained[:] = [""] * 4  # never three again
    assert train_study(opened, say=quiet) == []
    assert not set(done) & set(trained[4:])
    assert len(done) + len(trained[4:]) == len(opened.every_unit)
    write_study(collect_study(opened), tmp_path / "study", command="again")
    one, two = (
        pd.read_csv(where / "study.csv").drop(columns="command")
        for where in (finished, tmp_path / "study")
    )
    pd.testing.assert_frame_equal(one, two)


def test_shards_part_the_work_and_the_table_is_the_same(
    study_file: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "study"
    for shard in ("2/3", "1/3", "3/3"):
        assert main(["study", str(study_file), "--out", str(out), "--shard", shard]) == 0
        assert not (out / "study.csv").exists()
    assert "0 of 16 folds wait" in capsys.readouterr().out
    assert main(["study", str(study_file), "--out", str(out), "--collect-only"]) == 0
    one, two = (
        pd.read_csv(where / "study.csv").drop(columns="command") for where in (finished, out)
    )
    pd.testing.assert_frame_equal(one, two)


def test_an_arm_without_memory_fails_with_advice_and_the_others_go_on(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    import xrano.experiments.study.run_units as run_units_module

    original = run_units_module.train_run

    def short_of_memory(config, root, **options):
        if config.model.stem == "subtract":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
        return original(config, root, **options)

    monkeypatch.setattr(run_units_module, "train_run", short_of_memory)
    out = tmp_path / "study"
    assert main(["study", str(study_file), "--out", str(out), "--arms", "concat", "subtract"]) == 1
    said = capsys.readouterr()
    assert "4 folds of subtract failed" in said.err
    assert "checkpointing" in said.err
    failures = pd.read_csv(out / "failures.csv")
    assert set(failures["arm"]) == {"subtract"}
    table = pd.read_csv(out / "study.csv")
    assert "concat" in set(table["name"])
    assert "not finished: subtract (0 of 4 folds trained)" in (out / "study.md").read_text()


def test_a_fault_of_the_program_is_not_taken_for_a_failed_arm(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import xrano.experiments.study.run_units as run_units_module

    def broken(*_args, **_options):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(run_units_module, "train_run", broken)
    opened = open_study(read_study(study_file), tmp_path / "study")
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train_study(opened, say=quiet)


# --- the file


def test_a_grid_is_every_combination_over_the_base():
    arms = expand_arms(
        {"model": {"name": "densenet_small"}},
        {},
        [
            {
                "approach": "sequences",
                "vary": {"model.sequences": ["T1+T2", "CT1"], "model.stem": ["concat", "subtract"]},
            }
        ],
        Path("study.yaml"),
    )
    assert [arm.name for arm in arms] == [
        *("T1+T2 concat", "T1+T2 subtract", "CT1 concat", "CT1 subtract"),
    ]
    assert arms[1].config().model.sequences == ("T1", "T2")
    assert arms[1].config().model.stem == "subtract"
    assert arms[1].config().model.name == "densenet_small"


def test_a_preset_lies_under_the_base_and_that_under_the_arm():
    (arm,) = expand_arms(
        {"preset": "demo", "training": {"epochs": 3}},
        {"a": {"training": {"batch_size": 2}}},
        [],
        Path("study.yaml"),
    )
    config = arm.config()
    assert (config.training.epochs, config.training.batch_size) == (3, 2)
    assert config.training.learning_rate == 0.004
    assert config.model.name == "densenet_small"


def test_merging_leaves_its_arguments_alone():
    under = {"model": {"name": "vit"}}
    over = {"model": {"stem": "siamese"}}
    assert merged(under, over)["model"] == {"name": "vit", "stem": "siamese"}
    assert under == {"model": {"name": "vit"}}
    assert over == {"model": {"stem": "siamese"}}


def change(values: dict, path: str, value: object) -> dict:
    values = json.loads(json.dumps(values))
    inner = values
    *heads, last = path.split("/")
    for head in heads:
        inner = inner.setdefault(head, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("armz", {}, "unknown key in .*'armz' .did you mean 'arms'"),
        ("arms/subtract/modle", {}, "unknown setting in the arm 'subtract'.*'model'"),
        ("arms/subtract/model/stam", "x", "the arm 'subtract', model.*'stam'.*'stem'"),
        ("arms/subtract/against", "concatt", "unknown arm 'concatt' .did you mean 'concat'"),
        ("arms/subtract/approach", "subtractoin", "approach of subtract.*'subtraction'"),
        ("arms/subtract/task", "responce", "unknown task 'responce'"),
        ("base/preset", "lapptop", "unknown preset 'lapptop' .did you mean 'laptop'"),
        ("seeds", [0, 0], "seeds must list whole numbers"),
        ("seeds", "many", "seeds must list whole numbers"),
        ("n_folds", 1, "n_folds must be a whole number ≥ 2"),
        ("same_cases", "no", "same_cases must be true or false"),
        ("store", None, "needs one of store"),
        ("phantom", {"patients": 4}, "needs one of store"),
        ("arms", {}, "names no arm"),
        ("arms/a, b", {}, "no comma or bracket"),
        ("arms", ["concat"], "arms must be a mapping"),
        ("leak", {"sedes": [1]}, "key of leak.*'sedes' .did you mean 'seeds'"),
        ("arms/subtract/training/epochs", -1, "training.epochs must be ≥ 0"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(phantom_store, tmp_path, path, value, words):
    file = write(tmp_path / "study.yaml", change(content(phantom_store), path, value))
    with pytest.raises((ConfigError, UnknownNameError), match=words):
        read_study(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not YAML"), ("- a", "must hold a mapping"), ("", "must hold a mapping")],
)
def test_a_file_that_is_no_study_is_refused(tmp_path, text, words):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_study(tmp_path / "study.yaml")
    with pytest.raises(ConfigError, match="does not exist"):
        read_study(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("arms/CT1/model/sequences", ["ADC"], "sequence of the arm 'CT1': 'ADC'"),
        ("arms/CT1/model/name", "densenet12", "model of the arm 'CT1'.*densenet121"),
        ("arms/CT1/model/stem", "minus", "stem of the arm 'CT1'"),
    ],
)
def test_arms_are_checked_before_anything_is_trained(phantom_store, tmp_path, path, value, words):
    file = write(tmp_path / "study.yaml", change(content(phantom_store), path, value))
    with pytest.raises(UnknownNameError, match=words):
        open_study(read_study(file), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


def test_an_arm_whose_sequences_no_pair_has_is_refused(phantom_store, tmp_path, monkeypatch):
    import xrano.experiments.study.run_study as module

    monkeypatch.setattr(module, "rated", lambda pairs: pairs.head(0))
    file = write(tmp_path / "study.yaml", content(phantom_store))
    with pytest.raises(ManifestError, match="arm 'concat': no rated pair of .* has CT1, FLAIR"):
        open_study(read_study(file), tmp_path / "out")


def test_folds_of_another_study_are_refused(phantom_store, finished, tmp_path):
    other = change(content(phantom_store), "fold_seed", 5)
    file = write(tmp_path / "study.yaml", other)
    with pytest.raises(ConfigError, match="holds other folds"):
        open_study(read_study(file), finished)


def test_a_file_of_weights_is_looked_for_beside_the_study(phantom_store, tmp_path):
    values = change(
        content(phantom_store),
        "arms/CT1/pretraining",
        {"kind": "medicalnet", "path": "weights/resnet.pth"},
    )
    study = read_study(write(tmp_path / "study.yaml", values))
    assert study.arm("CT1").config().pretraining.path == str(tmp_path / "weights/resnet.pth")


def test_shards_are_every_nth_unit():
    units: list[Unit] = [f"unit {number}" for number in range(7)]  # type: ignore[misc]
    parts = [of_shard(units, (index, 3)) for index in (1, 2, 3)]
    assert sorted(unit for part in parts for unit in part) == units
    for text in ("0/3", "4/3", "1", "a/b", "-1/2"):
        with pytest.raises(ConfigError, match="written i/n"):
            parse_shard(text)


def test_folders_are_safe_names():
    assert folder_name("../../etc, x") == "etc_x"
    assert folder_name("…") == "arm"


def test_the_studies_that_come_with_the_project_are_valid():
    for path in sorted(Path("studies").glob("*.yaml")):
        study = read_study(path)
        assert study.arms
    paper = read_study(Path("studies/paper.yaml"))
    approaches = {arm.approach for arm in paper.arms}
    assert approaches >= {"subtraction", "sequences", "architectures", "pretraining", "clinical"}
    sets = {arm.config().model.sequences for arm in paper.arms}
    assert sets == {sequence_set(name) for name in PAPER_SETS}
