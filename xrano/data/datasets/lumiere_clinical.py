"""LUMIERE's table of demographics and pathology."""

from __future__ import annotations

import math
from pathlib import Path

from xrano.data.datasets.headed_table import PATIENT, HeadedTable
from xrano.errors import ManifestError

_UNKNOWN = {"", "na", "n/a", "nan"}


def read_demographics(path: Path, notes: list[str]) -> dict[str, dict[str, object]]:
    """The clinical columns of each patient; ``na`` becomes an empty string or NaN.

    Args:
        path: the CSV file.
        notes: what cannot be read of the share of methylation is told here, and is NaN.

    Returns:
        patient_id to sex, idh, mgmt (text), age in years, survival_weeks and mgmt_percent
        (``12.00%`` is 12.0).

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, names a patient twice, or
            holds an age or a survival that is no number.
    """
    table = HeadedTable(
        path,
        patient=PATIENT,
        age=("age…",),
        sex=("sex",),
        idh=("idh (…", "idh"),
        mgmt=("mgmt qualitative", "mgmt"),
        mgmt_percent=("mgmt quantitative…",),
        survival_weeks=("survival…",),
        optional=("mgmt_percent",),
    )
    clinical: dict[str, dict[str, object]] = {}
    for line, cells in table.rows():
        known = {
            name: "" if text.lower() in _UNKNOWN else text.strip() for name, text in cells.items()
        }
        entry: dict[str, object] = {name: known[name] for name in ("sex", "idh", "mgmt")}
        if known["idh"].lower() == "wt":
            entry["idh"] = "WT"
        for name in ("age", "survival_weeks"):
            try:
                entry[name] = float(known[name]) if known[name] else math.nan
            except ValueError as error:
                raise ManifestError(
                    f"{path}, line {line}: {name} is {known[name]!r}; a number or 'na' is needed"
                ) from error
        entry["mgmt_percent"] = share = _percent(known["mgmt_percent"])
        if math.isnan(share) and known["mgmt_percent"]:
            text = known["mgmt_percent"]
            notes.append(f"{path.name}, line {line}: MGMT share {text!r} is no number, left empty")
        if known["patient"] in clinical:
            raise ManifestError(
                f"{path}, line {line}: {known['patient']} stands there twice; keep one row"
            )
        clinical[known["patient"]] = entry
    return clinical


def _percent(text: str) -> float:
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        return math.nan
