"""How good the out-of-fold predictions are, beside the majority class and the volumetric rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix

from xrano.errors import ManifestError
from xrano.metrics.bootstrap import patient_resamples, percentile_interval
from xrano.rano import RESPONSES, rate

LOGITS = [f"logit_{response}" for response in RESPONSES]


@dataclass(frozen=True)
class Estimate:
    """A value with its percentile interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float | None]:
        """[value, low, high], undefined as null."""
        return [None if np.isnan(item) else item for item in (self.value, self.low, self.high)]


def recalls(response: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Recall of each class that occurs; a class that does not occur is not in the result."""
    return {
        str(name): float((predicted[response == name] == name).mean())
        for name in RESPONSES
        if (response == name).any()
    }


def balanced_accuracy(response: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Mean recall over the classes that occur."""
    return float(np.mean(list(recalls(response, predicted).values())))


def macro_f1(response: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Mean F1 over the classes that occur."""
    scores = []
    for name in RESPONSES:
        truth, said = response == name, predicted == name
        if truth.any():
            scores.append(2 * (truth & said).sum() / (truth.sum() + said.sum()))
    return float(np.mean(scores))


def one_vs_rest_auroc(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Chance that a random true row scores above a random other one; NaN without either."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return float("nan")
    rank_sum = float(rankdata(score)[truth].sum())
    return (rank_sum - positive * (positive + 1) / 2) / (positive * negative)


def evaluate_predictions(
    table: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Judge a predictions table.

    Args:
        table: columns patient_id, response, predicted and, for AUROC, logit_CR … logit_PD.
        n_resamples: resamples of patients, all pairs of a patient together, every class in each.
        seed: of the resampling.

    Returns:
        JSON values: n_pairs, n_patients, ``balanced_accuracy``, ``macro_f1``, ``recall`` and
        ``auroc`` per class as [value, low, high], ``confusion`` (rows true, columns predicted),
        ``absent`` classes, which no average contains. Intervals are conditional on the trained
        network.

    Raises:
        ManifestError: if there is no rated pair.
    """
    if table.empty:
        raise ManifestError("there is no rated pair to evaluate")
    response = table["response"].to_numpy(dtype=object)
    predicted = table["predicted"].to_numpy(dtype=object)
    resamples = list(
        patient_resamples(
            list(table["patient_id"]), list(response), n_resamples=n_resamples, seed=seed
        )
    )

    def estimate(statistic: Callable[[NDArray[np.intp]], float]) -> list[float | None]:
        interval = percentile_interval([statistic(rows) for rows in resamples])
        value = statistic(np.arange(len(table)))
        return Estimate(value, interval.low, interval.high).to_json()

    present = [str(name) for name in RESPONSES if (response == name).any()]
    result: dict[str, Any] = {
        "n_pairs": len(table),
        "n_patients": int(table["patient_id"].nunique()),
        "absent": [str(name) for name in RESPONSES if str(name) not in present],
        "balanced_accuracy": estimate(
            lambda rows: balanced_accuracy(response[rows], predicted[rows])
        ),
        "macro_f1": estimate(lambda rows: macro_f1(response[rows], predicted[rows])),
        "recall": {name: estimate(_recall_of(name, response, predicted)) for name in present},
        "confusion": confusion_matrix(
            response.astype(str), predicted.astype(str), labels=[str(name) for name in RESPONSES]
        ).tolist(),
    }
    if set(LOGITS) <= set(table.columns):
        result["auroc"] = {name: estimate(_one_vs_rest(table, response, name)) for name in present}
    return result


def _recall_of(
    name: str, response: NDArray[Any], predicted: NDArray[Any]
) -> Callable[[NDArray[np.intp]], float]:
    hit = (predicted == name).astype(float)
    truth = response == name

    def recall(rows: NDArray[np.intp]) -> float:
        return float(hit[rows][truth[rows]].mean()) if truth[rows].any() else float("nan")

    return recall


def _one_vs_rest(
    table: pd.DataFrame, response: NDArray[Any], name: str
) -> Callable[[NDArray[np.intp]], float]:
    """AUROC of a class's log-odds against the rest; NaN if there is no rest."""
    logits = table[LOGITS].to_numpy(dtype=np.float64)
    index = [str(item) for item in RESPONSES].index(name)
    rest = np.delete(logits, index, axis=1)
    peak = rest.max(axis=1)
    odds = logits[:, index] - peak - np.log(np.exp(rest - peak[:, None]).sum(axis=1))
    truth = response == name

    def auroc(rows: NDArray[np.intp]) -> float:
        return one_vs_rest_auroc(truth[rows], odds[rows])

    return auroc


def majority_predictions(table: pd.DataFrame, training: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """The same pairs rated by the commonest response among each fold's training pairs."""
    common = {
        fold: str(pairs["response"].value_counts().sort_index().idxmax())
        for fold, pairs in training.items()
    }
    return table[["pair_id", "patient_id", "fold", "response"]].assign(
        predicted=[common[fold] for fold in table["fold"]]
    )


def rule_predictions(
    table: pd.DataFrame, pairs: pd.DataFrame, volumes: pd.DataFrame, *, source: str
) -> pd.DataFrame:
    """The pairs rated by the volumetric rule on a segmentation, current against prior scan.

    Pairs of which a scan lacks the segmentation are left out; compare ``len``.
    """
    enhancing = volumes[(volumes["source"] == source) & (volumes["region"] == "enhancing")]
    ml = enhancing.set_index(["patient_id", "session_id"])["ml"].to_dict()
    sessions = pairs.set_index("pair_id")
    rows = []
    for row in table.to_dict("records"):
        pair = sessions.loc[row["pair_id"]]
        prior = ml.get((row["patient_id"], pair["prior_session"]))
        current = ml.get((row["patient_id"], pair["current_session"]))
        if prior is not None and current is not None:
            predicted = str(rate(float(current), rano_baseline=float(prior)))
            rows.append({**row, "predicted": predicted})
    columns = ["pair_id", "patient_id", "fold", "response", "predicted"]
    return pd.DataFrame(rows, columns=columns)


def compare_references(
    table: pd.DataFrame,
    training: Mapping[int, pd.DataFrame],
    pairs: pd.DataFrame,
    volumes: pd.DataFrame,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The network, the majority class and the rule on each segmentation, all by one measure."""
    found = {
        "network": evaluate_predictions(table, n_resamples=n_resamples, seed=seed),
        "majority class": evaluate_predictions(
            majority_predictions(table, training), n_resamples=n_resamples, seed=seed
        ),
    }
    for source in sorted(set(volumes["source"])):
        ruled = rule_predictions(table, pairs, volumes, source=source)
        if len(ruled):
            found[f"volumetric rule ({source})"] = evaluate_predictions(
                ruled, n_resamples=n_resamples, seed=seed
            )
    return found


def format_comparison(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A plain table of :func:`compare_references` for the terminal."""
    width = max(len(name) for name in found)
    head = f"{'':<{width}}{'pairs':>7}  {'balanced accuracy':<19}  {'macro-F1':<19}  recall: "
    lines = [head + "  ".join(f"{name:>4}" for name in RESPONSES)]
    for name, result in found.items():
        recall = "  ".join(
            f"{result['recall'][str(item)][0]:4.2f}" if str(item) in result["recall"] else "   –"
            for item in RESPONSES
        )
        lines.append(
            f"{name:<{width}}{result['n_pairs']:>7}  {_show(result['balanced_accuracy']):<19}  "
            f"{_show(result['macro_f1']):<19}          {recall}"
        )
    absent = found["network"]["absent"]
    if absent:
        lines.append(f"no pair of class {', '.join(absent)}: the averages are over the others")
    return "\n".join(lines)


def rule_note(table: pd.DataFrame) -> str:
    """What to say where responses are the volumetric rule's; empty if none is.

    Args:
        table: predictions or scores, with pair_id and rating_source.

    Example:
        >>> found = rule_note(pd.DataFrame({"pair_id": ["a", "b"], "rating_source": ["rule", ""]}))
        >>> found.split(",")[0]
        '1 of 2 pairs are rated by the volumetric rule'
    """
    sources = table.drop_duplicates("pair_id")["rating_source"]
    ruled = int((sources == "rule").sum())
    if not ruled:
        return ""
    return (
        f"{ruled} of {len(sources)} pairs are rated by the volumetric rule, not by a reader: "
        "agreement with that rule says nothing"
    )


def _show(estimate: list[float | None]) -> str:
    value, low, high = (float("nan") if item is None else item for item in estimate)
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
