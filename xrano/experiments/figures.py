"""Every kind of figure whose inputs are there, by one call; of the others, what makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from xrano.errors import ManifestError, UnknownNameError, XranoError
from xrano.experiments.atlas import class_atlas
from xrano.experiments.report.commands import FOLDERS, lines_of
from xrano.experiments.saved_figures import (
    layers_of,
    most_visits,
    overlap_of,
    reliability_of,
    study_of,
    write_audit_figures,
)
from xrano.experiments.saved_panels import case_of, comparison_of
from xrano.experiments.timeline import patient_timeline, require_patient
from xrano.progress import Progress, quiet
from xrano.training.run import Run
from xrano.viz.atlas_figure import atlas_figure
from xrano.viz.figure_files import FORMATS, save_figure, width_inches
from xrano.viz.slices import Convention, parse_convention
from xrano.viz.timeline_figure import timeline_figure

KINDS: Mapping[str, str] = {
    "atlas": "mean map of each response class",
    "timeline": "one patient over all visits",
    "overlap": "the primary analysis",
    "reliability": "how often predictions are right, by confidence",
    "layers": "lift of class activation maps of every layer",
    "case": "prior, current, change and maps of one pair",
    "comparison": "methods beside each other, one pair of each response",
    "study": "arms and references of a study",
    "audit": "which scores tell cheating models",
}
"""Kind of figure to what it shows."""

_FOLDERS = {**FOLDERS, "layers": "layers", "study": "study"}


@dataclass(frozen=True)
class FigureRequest:
    """What is drawn and from where.

    ``folders``: ``scores``, ``maps``, ``layers``, ``study``, ``audit`` to a folder that was named;
    the others are looked for beside the run, where ``xrano demo`` puts them. ``patient``: of the
    time line, the case and the comparison; by default the one with the most predicted pairs, and
    the first pair of the worst, of each response. ``form``: ``png``, ``svg`` or ``pdf``. ``width``:
    for print, as for :func:`~xrano.viz.figure_files.save_figure`; ``convention``: of slices,
    ``radiological`` or ``neurological``.
    """

    kinds: tuple[str, ...] = tuple(KINDS)
    folders: Mapping[str, Path] = field(default_factory=dict)
    patient: str = ""
    form: str = "png"
    width: str | float | None = None
    convention: str = Convention.RADIOLOGICAL


@dataclass(frozen=True)
class Missing:
    """A kind that was not drawn: why, and the command that makes what it needs."""

    kind: str
    why: str
    command: str


@dataclass(frozen=True)
class FigureSet:
    """The files written, and what is missing."""

    files: tuple[Path, ...]
    missing: tuple[Missing, ...]


def make_figures(
    run: Run, out: Path, request: FigureRequest | None = None, *, progress: Progress = quiet
) -> FigureSet:
    """Write every figure that can be drawn; what is missing or broken stops none of the others.

    Args:
        run: the run.
        out: folder for the figures.
        request: what is drawn and from where; every kind if not given.
        progress: how to show progress.

    Returns:
        The files, and for each kind that was not drawn the command that makes what it needs.

    Raises:
        UnknownNameError: for an unknown kind, format, width, convention or patient.
        ConfigError: for a width that is not some centimetres.
    """
    asked = request or FigureRequest()
    for kind in asked.kinds:
        if kind not in KINDS:
            raise UnknownNameError("kind of figure", kind, KINDS)
    if asked.form not in FORMATS:
        raise UnknownNameError("figure format", asked.form, FORMATS)
    parse_convention(asked.convention)
    if asked.width is not None:
        width_inches(asked.width)
    if asked.patient:
        require_patient(run, asked.patient)
    drawers = _Drawers(run, asked, progress)
    files: list[Path] = []
    missing: list[Missing] = []
    for kind in dict.fromkeys(asked.kinds):
        try:
            files += _write(kind, drawers, out)
        except XranoError as error:
            missing.append(Missing(kind, str(error), drawers.command(kind)))
    return FigureSet(tuple(files), tuple(missing))


def _write(kind: str, drawers: _Drawers, out: Path) -> list[Path]:
    if kind == "audit":
        folder = drawers.folder("audit", "audit.json")
        return write_audit_figures(folder, out, f".{drawers.form}", width=drawers.width)
    figures = drawers.by_kind[kind]()
    paths = [out / f"{name}.{drawers.form}" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save_figure(figure, path, width=drawers.width)
    return paths


class _Drawers:
    """What draws each kind: name of a file to its figure."""

    def __init__(self, run: Run, asked: FigureRequest, progress: Progress) -> None:
        self._run, self._asked, self._progress = run, asked, progress
        self.form, self.width = asked.form, asked.width
        slices = {"convention": asked.convention, "width": asked.width}
        self.by_kind: dict[str, Callable[[], dict[str, Figure]]] = {
            "atlas": self._atlas,
            "timeline": self._timeline,
            "overlap": lambda: {"overlap": overlap_of(self.folder("scores", "summary.csv"))},
            "reliability": lambda: {"reliability": reliability_of(run)},
            "layers": lambda: {"layers": layers_of(self.folder("layers", "layers_summary.csv"))},
            "case": lambda: {
                "case_panel": case_of(run, self.folder("maps"), asked.patient, **slices)
            },
            "comparison": lambda: {
                "comparison": comparison_of(run, self.folder("maps"), asked.patient, **slices)
            },
            "study": lambda: study_of(self.folder("study", "study.json")),
        }

    def folder(self, name: str, mark: str = "") -> Path:
        """The folder of some inputs, if it holds its mark.

        Raises:
            ManifestError: if it does not.
        """
        beside = self._run.root.parent / _FOLDERS[name]
        place = self._asked.folders.get(name, beside)
        if not (place / mark).exists():
            raise ManifestError(f"{place / mark} is not there")
        return place

    def command(self, kind: str) -> str:
        """The line for a terminal that makes what a kind needs."""
        lines = lines_of(self._run, relative=False)
        return {
            "atlas": lines.make("maps"),
            "case": lines.make("maps"),
            "comparison": lines.make("maps"),
            "overlap": lines.make("scores"),
            "audit": lines.make("audit"),
            "layers": f"xrano layers {lines.path(lines.run)} --out "
            f"{lines.path(lines.run.parent / _FOLDERS['layers'])}",
            "study": f"xrano study FILE --out {lines.path(lines.run.parent / _FOLDERS['study'])}",
        }.get(kind, "xrano train STORE --out RUN")

    def _atlas(self) -> dict[str, Figure]:
        atlas = class_atlas(self._run, self.folder("maps"), progress=self._progress)
        return {"atlas": atlas_figure(atlas, convention=self._asked.convention)}

    def _timeline(self) -> dict[str, Figure]:
        patient = self._asked.patient or most_visits(self._run)
        try:
            shares = self.folder("scores", "shares.csv")
        except ManifestError:
            # Without shares there is still a time line, unless they were named.
            if "scores" in self._asked.folders:
                raise
            return {"timeline": timeline_figure(patient_timeline(self._run, patient))}
        return {"timeline": timeline_figure(patient_timeline(self._run, patient, shares))}
