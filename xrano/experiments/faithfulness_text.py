"""A faithfulness summary for the terminal: each number, what it stands beside, and how to read it.

No metric is read alone: they disagree with each other, and each has a way to be won by a map that
says nothing. So each comes with a sentence on what it can tell. Whether it is better than what it
stands beside is said from ten patients on, by the interval of the difference.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

WIDTH = 100

READING: Mapping[str, str] = {
    "deletion_auc": "Probability left on average while what the map marks most goes first; lower "
    "is better. Smooth maps win this whatever they say: only what beats a random map as smooth "
    "counts.",
    "insertion_auc": "The same while what it marks most comes back first; higher is better.",
    "road_gap": "ROAD: probability without the least relevant voxels minus that without the most "
    "relevant, imputed from their neighbours; higher is better, 0 is chance.",
    "relative_infidelity": "Share of what hiding blocks does to the logit that the map, scaled to "
    "fit best, does not foretell; lower is better, 1 is a map that foretells nothing. The scale "
    "may be negative: read the correlation beside it.",
    "infidelity_correlation": "Correlation of what hiding a block does with its relevance; higher "
    "is better, 0 is chance, below 0 the map's sign is wrong.",
    "max_sensitivity": "Largest relative change of the map under noise of a tenth of a standard "
    "deviation; lower is better, but a constant map is best of all. Beside it the change of the "
    "scans.",
    "lesion_erase": "True of the network, whatever its map says: the tumour of both scans gives "
    "way. Beside it the same piece elsewhere in the brain: without a difference the network does "
    "not go by the tumour, or the infill is no absence to it.",
    "lesion_only": "All but the tumour gives way. An answer that stays needs nothing else; one "
    "that changes may also be at a loss with such a scan, which no network has seen.",
    "visit_swap": "Prior and current scan change places. A rater who follows RANO turns PR into "
    "PD, and never says PD again of what was PD.",
    "duplicated_visit": "One scan in both places: nothing changed, so SD or CR is right.",
    "cascading_randomisation": "Rank correlation with the map of the network whose weights were "
    "drawn anew from the logits down to each block. By the last nothing learnt is left: what "
    "correlation remains comes from the scans and the architecture. In round brackets two networks "
    "randomised alike. Noisy maps fall fast whatever they said.",
    "independent_randomisation": "The same with one block drawn anew at a time.",
    "fold_agreement": "Rank correlation, and Dice of the top 5 %, with maps of the run's other "
    "folds, which have trained on this patient. Beside it networks that learnt nothing: what they "
    "share is no finding. Agreement is no truth: networks may share a mistake.",
    "seed_agreement": "The same with networks of other seeds, which have never seen the patient.",
    "misalignment": "The current scan moved by 1 to 3 mm and degrees, as registration may miss "
    "it. In round brackets the scan moved there and back: blurred, but in place.",
}
"""What each metric that the text tells can say; the others are in the tables."""


def faithfulness_text(summary: pd.DataFrame, pairs: str, *, tests: Sequence[str] = ()) -> str:
    """The summary in words.

    Args:
        summary: of :func:`xrano.experiments.faithfulness_files.summarise`.
        pairs: which pairs, in words.
        tests: what was asked; of agreement it is said what could not be measured.
    """
    blocks = [_wrapped(_heading(summary, pairs))]
    for metric, reading in READING.items():
        own = summary[summary["metric"] == metric]
        if len(own):
            blocks.append("\n".join([f"{metric}", _wrapped(reading, 2), *_lines(metric, own)]))
        elif metric in _NOT_MEASURED and "agreement" in tests:
            blocks.append(f"{metric} is not measured: {_NOT_MEASURED[metric]}")
    return "\n".join(blocks)


_NOT_MEASURED = {
    "fold_agreement": "no other fold of this run is trained",
    "seed_agreement": "no run of this network with another seed is at hand (--seed-runs)",
}


def _heading(summary: pd.DataFrame, pairs: str) -> str:
    text = (
        f"{pairs}, chosen evenly over responses before anything was measured, so means are not "
        "those of the cohort. In brackets 95 % intervals over patients"
    )
    few = bool(summary["descriptive"].any()) if len(summary) else True
    return text + ("; of fewer than 10 patients they describe and prove nothing." if few else ".")


def _lines(metric: str, own: pd.DataFrame) -> list[str]:
    if metric in ("lesion_erase", "lesion_only", "visit_swap", "duplicated_visit"):
        return _intervention_lines(own)
    if metric in ("cascading_randomisation", "independent_randomisation"):
        return _course_lines(own[own["quantity"] == "rank_correlation"], short=_block)
    if metric == "misalignment":
        return _misalignment_lines(own)
    if metric in ("fold_agreement", "seed_agreement"):
        return [_line(f"{_name(row)}, {_words(row['quantity'])}", row) for row in _rows(own)]
    return [_line(", ".join(filter(None, (_name(row), row["infill"]))), row) for row in _rows(own)]


def _intervention_lines(own: pd.DataFrame) -> list[str]:
    lines = []
    for (infill, setting), group in own.groupby(["infill", "setting"], sort=False):
        by = {row["quantity"]: row for row in _rows(group)}
        what = ", ".join(filter(None, (str(infill), str(setting))))
        what += ": " if what else ""
        lines.append(_line(f"{what}logit", by["logit_change"], signed=True))
        lines.append(_line(f"{what}another answer", by["answer_changed"], share=True))
        if "answer_as_ruled" in by:
            row = by["answer_as_ruled"]
            lines.append(_line(f"{what}an answer that the rule allows", row, share=True))
    return lines


def _misalignment_lines(own: pd.DataFrame) -> list[str]:
    lines = []
    for quantity in ("absolute_logit_change", "answer_changed"):
        lines += _course_lines(own[own["quantity"] == quantity], label=_words(quantity))
    maps = own[own["method"] != ""]
    lines += _course_lines(maps[maps["quantity"] == "rank_correlation"])
    alike = maps[maps["quantity"] == "rank_correlation_moved_alike"]
    return lines + _course_lines(alike, suffix=", moved alike")


def _course_lines(
    own: pd.DataFrame,
    *,
    short: Callable[[str], str] = str,
    label: str = "",
    suffix: str = "",
) -> list[str]:
    """A line a method: the mean at each setting, and its reference in brackets."""
    lines = []
    for method, group in own.groupby("method", sort=False):
        steps = [
            f"{short(row['setting'])} {_plain(row['mean'])} ({_plain(row['reference'])})"
            for row in _rows(group)
        ]
        name = label or f"{str(method) or 'network'}{suffix}"
        lines.append(_wrapped(f"{name}: {', '.join(steps)}", 4))
    return lines


def _line(label: str, row: Mapping[str, Any], *, share: bool = False, signed: bool = False) -> str:
    def number(value: float) -> str:
        if math.isnan(value):
            return "undefined"
        return f"{value:.0%}" if share else f"{value:+.2f}" if signed else f"{value:.2f}"

    text = f"{label}: {number(row['mean'])}"
    if not math.isnan(row["low"]):
        text += f" [{number(row['low'])}, {number(row['high'])}]"
    if not math.isnan(row["reference"]):
        text += f"; beside {number(row['reference'])}{_verdict(row)}"
    if row["n_undefined"]:
        text += f" ({row['n_undefined']} undefined)"
    return _wrapped(text, 4)


def _verdict(row: Mapping[str, Any]) -> str:
    """Whether the difference to the reference is told apart from none; nothing of few patients."""
    low, high = row["difference_low"], row["difference_high"]
    if math.isnan(low) or row["descriptive"]:
        return ""
    if low <= 0 <= high:
        return ", not told apart"
    if not row["better"]:
        return ", told apart"
    return ", better" if (low > 0) == (row["better"] == "higher") else ", worse"


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _name(row: Mapping[str, Any]) -> str:
    return str(row["method"]) or "network"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _block(setting: str) -> str:
    return setting.removeprefix("backbone.").removeprefix("features.")


def _plain(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"


def _wrapped(text: str, indent: int = 0) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2 if indent > 2 else indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
