"""Every reference by name, and all of them at once on the pairs of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import pandas as pd

from xrano.data.store import Store
from xrano.errors import UnknownNameError
from xrano.rano import BIDIMENSIONAL, VOLUMETRIC
from xrano.references.burdens import Burdens, product_burdens, rano_region, volume_burdens
from xrano.references.majority import majority_predictions
from xrano.references.prediction_rows import check_tables
from xrano.references.rules import rule_predictions
from xrano.references.tabular import clinical_features, has_clinical, volume_features
from xrano.references.tabular_models import tabular_predictions
from xrano.tasks import RESPONSE, Task

NO_CLINICAL = (
    "no session of these patients has an age, a sex, an IDH or an MGMT state; add the columns to "
    "the sessions table and prepare again"
)
NO_SOURCE = "the store holds no segmentation"


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is asked of every reference, with what several of them need."""

    store: Store
    test: pd.DataFrame
    training: Mapping[int, pd.DataFrame]
    task: Task
    seed: int

    @cached_property
    def sessions(self) -> pd.DataFrame:
        return self.store.sessions

    @cached_property
    def volumes(self) -> pd.DataFrame:
        return self.store.volumes

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Every tested and training pair once."""
        columns = ["pair_id", "patient_id"]
        columns += ["prior_session", "current_session", "prior_week", "current_week"]
        tables = [self.test[columns], *(pairs[columns] for pairs in self.training.values())]
        joined = pd.concat(tables).drop_duplicates("pair_id")
        return joined.sort_values("pair_id", ignore_index=True)

    @cached_property
    def products(self) -> dict[str, dict[tuple[str, str], float]]:
        return product_burdens(self.store, self.test["patient_id"])

    @cached_property
    def clinical(self) -> pd.DataFrame:
        return clinical_features(self.pairs, self.sessions)

    def burdens(self, source: str, *, diameters: bool) -> Burdens:
        if diameters:
            return self.products.get(source, {})
        return volume_burdens(self.volumes, source, rano_region(self.volumes, source))


Made = tuple[pd.DataFrame | None, str]
"""A predictions table, and why it or some of its pairs are missing."""


@dataclass(frozen=True)
class Reference:
    """One thing that a user would pick instead of a network.

    ``description``: one line; ``needs``: of ``training`` (rated pairs of the fold), ``volumes`` and
    ``masks`` (of a segmentation, so that there is one table a source) and ``clinical`` columns.
    """

    description: str
    needs: tuple[str, ...]
    make: Callable[[_Asked, str], Made]

    @property
    def by_source(self) -> bool:
        """Whether it depends on a segmentation."""
        return bool({"volumes", "masks"} & set(self.needs))


def _majority(asked: _Asked, _source: str) -> Made:
    return majority_predictions(asked.test, asked.training, asked.task), ""


def _rule(asked: _Asked, source: str, *, against: str, diameters: bool) -> Made:
    table, left_out = rule_predictions(
        asked.test,
        asked.sessions,
        asked.burdens(source, diameters=diameters),
        against=against,
        thresholds=BIDIMENSIONAL if diameters else VOLUMETRIC,
        task=asked.task,
    )
    return (None if table.empty else table), _left_out(left_out, len(asked.test))


def _left_out(counts: Counter[str], n_pairs: int) -> str:
    if not counts:
        return ""
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return f"{counts.total()} of {n_pairs} pairs left out: {why}"


def _tabular(asked: _Asked, source: str, *, model: str, volumes: bool, clinical: bool) -> Made:
    parts = []
    if clinical:
        if not has_clinical(asked.clinical):
            return None, NO_CLINICAL
        parts.append(asked.clinical)
    if volumes:
        parts.append(volume_features(asked.pairs, asked.sessions, asked.volumes, source))
    features = pd.concat(parts, axis=1)
    table = tabular_predictions(
        # Weeks since the prior scan come with both.
        features.loc[:, ~features.columns.duplicated()],
        asked.test,
        asked.training,
        model=model,
        task=asked.task,
        seed=asked.seed,
    )
    return table, ""


_AGAINST = {
    "prior scan": ("prior", "the prior scan alone"),
    "baseline": ("baseline", "the first scan since the last operation"),
    "baseline and nadir": ("nadir", "the first (PR) and the smallest (PD) since the operation"),
}
_TABULAR = {
    "volumes": (("training", "volumes"), "volumes, their changes and weeks"),
    "volumes+clinical": (("training", "volumes", "clinical"), "those and clinical data"),
    "clinical": (("training", "clinical"), "clinical data and weeks alone"),
}


def _references() -> dict[str, Reference]:
    found = {
        "majority class of each fold": Reference(
            "the commonest class of the fold's training pairs", ("training",), _majority
        )
    }
    for form, diameters in (("volumetric rule", False), ("2D rule", True)):
        for name, (against, words) in _AGAINST.items():
            found[f"{form}, {name}"] = Reference(
                f"RANO's {form} on the segmentation, against {words}",
                ("masks",) if diameters else ("volumes",),
                partial(_rule, against=against, diameters=diameters),
            )
    for model, words in (
        ("boosted", "gradient boosting"),
        ("logistic", "logistic regression"),
    ):
        for name, (needs, data) in _TABULAR.items():
            found[f"{model} {name}"] = Reference(
                f"{words} on {data}",
                needs,
                partial(
                    _tabular, model=model, volumes="volumes" in needs, clinical="clinical" in needs
                ),
            )
    return found


REFERENCES: Mapping[str, Reference] = _references()
"""Name to reference, in the order of a table."""


def reference_predictions(
    store: Store,
    test: pd.DataFrame,
    training: Mapping[int, pd.DataFrame],
    *,
    task: Task = RESPONSE,
    names: Iterable[str] | None = None,
    seed: int = 0,
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Rate the tested pairs of a study by every reference.

    Args:
        store: the prepared store that the pairs are of.
        test: the tested pairs: the columns of a pairs table, and ``fold``.
        training: fold to its rated training pairs. A pair is rated by what these say, its own
            scans and the patient's earlier ones; no tested pair's response is looked at.
        task: what is asked.
        names: of :data:`REFERENCES`; all if not given.
        seed: of the models that have one.

    Returns:
        ``(tables, remarks)`` by name, which ends in the segmentation where it depends on one, such
        as ``volumetric rule, prior scan (deepbratumia)``. A table has pair_id, patient_id, fold,
        response, rating_source, predicted and, of models, ``logit_<class>``, in the order of
        ``test``. A remark says why a reference has no table or lacks pairs.

    Raises:
        UnknownNameError: for an unknown name.
        ManifestError: if a table lacks a column or a fold its training pairs, or for clinical
            data that cannot be read.
        SplitError: if a fold trains on pairs that it tests.
    """
    wanted = tuple(REFERENCES) if names is None else tuple(names)
    for name in wanted:
        if name not in REFERENCES:
            raise UnknownNameError("reference", name, REFERENCES)
    check_tables(test, training)
    asked = _Asked(store, test, training, task, seed)
    sources = sorted(set(asked.volumes["source"]))
    tables: dict[str, pd.DataFrame] = {}
    remarks: dict[str, str] = {}
    for name in wanted:
        reference = REFERENCES[name]
        if reference.by_source and not sources:
            remarks[name] = NO_SOURCE
        for source in sources if reference.by_source else [""]:
            full_name = f"{name} ({source})" if source else name
            table, remark = reference.make(asked, source)
            if table is not None:
                tables[full_name] = table
            if remark:
                remarks[full_name] = remark
    return tables, remarks
