"""Where a user's own run lies among honest and cheating models, score by score.

Only scores that the audit found to be trusted place a run; of the others nothing is said but how
many there are. The strata of lesion size are parted at the audit's own volume.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from xrano.errors import ManifestError
from xrano.experiments.audit.audit_files import SavedAudit
from xrano.experiments.audit.one_model import BASE_PRESET
from xrano.experiments.audit.score_table import AUDIT_SCORES, model_scores, pair_values
from xrano.experiments.audit.separation import EVERY_KIND
from xrano.experiments.audit.verdict import CAVEAT, DISCLAIMER, score_name
from xrano.scoring.tables import read_table
from xrano.training.config_file import preset
from xrano.training.run import Run

PLACE_COLUMNS = (
    *("method", "score", "stratum", "value", "auroc", "verdict", "headline"),
    *("share_of_honest", "share_of_cheating", "n_honest", "n_cheating"),
)
"""Of ``own_run.csv``. The shares are of models whose score is no more honest than the run's, ties
counting half: 0 is below all of them, 1 above all."""


def place_run(audit: SavedAudit, scores: Path) -> pd.DataFrame:
    """A run's value of every score among those of the audit's verified models.

    Args:
        audit: the scale.
        scores: folder that ``xrano score`` wrote of the run.

    Raises:
        ManifestError: if the folder's tables are missing or hold no pair that can be compared, or
            the audit has no verified model on a side.
    """
    if audit.separation.empty:
        raise ManifestError(
            f"{audit.root} has no verified model on one of the sides, so there is no scale"
        )
    own = model_scores(pair_values(scores), median_ml=audit.median_ml)
    judged = audit.separation[audit.separation["comparison"] == EVERY_KIND]
    keys = ["method", "score", "stratum"]
    by_key = {tuple(row[name] for name in keys): row for row in judged.to_dict("records")}
    kept = audit.scores[audit.scores["usable"]]
    rows = []
    for one in own.to_dict("records"):
        key = (one["method"], one["score"], one["stratum"])
        if key not in by_key or one["value"] != one["value"]:
            continue
        found = by_key[key]
        sign = 1.0 if AUDIT_SCORES[one["score"]].higher_is_honest else -1.0
        models = kept[
            (kept["method"] == key[0]) & (kept["score"] == key[1]) & (kept["stratum"] == key[2])
        ]
        sides = {
            side: sign * models.loc[models["assigned"] == name, "value"].dropna().to_numpy()
            for side, name in (("honest", "honest"), ("cheating", "cheat"))
        }
        rows.append(
            {
                **{name: one[name] for name in ("method", "score", "stratum", "value")},
                **{name: found[name] for name in ("auroc", "verdict", "headline")},
                **{
                    f"share_of_{side}": _below(sign * one["value"], of)
                    for side, of in sides.items()
                },
                **{f"n_{side}": of.size for side, of in sides.items()},
            }
        )
    return pd.DataFrame(rows, columns=list(PLACE_COLUMNS))


def run_notes(run: Run, scores: Path, audit: SavedAudit) -> tuple[str, ...]:
    """What sets a run apart from the models of the scale, in words; empty ones say nothing.

    Raises:
        ManifestError: if the scores are another run's.
    """
    names = set(read_table("scores", scores)["run"]) - {""}
    own = run.root.resolve().name
    if names and own not in names:
        raise ManifestError(
            f"{scores} holds scores of {', '.join(sorted(names))}, not of the run {own}; give the "
            f"folder that xrano score {run.root} wrote"
        )
    spacing, other = run.store.grid.spacing, audit.settings.spacing_mm
    notes = [run.leak_note]
    if max(abs(size - other) for size in spacing) > 0.01:
        sizes = " × ".join(f"{size:g}" for size in spacing)
        notes.append(f"the run's voxels are {sizes} mm, the scale's {other:g} mm: lifts differ")
    network, own_model = preset(BASE_PRESET)["model"]["name"], run.config.model
    if (own_model.name, own_model.stem) != (network, audit.settings.stem):
        notes.append(
            f"the run is {own_model.name} with the stem {own_model.stem}, the scale is of "
            f"{network} with {audit.settings.stem}"
        )
    return tuple(note for note in notes if note)


def own_run_text(placed: pd.DataFrame, name: str, *, notes: tuple[str, ...] = ()) -> str:
    """The placing in words.

    Args:
        placed: of :func:`place_run`.
        name: of the run.
        notes: what to say of the run itself.
    """
    trusted = placed[placed["verdict"] == "trust"]
    shown = pd.concat([trusted, placed[placed["headline"] & (placed["verdict"] != "trust")]])
    lines = [f"{name} on the scale of the audit:"]
    lines += [f"  {_sentence(row)}" for _, row in shown.iterrows()]
    if trusted.empty:
        lines.append(
            "  The audit trusts none of the scores that this run has, so it says nothing of it."
        )
    silent = len(placed) - len(trusted)
    lines.append(f"  {silent} scores that the audit does not trust place no run (own_run.csv).")
    return "\n".join([*lines, *(f"  {note}" for note in notes if note), CAVEAT, DISCLAIMER])


def _sentence(row: pd.Series) -> str:
    honest, cheating = float(row["share_of_honest"]), float(row["share_of_cheating"])
    if honest >= 0.05 and cheating >= 0.95:
        reading = "like honest models"
    elif honest <= 0.05 and cheating <= 0.95:
        reading = "like cheating models"
    elif honest <= 0.05:
        reading = "between the two"
    else:
        reading = "where both kinds lie"
    size = "" if row["stratum"] == "all" else f" in {row['stratum']} lesions"
    doubt = "" if row["verdict"] == "trust" else f" (headline; the audit says: {row['verdict']})"
    return (
        f"{score_name(row['method'], row['score'])}{size} = {row['value']:+.2f}: more honest than "
        f"{cheating:.0%} of {row['n_cheating']} cheating and {honest:.0%} of {row['n_honest']} "
        f"honest models: {reading}{doubt}"
    )


def _below(value: float, others: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Share of others that a value is above, ties counting half; NaN without others."""
    if not others.size:
        return float("nan")
    return float((others < value).mean() + 0.5 * (others == value).mean())
