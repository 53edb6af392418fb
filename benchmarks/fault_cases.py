"""The long commands on a cohort so small that each takes seconds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from benchmarks.fault_comparison import digests
from benchmarks.fault_kills import run_to_the_end
from benchmarks.fault_processes import Command
from xrano.data.index import index_cohort
from xrano.data.phantom import PhantomSettings, write_phantom

COMMANDS = ("prepare", "train", "explain", "score", "report", "study")
"""In this order each finds what it reads."""

BEFORE: Mapping[str, tuple[str, ...]] = {
    "prepare": (),
    "train": ("prepare",),
    "explain": ("prepare", "train"),
    "score": ("prepare", "train"),
    "report": ("prepare", "train", "explain", "score"),
    "study": (),
}
"""What must have been run before each."""

PHANTOM = PhantomSettings(patients=4, visits=(3, 3), seed=3, spacing_mm=6.0)

METHODS = ("saliency", "gradcam", "ig:prior")

_NETWORK = ("--model.name", "densenet_small", "--model.sequences", "CT1", "FLAIR")


@dataclass(frozen=True)
class Case:
    """One command under test.

    Attributes:
        name: of the command.
        words: of the command line, without ``xrano``.
        out: the folder that it writes.
        reads: folders and files that it reads.
        kept: patterns, relative to ``out``, of the files that end a piece of work (records and
            what needs none), none of which is ever made again.
        unread: patterns of files that nothing reads any more once the work is finished.
        given: patterns of files that are made once and then read as if they were given.
        seconds: an undisturbed run's.
        expected: digests of what an undisturbed run left.
        whole: a copy of that.
    """

    name: str
    words: tuple[str, ...]
    out: Path
    reads: tuple[Path, ...]
    kept: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    seconds: float = 0.0
    expected: Mapping[str, str] = field(default_factory=dict)
    whole: Path = Path()

    def start(self) -> Command:
        """Start the command."""
        return Command(self.words)


def make_cohort(root: Path) -> None:
    """The phantom, its tables and the study's file."""
    write_phantom(root / "phantom", PHANTOM)
    index_cohort(root / "phantom", root / "index")
    (root / "study.yaml").write_text(yaml.safe_dump(_study(), sort_keys=False), encoding="utf-8")


def undisturbed(case: Case, root: Path) -> Case:
    """Run a command to its end, and keep a copy of what it leaves below ``root``."""
    seconds = run_to_the_end(case.start)
    whole = root / case.out.name
    shutil.copytree(case.out, whole)
    return replace(case, seconds=seconds, expected=digests(whole), whole=whole)


def cases(root: Path) -> dict[str, Case]:
    """Every command by name; their folders lie side by side, as ``xrano demo`` puts them."""
    run, store = root / "run", root / "store"
    found = (
        _case(
            *("prepare", root / "index", store, "--spacing_mm", "6", "--jobs", "1"),
            reads=(root / "index", root / "phantom"),
            kept=("sessions/*.json",),
        ),
        _case(
            *("train", store, run, *_NETWORK, "--n_folds", "3"),
            *("--training.epochs", "2", "--training.batch_size", "4"),
            *("--training.accelerator", "cpu"),
            reads=(store,),
            kept=("fold-*/fold.json", "fold-*/predictions.csv"),
            unread=("fold-*/resume.pt",),
        ),
        _case(
            *("explain", run, root / "explained", "--all", "--methods", *METHODS),
            *("--n-steps", "4"),
            reads=(store, run),
            kept=("units/*",),
        ),
        _case(
            *("score", run, root / "scores", "--methods", *METHODS, "--copies", "1"),
            *("--n-steps", "2", "--n-resamples", "50"),
            reads=(store, run),
            kept=("parts/*",),
        ),
        _case(
            *("report", run, root / "report", "--cases", "6", "--jobs", "1"),
            reads=(store, run, root / "explained", root / "scores"),
        ),
        _case(
            *("study", root / "study.yaml", root / "study"),
            reads=(root / "study.yaml",),
            kept=(
                "cohort/phantom/*",
                "cohort/store/sessions/*.json",
                "runs/*/fold-*/predictions.csv",
            ),
            # Once all is trained only the tables of the store are read.
            unread=(
                *("runs/*/resume.pt", "cohort/phantom/*", "cohort/index/*"),
                *("cohort/store/sessions/*", "cohort/store/problems.csv"),
                "cohort/store/checksums.json",
            ),
            given=("cohort/*",),
        ),
    )
    return {case.name: case for case in found}


def _case(
    name: str,
    source: Path,
    out: Path,
    *options: str,
    reads: tuple[Path, ...],
    kept: tuple[str, ...] = (),
    unread: tuple[str, ...] = (),
    given: tuple[str, ...] = (),
) -> Case:
    words = (name, str(source), "--out", str(out), *options)
    return Case(name, words, out, reads, kept, unread, given)


def _study() -> dict[str, object]:
    return {
        "phantom": {"patients": 6, "visits": [3, 3], "spacing_mm": 6.0, "seed": 4},
        "base": {
            "model": {"name": "densenet_small", "sequences": "CT1+FLAIR"},
            "training": {"epochs": 1, "batch_size": 4, "accelerator": "cpu"},
        },
        "seeds": [0],
        "n_folds": 2,
        "arms": {
            "concat": {"approach": "subtraction"},
            "subtract": {
                "approach": "subtraction",
                "against": "concat",
                "model": {"stem": "subtract"},
            },
        },
        "n_resamples": 50,
        "n_permutations": 50,
    }
