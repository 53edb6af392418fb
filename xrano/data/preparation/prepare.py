"""From tables to a prepared store: every session of a pair onto one common grid.

Images that lie in no common space yet are registered first. The common grid has the axes of the
first scan (or the template) turned to RAS+, the spacing asked for, and is cropped to the union of
all brains. Voxels are moved once, and not at all where grids only differ by flips and crops.
A session that fails is reported at the end and does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from xrano.atomic_files import remove_leftovers, write_json
from xrano.data.image_roots import covering_roots, named_images, write_roots
from xrano.data.normalisation import FALLBACKS
from xrano.data.preparation.common_grid import boxed, cropped_to, respaced
from xrano.data.preparation.jobs import Outcome, run_jobs
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.preparation.prepared_cohort import PreparedCohort
from xrano.data.preparation.problems import PROBLEMS, ProblemLog, SessionKey, write_problems
from xrano.data.preparation.session_jobs import (
    ExtentJob,
    PairJob,
    SessionJob,
    extent_of,
    keep_session,
    statistics_of,
)
from xrano.data.preparation.session_placement import Placement, base_grid, place_sessions
from xrano.data.privacy import cohort_findings, privacy_note
from xrano.data.store import unmark, write_manifest
from xrano.data.table_columns import sequence_columns
from xrano.data.tables import records, write_table
from xrano.errors import ManifestError, UnfinishedError
from xrano.geometry import Grid, as_shape
from xrano.progress import Progress, quiet

VOLUME_COLUMNS = ["patient_id", "session_id", "source", "region", "ml"]

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")
_Row = Mapping[str, Any]


def prepare_cohort(
    sessions: pd.DataFrame,
    segmentations: pd.DataFrame,
    pairs: pd.DataFrame,
    out: Path,
    settings: PrepareSettings | None = None,
    *,
    excluded: pd.DataFrame | None = None,
    roots: Sequence[Path] = (),
    jobs: int = 1,
    progress: Progress = quiet,
) -> PreparedCohort:
    """Write a prepared store of all sessions that take part in a pair.

    A session whose file is already there, made from the same files with the same settings, is
    not made again. ``store.json`` comes last, and goes first where a store is made anew.

    Args:
        sessions: the sessions table, image paths absolute.
        segmentations: the segmentations table.
        pairs: the pairs table.
        out: the store's folder.
        settings: spacing, normalisation, registration.
        excluded: what was left out before, for ``exclusions.csv``.
        roots: folders that the images are known to lie in; of others their very own are recorded.
        jobs: how many processes; 0 for one a core.
        progress: how to show progress.

    Raises:
        ManifestError: if there is no pair, or sessions lie in different kinds of space.
        UnfinishedError: if no pair could be prepared; nothing is then marked as a store.
    """
    settings = settings or PrepareSettings()
    remove_leftovers(out)
    used = _sessions_of(sessions, pairs)
    names = tuple(name for name in sequence_columns(used) if (used[name] != "").any())
    work = _Preparation(names, settings, out, jobs, progress)
    rows = {(row["patient_id"], row["session_id"]): row for row in records(used)}
    findings = cohort_findings(used, segmentations)
    work.log.note_privacy(findings)
    placed = work.place(rows)
    grid, placed = work.find_grid(rows, placed)
    made = work.prepare(rows, segmentations, grid, placed)
    pairs, statistics = work.measure(pairs, made, grid)
    unmark(out)
    kept = [key in made for key in rows]
    write_table(out / "sessions.csv", used[kept].reset_index(drop=True))
    write_table(out / "segmentations.csv", segmentations)
    write_table(out / "pairs.csv", pairs)
    left_out = [] if excluded is None else [excluded]
    exclusions = pd.concat([*left_out, work.log.exclusions], ignore_index=True)
    write_table(out / "exclusions.csv", exclusions)
    volumes = [line for record in made.values() for line in record["volumes"]]
    write_table(out / "volumes.csv", pd.DataFrame(volumes, columns=VOLUME_COLUMNS))
    write_json(out / "statistics.json", statistics)
    write_json(out / "checksums.json", {one["file"]: one["sha256"] for one in made.values()})
    write_problems(out, work.log.problems)
    write_roots(out, covering_roots(named_images(used, segmentations), roots))
    write_manifest(out, grid, names, asdict(settings))
    return PreparedCohort(
        grid,
        pairs,
        work.log.exclusions,
        tuple(work.log.problems),
        sum(one["region"] in FALLBACKS for one in statistics["pairs"].values()),
        privacy_note(findings, PROBLEMS),
    )


def _sessions_of(sessions: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    if pairs.empty:
        raise ManifestError("the pairs table is empty, so there is nothing to prepare")
    wanted = {
        (pair["patient_id"], pair[role])
        for pair in pairs.to_dict("records")
        for role in ("prior_session", "current_session")
    }
    keys = list(zip(sessions["patient_id"], sessions["session_id"], strict=True))
    missing = sorted(wanted - set(keys))
    if missing:
        raise ManifestError(f"pairs name sessions that the sessions table lacks: {missing[:3]}")
    used = sessions[[key in wanted for key in keys]].reset_index(drop=True)
    spaces = set(used["space"])
    if "atlas" in spaces and len(spaces) > 1:
        raise ManifestError(
            f"sessions lie in different kinds of space ({', '.join(sorted(spaces))}): the atlas of "
            "some is not known to be the template that the others would be registered to; give "
            "all of them as they were scanned (space = native), or prepare them apart"
        )
    return used


@dataclass(frozen=True, eq=False)
class _Preparation:
    """The steps of preparing a cohort; each goes on with the sessions that the last one left."""

    names: tuple[str, ...]
    settings: PrepareSettings
    out: Path
    jobs: int
    progress: Progress
    log: ProblemLog = field(default_factory=ProblemLog)

    def place(self, rows: Mapping[SessionKey, _Row]) -> dict[SessionKey, Placement]:
        """Where each session lies in the common world."""
        outcomes = place_sessions(
            list(rows.values()), self.names, self.settings, self.out, self.jobs, self.progress
        )
        return self._some(self.log.take(list(rows), outcomes))

    def find_grid(
        self, rows: Mapping[SessionKey, _Row], placed: dict[SessionKey, Placement]
    ) -> tuple[Grid, dict[SessionKey, Placement]]:
        """The common grid, and the placements of the sessions whose brain could be read."""
        base = base_grid([rows[key] for key in placed], placed, self.names, self.settings)
        if self.settings.spacing_mm:
            base = respaced(base, self.settings.spacing_mm)
        work = [
            ExtentJob(rows[key], self.names, place.to_common, base, self.settings)
            for key, place in placed.items()
        ]
        outcomes = self._run(extent_of, work, "reading brains")
        extents = self._some(self.log.take(list(placed), outcomes))
        box = self.settings.box
        grid = boxed(base, as_shape(box)) if box else cropped_to(base, list(extents.values()))
        return grid, {key: placed[key] for key in extents}

    def prepare(
        self,
        rows: Mapping[SessionKey, _Row],
        segmentations: pd.DataFrame,
        grid: Grid,
        placed: Mapping[SessionKey, Placement],
    ) -> dict[SessionKey, dict[str, Any]]:
        """Write the session files; their records."""
        found = {
            key: group.to_dict("records")
            for key, group in segmentations.groupby(["patient_id", "session_id"])
        }
        work = []
        for key, place in placed.items():
            row = rows[key]
            listed = found.get(key, [])
            labelled = [item for item in listed if item["space"] == row["space"]]
            if listed and not labelled:
                spaces = ", ".join(sorted({str(item["space"]) for item in listed}))
                text = f"no segmentation is used: they are in space {spaces}, the scans in "
                self.log.remark(key, [f"{text}{row['space']} (column space of both tables)"])
            work.append(SessionJob(row, labelled, self.names, grid, place, self.settings, self.out))
        outcomes = self._run(keep_session, work, "preparing sessions")
        made = self._some(self.log.take(list(placed), outcomes))
        for key, record in made.items():
            self.log.remark(key, record["remarks"])
        return made

    def measure(
        self, pairs: pd.DataFrame, made: Mapping[SessionKey, Any], grid: Grid
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The pairs whose intensities could be measured, and what ``statistics.json`` holds."""
        work = []
        for pair in records(pairs):
            sessions = (pair["prior_session"], pair["current_session"])
            lost = [name for name in sessions if (pair["patient_id"], name) not in made]
            if lost:
                self.log.lose_pair_of(pair, lost[0])
            else:
                work.append(PairJob(pair, grid.spacing, self.settings, self.out))
        measured = {}
        for job, outcome in zip(work, self._run(statistics_of, work, "normalising"), strict=True):
            if outcome.error is None:
                measured[job.pair["pair_id"]] = outcome.value
            else:
                self.log.lose_pair(job.pair, outcome.error)
        self._some(measured)
        statistics = {
            "normalisation": self.settings.normalisation,
            "margin_mm": self.settings.margin_mm,
            "pairs": measured,
        }
        return pairs[pairs["pair_id"].isin(list(measured))].reset_index(drop=True), statistics

    def _run(
        self, function: Callable[[_Item], _Value], work: Sequence[_Item], what: str
    ) -> list[Outcome[_Value]]:
        return run_jobs(function, work, jobs=self.jobs, progress=self.progress, what=what)

    def _some(self, values: dict[Any, _Value]) -> dict[Any, _Value]:
        if not values:
            raise UnfinishedError(f"nothing could be prepared; {self.log.first_failure()}")
        return values
