"""What a preparation made, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xrano.data.image_roots import told_folders
from xrano.data.preparation.problems import REMARK, Problem
from xrano.errors import UnfinishedError
from xrano.geometry import Grid


@dataclass(frozen=True, eq=False)
class PreparedCohort:
    """What was prepared, and what was not.

    Attributes:
        grid: the common grid.
        pairs: the pairs of the store.
        exclusions: pairs that could not be prepared, as rows of an exclusions table.
        problems: failures and remarks.
        without_healthy: pairs that the whole brain had to normalise.
        privacy: one line on files that look as if they told who a patient is; empty if none does.
        roots: folders outside of that of the tables that images were read from.
    """

    grid: Grid
    pairs: pd.DataFrame
    exclusions: pd.DataFrame
    problems: tuple[Problem, ...]
    without_healthy: int = 0
    privacy: str = ""
    roots: tuple[Path, ...] = ()

    @property
    def failures(self) -> tuple[Problem, ...]:
        """The problems that stopped a session or a pair."""
        return tuple(problem for problem in self.problems if problem.failed)

    def describe(self, out: Path) -> str:
        """Counts, remarks and pairs without healthy tissue, as lines of text."""
        size = "×".join(str(size) for size in self.grid.shape)
        spacing = "×".join(f"{size:g}" for size in self.grid.spacing)
        lines = [f"{len(self.pairs)} pairs on {size} voxels of {spacing} mm in {out}"]
        if self.roots:
            lines.append(f"images read from {told_folders(self.roots)}")
        remarks = [problem for problem in self.problems if problem.kind == REMARK]
        if remarks:
            lines.append(f"{len(remarks)} remarks (problems.csv), such as {remarks[0].describe()}")
        if self.privacy:
            lines.append(self.privacy)
        if self.without_healthy:
            lines.append(
                f"{self.without_healthy} pairs have no healthy region (no segmentation, or too "
                "little tissue) and are normalised by the whole brain, which lets the tumour shift "
                "every voxel"
            )
        return "\n".join(lines)

    def require_whole(self) -> None:
        """Complain if anything failed.

        Raises:
            UnfinishedError: naming the first failures.
        """
        if self.failures:
            shown = "; ".join(problem.describe() for problem in self.failures[:3])
            more = f"; and {len(self.failures) - 3} more" if len(self.failures) > 3 else ""
            raise UnfinishedError(
                f"{len(self.failures)} could not be prepared: {shown}{more} (all of them are in "
                "problems.csv of the store; mend the files and run the same command again)"
            )
