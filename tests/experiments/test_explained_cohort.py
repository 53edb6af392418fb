"""A whole cohort explained: killed, sharded, extended, and the same files in the end."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from unmeasured import unmeasured

from benchmarks.fault_comparison import digests
from benchmarks.fault_kills import kill_again_and_again
from benchmarks.fault_processes import Command
from xrano.atomic_files import remove_leftovers
from xrano.attribution.methods import AttributionSettings
from xrano.cli.main import main
from xrano.errors import ConfigError
from xrano.experiments.explained_cohort import (
    CohortRequest,
    disk_bytes,
    explain_cohort,
    held_out,
)
from xrano.experiments.shards import alone_in, of_shard, shard_of
from xrano.map_files import find_maps, load_map
from xrano.training.run import Run, open_run

METHODS = ("saliency", "gradcam", "ig:prior")
SETTINGS = AttributionSettings(n_steps=2)


def request(methods: tuple[str, ...] = METHODS, **changes: object) -> CohortRequest:
    return CohortRequest(methods, settings=SETTINGS, **changes)


@pytest.fixture(scope="module")
def whole(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    explain_cohort(tiny_run, out, request())
    return out


def test_every_held_out_pair_is_explained_by_the_network_that_never_saw_it(
    tiny_run: Run, whole: Path
):
    pairs = {pair["pair_id"]: pair for pair in held_out(tiny_run)}
    found = [load_map(path) for path in find_maps(whole / "maps")]
    seen = {one.meta["pair_id"] for one in found}
    assert seen == set(pairs)
    hashes = dict.fromkeys(tiny_run.trained_folds)
    for one in found:
        fold = one.meta["fold"]
        assert one.meta["patient_id"] in tiny_run.splits["folds"][fold]["test"]
        hashes[fold] = hashes[fold] or one.meta["weights_sha256"]
        assert one.meta["weights_sha256"] == hashes[fold]
    units = list((whole / "units").rglob("*.json"))
    assert len(units) == len(pairs) * len(METHODS)
    for unit in units:
        for name in json.loads(unit.read_text())["files"]:
            assert (whole / name).is_file()


def test_shards_give_the_same_files(tiny_run: Run, whole: Path, tmp_path: Path):
    counts = [
        explain_cohort(tiny_run, tmp_path, request(), shard=(index, 3)).pairs for index in (3, 1, 2)
    ]
    assert sum(counts) == len(held_out(tiny_run))
    assert max(counts) - min(counts) <= 1
    assert digests(tmp_path) == digests(whole)


def test_one_more_method_makes_only_that(tiny_run: Run, whole: Path, tmp_path: Path):
    first = explain_cohort(tiny_run, tmp_path, request(("saliency", "gradcam")))
    assert first.found == 0
    before = digests(tmp_path)
    second = explain_cohort(tiny_run, tmp_path, request())
    assert (second.made, second.found) == (first.pairs, first.made)
    assert digests(tmp_path) == digests(whole)
    assert before.items() <= digests(tmp_path).items()
    again = explain_cohort(tiny_run, tmp_path, request())
    assert again.made == 0


@pytest.mark.parametrize("damage", ["map", "half a map", "sidecar", "unit", "broken unit"])
def test_what_is_lost_is_made_again(tiny_run: Run, whole: Path, tmp_path: Path, damage: str):
    explain_cohort(tiny_run, tmp_path, request(("saliency",)))
    before = digests(tmp_path)
    chosen = find_maps(tmp_path / "maps")[2]
    unit = sorted((tmp_path / "units").rglob("*.json"))[1]
    if damage == "map":
        chosen.unlink()
    elif damage == "half a map":
        chosen.write_bytes(chosen.read_bytes()[: chosen.stat().st_size // 2])
    elif damage == "sidecar":
        chosen.with_name(chosen.name.replace(".nii.gz", ".json")).unlink()
    elif damage == "unit":
        unit.unlink()
    else:
        unit.write_text("{")
    done = explain_cohort(tiny_run, tmp_path, request(("saliency",)))
    assert done.made == 1
    assert digests(tmp_path) == before


def test_other_settings_are_other_units(tiny_run: Run, tmp_path: Path):
    first = explain_cohort(tiny_run, tmp_path, request(("ig:zero",)), shard=(1, 4))
    other = CohortRequest(("ig:zero",), settings=AttributionSettings(n_steps=3))
    assert explain_cohort(tiny_run, tmp_path, other, shard=(1, 4)).made == first.made


def test_reduced_maps_are_the_signed_sum_over_channels(tiny_run: Run, whole: Path, tmp_path: Path):
    explain_cohort(tiny_run, tmp_path, request(("saliency",), maps="reduced"), shard=(1, 5))
    for path in find_maps(tmp_path / "maps"):
        reduced, full = load_map(path), load_map(whole / path.relative_to(tmp_path))
        assert reduced.channels == ("all",)
        assert not reduced.coarse
        np.testing.assert_allclose(reduced.data[0], full.data.sum(axis=0), atol=1e-6)
        np.testing.assert_array_equal(reduced.grid.affine, full.grid.affine)


def test_the_disk_it_takes_at_most_is_told_before(tiny_run: Run, whole: Path):
    pairs = len(held_out(tiny_run))
    voxels = sum(load_map(path).data.nbytes for path in find_maps(whole / "maps"))
    assert 0.5 * voxels <= disk_bytes(tiny_run, request(), pairs) <= 1.5 * voxels


# --- two at once


def test_a_second_run_into_the_folder_is_refused(tiny_run: Run, tmp_path: Path):
    with alone_in(tmp_path, None):
        with pytest.raises(ConfigError, match="another process is writing"):
            explain_cohort(tiny_run, tmp_path, request(("saliency",)))
        # Another part of the same work may go on beside it.
        with alone_in(tmp_path, (1, 2)), alone_in(tmp_path, (2, 2)):
            pass
    with alone_in(tmp_path, None):
        pass


def test_the_part_of_a_job_follows_from_its_rank():
    assert shard_of("2/3", {"RANK": "0", "WORLD_SIZE": "8"}) == (2, 3)
    assert shard_of("", {"RANK": "7", "WORLD_SIZE": "8"}) == (8, 8)
    assert shard_of("", {"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}) == (1, 2)
    assert shard_of("", {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}) is None
    assert shard_of("", {}) is None
    with pytest.raises(ConfigError, match="name no part"):
        shard_of("", {"RANK": "x", "WORLD_SIZE": "8"})
    items = list(range(11))
    parts = [of_shard(items, (index, 4)) for index in range(1, 5)]
    assert sorted(item for part in parts for item in part) == items


def test_leftovers_of_dead_processes_go_and_those_of_live_ones_stay(tmp_path: Path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "a").mkdir()
    gone = tmp_path / "a" / f".{dead.pid}-map.nii.gz"
    mine = tmp_path / f".{os.getpid()}-map.nii.gz"
    other = tmp_path / ".lock-all"
    for path in (gone, mine, other):
        path.write_text("x")
    assert remove_leftovers(tmp_path) == 0  # too young: it may be another machine's
    assert remove_leftovers(tmp_path, older_than_s=0) == 1
    assert not gone.exists()
    assert mine.exists()
    assert other.exists()


# --- the command


def test_the_command_explains_all_and_says_what_is_next(
    tiny_run: Run, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ["--methods", *METHODS, "--n-steps", "2", "--out", str(tmp_path)]
    assert main(["explain", str(tiny_run.root), "--all", *options]) == 0
    said = capsys.readouterr().out
    assert "GB of maps" in said
    assert "next:  xrano score" in said
    assert digests(tmp_path) == digests(whole)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--all", "--pair", "x"], "or --all"),
        ([], "or --all"),
        (["--all", "--maps", "none"], "to score without them"),
        (["--all", "--shard", "4/3"], "written i/n"),
    ],
)
def test_what_makes_no_sense_is_refused(tiny_run, tmp_path, capsys, options, words):
    assert main(["explain", str(tiny_run.root), "--out", str(tmp_path), *options]) == 1
    assert words in capsys.readouterr().err


def test_killed_at_random_moments_it_ends_with_the_same_files(
    tiny_run: Run, whole: Path, tmp_path: Path
):
    """As ``python -m benchmarks.faults``, which kills twenty times."""
    words = [
        *("explain", str(tiny_run.root), "--all", "--methods", *METHODS, "--n-steps", "2"),
        *("--out", str(tmp_path / "out")),
    ]
    found = kill_again_and_again(
        lambda: Command(words, fresh=True),
        tmp_path / "out",
        digests(whole),
        kills=3,
        seed=4,
        seconds=5.0,
        kept=("units/*",),
    )
    assert len(found.moments) == 3
    assert found.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("started_by", ["torchrun", "srun"])
def test_two_processes_of_one_job_leave_the_same_files(
    tiny_run: Run, whole: Path, tmp_path: Path, started_by: str
):
    command = [
        *("-m", "xrano.cli.main", "explain", str(tiny_run.root), "--all"),
        *("--methods", *METHODS, "--n-steps", "2", "--out", str(tmp_path)),
    ]
    # Sidecars tell the threads, and torchrun would have one.
    shared = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    if started_by == "torchrun":
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        words, tasks = [sys.executable, *torchrun, *command], [shared]
    else:
        words = [sys.executable, *command]
        tasks = [{**shared, "SLURM_PROCID": str(rank), "SLURM_NTASKS": "2"} for rank in (0, 1)]
    job = [subprocess.Popen(words, env=task, stdout=subprocess.PIPE, text=True) for task in tasks]
    said = [process.communicate()[0] for process in job]
    assert [process.returncode for process in job] == [0] * len(job)
    assert digests(tmp_path) == digests(whole)
    assert len(list(tmp_path.glob(".lock-*-of-2"))) == 2, said


def test_a_full_disk_is_told_in_one_line_and_the_rest_is_made_later(
    tiny_run: Run, whole: Path, tmp_path: Path
):
    """A limit on the size of files stands for it: small ones fit, a map does not."""
    sizes = sorted(path.stat().st_size for path in find_maps(whole / "maps"))
    limit = (sizes[0] + sizes[-1]) // 2
    command = [
        *(sys.executable, "-m", "xrano.cli.main", "explain", str(tiny_run.root), "--all"),
        *("--methods", *METHODS, "--n-steps", "2", "--out", str(tmp_path)),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=unmeasured(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("xrano: error: ")
    assert "File too large" in done.stderr
    assert not [path for path in tmp_path.rglob(".*") if path.name[1].isdigit()]
    assert set(digests(tmp_path).items()) < set(digests(whole).items())
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert digests(tmp_path) == digests(whole)


def test_the_maps_of_another_network_are_made_anew(tiny_run: Run, tmp_path: Path):
    """Units of the same settings, but of other weights, are not taken for finished."""
    explain_cohort(tiny_run, tmp_path / "out", request(("saliency",)), shard=(1, 6))
    other = shutil.copytree(tiny_run.root, tmp_path / "other")
    for path in other.rglob("model.safetensors"):
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            facts = file.metadata()
        last = list(weights)[-1]
        save_file({**weights, last: weights[last] + 1}, path, metadata=facts)
    done = explain_cohort(open_run(other), tmp_path / "out", request(("saliency",)), shard=(1, 6))
    assert done.found == 0
    assert done.made == done.pairs
