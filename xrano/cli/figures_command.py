"""``xrano figures``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from xrano.cli.answers import Answer

EXAMPLE = "xrano figures xrano-demo/run --out figures   (one kind:  --kinds timeline)"
POSITIONAL_HELP = "folder that xrano train or xrano demo wrote"

JSON_KEYS = {
    "files": "figures that were written",
    "missing": "kinds that were not: why, and the command that makes what they need",
}


def run(
    run_dir: Path,
    out: Path,
    kinds: tuple[
        Literal[
            "atlas",
            "timeline",
            "overlap",
            "reliability",
            "layers",
            "case",
            "comparison",
            "study",
            "audit",
        ],
        ...,
    ] = (),
    scores: Path | None = None,
    maps: Path | None = None,
    layers: Path | None = None,
    study: Path | None = None,
    audit: Path | None = None,
    patient: str = "",
    format: Literal["png", "svg", "pdf"] = "png",  # noqa: A002 — the option's name
    width: Literal["screen", "single", "middle", "double"] = "screen",
    convention: Literal["radiological", "neurological"] = "radiological",
    store: Path | None = None,
) -> Answer:
    """Draw every figure whose inputs are there, and say which command makes the others.

    Folders that are not named are looked for beside the run, where xrano demo puts them (scores,
    explained, layers, study, audit).

    Args:
        run_dir: the run.
        out: folder for the figures.
        kinds: atlas, timeline, overlap, reliability, layers, case, comparison, study, audit; all
            if not given.
        scores: folder that xrano score wrote.
        maps: folder of maps that xrano explain saved.
        layers: folder that xrano layers wrote.
        study: folder that xrano study wrote.
        audit: folder that xrano audit wrote.
        patient: of the time line, the case and the comparison; if not given the one with the most
            predicted pairs, and the first pair of the worst, of each response.
        format: of the files.
        width: screen, or a column of a journal: 89, 120 or 183 mm.
        convention: radiological shows the patient's left at the right of slices.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.cli.terminal import bar
    from xrano.errors import ManifestError
    from xrano.experiments.figures import KINDS, FigureRequest, make_figures
    from xrano.training.run import open_run

    named = {"scores": scores, "maps": maps, "layers": layers, "study": study, "audit": audit}
    request = FigureRequest(
        kinds=tuple(kinds) or tuple(KINDS),
        folders={name: path for name, path in named.items() if path is not None},
        patient=patient,
        form=format,
        width=None if width == "screen" else width,
        convention=convention,
    )
    found = make_figures(open_run(run_dir, store=store), out, request, progress=bar)
    lines = [f"  {path}" for path in found.files]
    for item in found.missing:
        lines += [f"no {item.kind} ({KINDS[item.kind]}): {item.why}", f"  make it:  {item.command}"]

    def require() -> None:
        if not found.files:
            raise ManifestError("no figure could be drawn; what is missing stands above")

    return Answer(
        "\n".join(lines), {"files": found.files, "missing": found.missing}, require=require
    )
