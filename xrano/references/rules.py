"""The RANO rules on segmentations, by volume and by diameters, against three references.

| against    | PR                                  | PD                                         |
|------------|-------------------------------------|--------------------------------------------|
| `prior`    | the pair's prior scan               | the pair's prior scan                      |
| `baseline` | first scan since the last operation | the same                                   |
| `nadir`    | first scan since the last operation | the smallest burden since, current aside   |

Thresholds and truth table are those of :mod:`xrano.rano`. The rules see burdens only: no new
lesion, no steroids, no clinical state, no FLAIR. Where the responses themselves were made by such
a rule, agreement with it says nothing.
"""

from __future__ import annotations

from collections import Counter

import pandas as pd

from xrano.errors import UnknownNameError
from xrano.rano import VOLUMETRIC, RanoThresholds, Response, rate
from xrano.references.burdens import Burdens, SessionKey, course_references
from xrano.references.prediction_rows import prediction_rows
from xrano.tasks import RESPONSE, Task

AGAINST = ("prior", "baseline", "nadir")
"""What a rule compares the current scan with."""

NO_SEGMENTATION = "without the segmentation of a scan"
NO_REFERENCE = "without an earlier segmented scan since the operation"


def rule_predictions(
    test: pd.DataFrame,
    sessions: pd.DataFrame,
    burdens: Burdens,
    *,
    against: str,
    thresholds: RanoThresholds = VOLUMETRIC,
    task: Task = RESPONSE,
) -> tuple[pd.DataFrame, Counter[str]]:
    """Rate the current scan of each pair by the rule.

    Args:
        test: the tested pairs, with prior_session and current_session.
        sessions: the sessions table; only sessions up to a pair's current one matter to it.
        burdens: burden by session, in the thresholds' unit.
        against: a name in :data:`AGAINST`. With ``prior`` both scans of the pair must have a
            burden; with the others the current one, and an earlier one since the last operation.
        thresholds: which form of the rule.
        task: what is asked; the rule's response is turned into a class of it.

    Returns:
        ``(predictions, left out)``: one row a rated pair in the order of ``test``, without logits,
        and how many pairs are left out for which reason.

    Raises:
        UnknownNameError: if ``against`` is unknown.
        ConfigError: if a burden is negative or infinite.
    """
    if against not in AGAINST:
        raise UnknownNameError("reference of a rule", against, AGAINST)
    references = _references(test, sessions, burdens, against)
    left_out: Counter[str] = Counter()
    kept: list[bool] = []
    predicted: list[str] = []
    for current, prior in _scans(test):
        reference = references.get(current)
        lacking = current not in burdens or (against == "prior" and prior not in burdens)
        kept.append(not lacking and reference is not None)
        if lacking or reference is None:
            left_out[NO_SEGMENTATION if lacking else NO_REFERENCE] += 1
            continue
        response: Response = rate(
            burdens[current],
            rano_baseline=reference[0],
            nadir=reference[1],
            thresholds=thresholds,
        )
        predicted.append(task.class_of(str(response)))
    rows = prediction_rows(test, task)[kept].reset_index(drop=True)
    return rows.assign(predicted=predicted), left_out


def _scans(test: pd.DataFrame) -> list[tuple[SessionKey, SessionKey]]:
    """Current and prior scan of each pair."""
    columns = ("patient_id", "prior_session", "current_session")
    return [
        ((patient, current), (patient, prior))
        for patient, prior, current in zip(*(test[name] for name in columns), strict=True)
    ]


def _references(
    test: pd.DataFrame, sessions: pd.DataFrame, burdens: Burdens, against: str
) -> dict[SessionKey, tuple[float, float]]:
    """Baseline and nadir to rate each current scan by."""
    if against == "prior":
        return {
            current: (burdens[prior], burdens[prior])
            for current, prior in _scans(test)
            if prior in burdens
        }
    return {
        key: (found.baseline, found.nadir if against == "nadir" else found.baseline)
        for key, found in course_references(sessions, burdens).items()
    }
