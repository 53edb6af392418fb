"""``xrano index``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from xrano.cli.answers import Answer

EXAMPLE = "xrano index /data/LUMIERE --out index"
POSITIONAL_HELP = "the cohort's folder; of LUMIERE at, above or below Imaging/"

JSON_KEYS = {
    "out": "folder of the tables",
    "dataset": "whose layout it is",
    "reference": "the prior scan of a pair",
    "sessions": "how many there are",
    "patients": "of these",
    "segmentations": "how many there are",
    "sequences": "sessions that have each",
    "pairs": "how many there are",
    "spans_surgery": "pairs across an operation",
    "pairs_per_response": "by response; empty for unrated",
    "patients_per_response": "by response",
    "exclusions": "sessions without a pair, by reason",
    "patients_per_exclusion": "by reason",
    "references": "pairs, patients and spans_surgery that each reference would give",
    "coverage": "pairs in which a region is there, vanished, shrunk or grown, by response",
    "volume_source": "the segmentation that says so",
    "flags": "pairs by what is odd about them",
    "agreement": "of the segmentations, in words",
    "notes": "what is odd about the cohort, in words",
}


def run(
    tree: Path,
    out: Path,
    dataset: str = "auto",
    image_source: str = "atlas",
    duplicates: Literal["exclude", "first", "last"] = "exclude",
    reference: str = "previous",
    unrated: Literal["exclude", "include"] = "exclude",
    paper: bool = False,
    sequences: list[str] | None = None,
    agreement: bool = False,
    measure: bool = False,
    rate_by_rule: bool = False,
    rule_reference: Literal["rano", "previous"] = "rano",
    allow_outside: bool = False,
) -> Answer:
    """List a cohort: sessions.csv, segmentations.csv, pairs.csv, exclusions.csv.

    Args:
        tree: the cohort's folder.
        out: folder for the tables.
        dataset: whose layout it is, such as lumiere; found out by itself.
        image_source: of LUMIERE: aligned images (atlas), HD-GLIO's per session (hdglio), or the raw
            scans (native).
        duplicates: of two different ratings of one session take the first, the last, or neither.
        reference: the prior scan of a pair: previous, previous-rated, baseline, postop, nadir.
        unrated: whether sessions without a rating get a pair too, to be explained.
        paper: select the pairs of LUMIERE as the paper's code does.
        sequences: with paper, what both scans must have, such as T1 T2 FLAIR; all four by default.
        agreement: read both of LUMIERE's segmentations and tell how far they agree; takes minutes.
        measure: read and measure segmentations of unknown volume.
        rate_by_rule: rate unrated sessions by their volumes (rating_source is then rule).
        rule_reference: what the rule compares with: baseline and nadir, or the previous scan.
        allow_outside: accept paths of a table written by hand that leave its folder.
    """
    from xrano.cli.terminal import bar
    from xrano.data.index import index_cohort

    summary = index_cohort(
        tree,
        out,
        dataset=dataset,
        image_source=image_source,
        duplicates=duplicates,
        reference=reference,
        unrated=unrated,
        paper=paper,
        sequences=sequences or (),
        agreement=agreement,
        measure=measure,
        rate_by_rule=rate_by_rule,
        rule_reference=rule_reference,
        allow_outside=allow_outside,
        progress=bar,
    )
    following = f"tables in {out}; next:  xrano prepare {out} --out store"
    return Answer(f"{summary.describe()}\n{following}", vars(summary))
