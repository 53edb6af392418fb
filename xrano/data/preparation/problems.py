"""What went wrong in preparing a cohort, and what its user should know of what went well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.preparation.jobs import Outcome
from xrano.data.privacy import Finding
from xrano.data.table_columns import EXCLUSION_COLUMNS
from xrano.data.tables import write_table

PROBLEMS = "problems.csv"
REMARK = "remark"
PRIVACY = "privacy"
"""Kind of a remark on a file that looks as if it told who a patient is."""

SessionKey = tuple[str, str]
"""patient_id and session_id."""

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Problem:
    """One failure or remark.

    ``session_id`` is empty where a whole pair is meant, ``pair_id`` where a session is; ``kind``
    is the name of the error, or ``remark`` or ``privacy`` for something that stopped nothing.
    """

    patient_id: str
    session_id: str
    pair_id: str
    kind: str
    text: str

    @property
    def failed(self) -> bool:
        """Whether it stopped the session or pair."""
        return self.kind not in (REMARK, PRIVACY)

    def describe(self) -> str:
        """One line."""
        where = self.pair_id or f"{self.patient_id} {self.session_id}"
        return f"{where}: {self.text}"


class ProblemLog:
    """Failures, remarks, and the pairs that they cost, as they come up.

    Attributes:
        problems: in the order in which they came up, each once.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._excluded: list[dict[str, str]] = []
        self._causes: dict[SessionKey, str] = {}

    def take(
        self, keys: Sequence[SessionKey], outcomes: Iterable[Outcome[_Value]]
    ) -> dict[SessionKey, _Value]:
        """Note what went wrong; the values of the sessions that went well."""
        values = {}
        for key, outcome in zip(keys, outcomes, strict=True):
            self.remark(key, outcome.remarks)
            if outcome.error is not None:
                self._causes[key] = str(outcome.error)
                self._add(Problem(*key, "", type(outcome.error).__name__, str(outcome.error)))
            elif outcome.value is not None:
                values[key] = outcome.value
        return values

    def remark(self, key: SessionKey, texts: Iterable[str]) -> None:
        """Note remarks on a session."""
        for text in texts:
            self._add(Problem(*key, "", REMARK, text))

    def note_privacy(self, findings: Iterable[Finding]) -> None:
        """Note files that look as if they told who a patient is."""
        for one in findings:
            self._add(Problem(one.patient_id, one.session_id, "", PRIVACY, one.text))

    def lose_pair(self, pair: Mapping[str, Any], error: Exception) -> None:
        """Note a pair that failed by itself."""
        kind, text = type(error).__name__, str(error)
        self._add(Problem(pair["patient_id"], "", pair["pair_id"], kind, text))
        self._exclude(pair, text)

    def lose_pair_of(self, pair: Mapping[str, Any], session: str) -> None:
        """Note a pair that one of its sessions, already noted, costs."""
        self._exclude(pair, f"{session}: {self._causes.get((pair['patient_id'], session), '')}")

    @property
    def exclusions(self) -> pd.DataFrame:
        """The pairs that were lost, as an exclusions table."""
        return pd.DataFrame(self._excluded, columns=list(EXCLUSION_COLUMNS))

    def first_failure(self) -> str:
        """The first problem that stopped something, in a line; empty if there is none."""
        return next((problem.describe() for problem in self.problems if problem.failed), "")

    def _exclude(self, pair: Mapping[str, Any], detail: str) -> None:
        self._excluded.append(
            {
                "patient_id": pair["patient_id"],
                "session_id": pair["current_session"],
                "detail": detail,
                "reason": str(ExclusionReason.NOT_PREPARED),
            }
        )

    def _add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


_COLUMNS = ("patient_id", "session_id", "pair_id", "kind", "text")


def write_problems(folder: Path, problems: Iterable[Problem]) -> None:
    """Write ``problems.csv``; without problems it has no rows."""
    frame = pd.DataFrame([asdict(one) for one in problems], columns=list(_COLUMNS))
    write_table(folder / PROBLEMS, frame)
