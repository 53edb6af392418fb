"""The lines for a terminal that make what a report shows."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from xrano.training.run import Run

FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "scores": "scores",
        "maps": "explained",
        "faithfulness": "faithfulness",
        "audit": "audit",
    }
)
"""What lies beside a run to the name of its folder, as ``xrano demo`` lays it out."""


@dataclass(frozen=True)
class CommandLines:
    """Commands about a run.

    ``run``: its folder; ``base``: the folder that they are given in, ``None`` for where the reader
    is. Paths in them are relative to ``base``, so that no page names a folder of its maker's.
    """

    run: Path
    base: Path | None = None

    def path(self, path: Path) -> str:
        """A path as a word of a command."""
        shown = path if self.base is None else Path(os.path.relpath(path, self.base))
        return shlex.quote(shown.as_posix())

    def beside(self, kind: str) -> str:
        """The folder beside the run where something is looked for."""
        return self.path(self.run.parent / FOLDERS[kind])

    def evaluate(self) -> str:
        """What judges the predictions."""
        return f"xrano evaluate {self.path(self.run)}"

    def make(self, kind: str) -> str:
        """What makes the folder of a kind beside the run."""
        run, out = self.path(self.run), self.beside(kind)
        return {
            "scores": f"xrano score {run} --out {out}",
            "maps": f"xrano explain {run} --all --methods saliency gradcam ig:prior --target all "
            f"--maps reduced --out {out}",
            "faithfulness": f"xrano faithfulness {run} --out {out}",
            "audit": f"xrano audit --out {out}",
        }[kind]

    def place(self, audit: Path, scores: Path) -> str:
        """What places the run on the scale of an audit."""
        return (
            f"xrano audit --out {self.path(audit)} --run {self.path(self.run)} "
            f"--scores {self.path(scores)}"
        )


def score_options(settings: Mapping[str, Any]) -> str:
    """Options of ``xrano score`` that differ from its defaults, after its ``settings.json``.

    Example:
        >>> score_options({"methods": ["saliency"], "copies": 3, "attribution": {"n_steps": 8}})
        '--methods saliency --copies 3 --n-steps 8'
    """
    attribution = settings.get("attribution") or {}
    options: list[str] = []
    if settings.get("methods"):
        options += ["--methods", *map(str, settings["methods"])]
    for name, value in (
        ("copies", settings.get("copies")),
        ("n-steps", attribution.get("n_steps")),
        ("nulls", _unless(settings.get("nulls"), "primary")),
        ("surrogates", _unless(settings.get("surrogates"), 0)),
        ("reduction", _unless(settings.get("reduction"), "sum")),
        ("layer", attribution.get("layer")),
    ):
        if value is not None:
            options += [f"--{name}", str(value)]
    options += ["--tuned-dice"] if settings.get("tuned_dice") else []
    return " ".join(shlex.quote(word) for word in options)


def explain_options(methods: Sequence[str]) -> str:
    """Options of ``xrano explain`` for maps of these methods."""
    words = ["--all", "--methods", *methods, "--maps", "reduced"]
    return " ".join(shlex.quote(word) for word in words)


def lines_of(run: Run, *, relative: bool) -> CommandLines:
    """Commands about a run, for a page (relative to the folder that holds it) or a terminal."""
    return CommandLines(run.root, run.root.parent if relative else None)


def _unless(value: Any, default: Any) -> Any:
    return None if value == default else value
