"""Folds of patients: who is tested when, and proof that nobody is on both sides.

Every pair of a patient is in one fold, and folds are stratified by response as far as whole
patients allow. A *split* is the content of ``splits.json``: protocol, seed, and per fold the
patients that are tested; the others are trained on. Folds of single timepoints (pairs), which the
paper used and which put scans of one patient on both sides, have a protocol of their own, so that
their leak can be measured and every result from them can say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TypedDict

import pandas as pd

from xrano.atomic_files import write_json
from xrano.data.stratify import stratified_groups
from xrano.errors import SplitError
from xrano.rano import RESPONSES
from xrano.text_files import read_json

PATIENT_GROUPED = "patient-grouped"
"""The protocol in which no patient is in two folds."""

TIMEPOINT_GROUPED = "timepoint-grouped"
"""The protocol of the paper: pairs are divided, whoever they are of; ``test`` names pairs."""

UNTRAINED = "untrained"
"""The protocol of a network that has seen nobody: one fold, in which everyone may be tested."""


PROTOCOLS = {"patient": PATIENT_GROUPED, "timepoint": TIMEPOINT_GROUPED}
"""Grouping to protocol."""


class Fold(TypedDict):
    """One fold: the patients that are tested; the pairs, where timepoints are grouped."""

    test: list[str]


class Splits(TypedDict):
    """The content of ``splits.json``."""

    protocol: str
    seed: int
    folds: list[Fold]


def make_folds(
    pairs: pd.DataFrame, n_folds: int, seed: int, *, grouping: str = "patient"
) -> Splits:
    """Divide the patients of a pairs table, each fold with its share of each response.

    Args:
        pairs: a pairs table; unrated pairs count as a class of their own.
        n_folds: 2 or more; no fold is empty.
        seed: of the shuffle; the order of the rows does not matter.
        grouping: ``patient``, or ``timepoint`` to divide the pairs whoever they are of.

    Raises:
        SplitError: if there are fewer patients than folds, or fewer than two folds.

    Example:
        >>> pairs = pd.DataFrame({"patient_id": ["A", "A", "B", "C", "D"],
        ...                       "response": ["PD", "SD", "PD", "SD", "PD"]})
        >>> splits = make_folds(pairs, 2, seed=0)
        >>> sorted(patient for fold in splits["folds"] for patient in fold["test"])
        ['A', 'B', 'C', 'D']
    """
    protocol = PROTOCOLS[grouping]
    unit = unit_column(protocol)
    n_units = pairs[unit].nunique()
    if n_folds < 2:
        raise SplitError(f"at least 2 folds are needed, got {n_folds}")
    if n_units < n_folds:
        raise SplitError(
            f"{n_folds} folds need at least as many {grouping}s, but the pairs are of {n_units}; "
            "lower n_folds (--n_folds) or index more patients"
        )
    folds = stratified_groups(pairs.assign(patient_id=pairs[unit]), n_folds, seed)
    return Splits(protocol=protocol, seed=seed, folds=[Fold(test=sorted(fold)) for fold in folds])


def unit_column(protocol: str) -> str:
    """The column of a pairs table that ``test`` lists the values of."""
    return "pair_id" if protocol == TIMEPOINT_GROUPED else "patient_id"


def is_tested(pairs: pd.DataFrame, splits: Splits, fold: int) -> pd.Series:
    """Which rows of a pairs table a fold tests, as booleans."""
    return pairs[unit_column(splits["protocol"])].isin(splits["folds"][fold]["test"])


def restrict_splits(splits: Splits, pairs: pd.DataFrame) -> Splits:
    """The same folds without the patients (or timepoints) that a pairs table lacks.

    Raises:
        SplitError: if a pair belongs to no fold, or a fold has nobody left.
    """
    known = set(pairs[unit_column(splits["protocol"])])
    folds = [
        Fold(test=[name for name in fold["test"] if name in known]) for fold in splits["folds"]
    ]
    lacking = known - {name for fold in folds for name in fold["test"]}
    if lacking:
        raise SplitError(f"the splits lack {', '.join(sorted(lacking)[:10])}; make them anew")
    for index, fold in enumerate(folds):
        if not fold["test"]:
            raise SplitError(
                f"fold {index} has no pair left to test; lower n_folds (--n_folds) or index more "
                "patients"
            )
    return Splits(protocol=splits["protocol"], seed=splits["seed"], folds=folds)


def inner_validation(
    pairs: pd.DataFrame, patients: Iterable[str], fraction: float, seed: int
) -> tuple[list[str], list[str]]:
    """Set some of the training patients aside for early stopping.

    Args:
        pairs: a pairs table.
        patients: the training patients of a fold; those without a pair are left out.
        fraction: of the pairs to set aside, > 0 and ≤ 0.5. One of ``round(1 / fraction)``
            stratified parts is taken, or one patient if there are fewer patients than parts.
        seed: of the shuffle.

    Returns:
        ``(training patients, validation patients)``, both sorted and neither empty. Of the parts,
        the one with most responses is validated on.

    Raises:
        SplitError: if the fraction is out of range or fewer than two patients have pairs.
    """
    if not 0 < fraction <= 0.5:
        raise SplitError(f"the fraction to validate on must be in (0, 0.5], got {fraction}")
    own = pairs[pairs["patient_id"].isin(list(patients))]
    known = sorted(own["patient_id"].unique())
    if len(known) < 2:
        raise SplitError(
            f"a validation set needs two patients with pairs to divide, got {len(known)}"
        )
    parts = make_folds(own, min(round(1 / fraction), len(known)), seed)["folds"]

    def responses(part: Fold) -> int:
        return int(own.loc[own["patient_id"].isin(part["test"]), "response"].nunique())

    validation = max(parts, key=responses)["test"]
    return [patient for patient in known if patient not in validation], validation


def fold_patients(splits: Splits, fold: int) -> tuple[list[str], list[str]]:
    """``(training patients, test patients)`` of a fold.

    Raises:
        SplitError: if there is no such fold.
    """
    folds = splits["folds"]
    if not 0 <= fold < len(folds):
        raise SplitError(f"fold {fold} does not exist; there are folds 0 to {len(folds) - 1}")
    train = [name for index, part in enumerate(folds) if index != fold for name in part["test"]]
    return sorted(train), list(folds[fold]["test"])


def absent_classes(
    pairs: pd.DataFrame, splits: Splits, *, part: str = "test"
) -> dict[int, tuple[str, ...]]:
    """Responses that no pair of a fold has, of those that the pairs table has at all.

    Args:
        pairs: a pairs table.
        splits: its folds.
        part: ``test`` (a recall is undefined there) or ``train`` (a class cannot be learned).

    Returns:
        Fold index to the absent responses; folds that lack none are left out.

    Raises:
        SplitError: if the part is neither of the two.
    """
    if part not in ("train", "test"):
        raise SplitError(f"a fold has the parts 'train' and 'test', got {part!r}")
    present = set(pairs["response"])
    absent: dict[int, tuple[str, ...]] = {}
    for index in range(len(splits["folds"])):
        train, test = fold_patients(splits, index)
        units = pairs[unit_column(splits["protocol"])]
        inside = units.isin(test if part == "test" else train)
        seen = set(pairs.loc[inside, "response"])
        lacking = tuple(str(name) for name in RESPONSES if name in present and name not in seen)
        if lacking:
            absent[index] = lacking
    return absent


def write_splits(path: str | PathLike[str], splits: Splits) -> None:
    """Write ``splits.json``, whole or not at all."""
    write_json(Path(path), splits)


def read_splits(path: str | PathLike[str], pairs: pd.DataFrame | None) -> Splits:
    """Read ``splits.json`` and hold it against the pairs that it divides.

    Args:
        path: the file.
        pairs: a pairs table; ``None`` to check the file by itself. It is not held against an
            :data:`UNTRAINED` split, which cannot leak.

    Raises:
        SplitError: naming the file, if it is missing, broken or of another protocol, has fewer than
            two folds or an empty one, has a patient twice, names a patient without pairs, or lacks
            one with pairs.
    """
    path = Path(path)
    splits = _parse(path)
    protocol = splits["protocol"]
    known_protocols = (*PROTOCOLS.values(), UNTRAINED)
    if protocol not in known_protocols:
        raise SplitError(
            f"{path}: protocol {protocol!r} is not known; {', '.join(known_protocols)} are"
        )
    folds = splits["folds"]
    if len(folds) < (1 if protocol == UNTRAINED else 2) or not all(fold["test"] for fold in folds):
        raise SplitError(f"{path} must hold at least two folds, and none without a patient")
    place = _places(path, folds)
    if pairs is not None and protocol != UNTRAINED:
        known = set(pairs[unit_column(protocol)])
        _refuse_names(path, set(place) - known, "names patients or timepoints without any pair")
        _refuse_names(path, known - set(place), "lacks patients or timepoints that have pairs")
    return splits


def _places(path: Path, folds: Sequence[Fold]) -> dict[str, int]:
    """The fold of each patient."""
    place: dict[str, int] = {}
    for index, fold in enumerate(folds):
        for patient in fold["test"]:
            if patient in place:
                raise SplitError(
                    f"{path}: {patient} is in fold {place[patient]} and again in fold {index}; a "
                    "patient on both sides leaks, so each must be named once"
                )
            place[patient] = index
    return place


def _refuse_names(path: Path, names: set[str], complaint: str) -> None:
    if names:
        listed = ", ".join(sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
        raise SplitError(f"{path} {complaint}: {listed}; make the splits anew for these pairs")


def _parse(path: Path) -> Splits:
    try:
        content = read_json(path)
        folds = [
            Fold(test=[_name(patient) for patient in fold["test"]]) for fold in content["folds"]
        ]
        return Splits(protocol=str(content["protocol"]), seed=int(content["seed"]), folds=folds)
    except FileNotFoundError as error:
        raise SplitError(f"{path} does not exist; make the splits first") from error
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise SplitError(
            f"{path} is not a splits file ({type(error).__name__}: {error}); needed is "
            '{"protocol": ..., "seed": ..., "folds": [{"test": [patient ids]}, ...]}'
        ) from error


def _name(patient: object) -> str:
    if not isinstance(patient, str):
        raise TypeError(f"patient {patient!r} is no text")
    return patient
