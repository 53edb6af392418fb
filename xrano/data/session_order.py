"""The order of a patient's sessions: by what it is made, and what contradicts it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from xrano.errors import ManifestError


def order_by_week(frame: pd.DataFrame) -> list[int]:
    """Position of each row among its patient's, by week and then by name.

    Numbers in a name count as numbers.

    Example:
        >>> names = ["week-002-10", "week-002-2", "week-001"]
        >>> order_by_week(
        ...     pd.DataFrame({"patient_id": "P1", "session_id": names, "week": [2, 2, 1]}))
        [2, 1, 0]
    """
    keys = [
        (patient, week, [int(part) for part in re.findall(r"\d+", session)], session)
        for patient, week, session in zip(
            frame["patient_id"], frame["week"], frame["session_id"], strict=True
        )
    ]
    order = [0] * len(keys)
    position: dict[str, int] = {}
    for row in sorted(range(len(keys)), key=keys.__getitem__):
        patient = keys[row][0]
        order[row] = position[patient] = position.get(patient, -1) + 1
    return order


def require_increasing(path: Path, frame: pd.DataFrame) -> None:
    """Refuse two sessions in one place, and weeks that fall along the order.

    Args:
        path: of the table, for the message.
        frame: a sessions table, sorted by patient and order.

    Raises:
        ManifestError: naming both sessions.
    """
    for patient, sessions in frame.groupby("patient_id", sort=False):
        order, week = sessions["order"].to_numpy(), sessions["week"].to_numpy()
        for index in range(1, len(sessions)):
            if order[index] == order[index - 1] or week[index] < week[index - 1]:
                first, second = sessions["session_id"].iloc[[index - 1, index]]
                raise ManifestError(
                    f"{path}: {patient} {first} (order {order[index - 1]}, week {week[index - 1]}) "
                    f"and {second} (order {order[index]}, week {week[index]}) contradict; orders "
                    "must differ and weeks must not fall: mend them or remove the column order"
                )
