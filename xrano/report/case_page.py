"""The page of one case: what was predicted, the panel, the viewer, the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from xrano.report.page import render_page
from xrano.report.viewer import ViewerContent, niivue_base64, viewer_json


@dataclass(frozen=True, eq=False)
class CaseContent:
    """What a case page shows.

    Args:
        pair_id: the pair.
        patient_id: its patient.
        prior_session: session of the earlier scan.
        current_session: session of the later scan.
        response: true response; ``""`` if the pair is unrated.
        predicted: class with the largest probability; ``""`` if no network was asked.
        probabilities: class to probability, in the order in which they are shown.
        panel: PNG of the case panel; ``None`` if it could not be drawn.
        timeline: PNG of the patient's time line; ``None`` if there is none.
        scores: table to show, as it is; columns are its heads.
        viewer: scans, masks and maps; ``None`` if they could not be read.
        notes: what a reader must know beside the pictures.
        cohort_href: link to the page of the cohort; ``""`` for none.
        earlier_href: link to the patient's earlier pair; ``""`` for none.
        later_href: link to the patient's later pair; ``""`` for none.
        panel_alt: the panel in words.
    """

    pair_id: str
    patient_id: str
    prior_session: str
    current_session: str
    response: str
    predicted: str
    probabilities: Mapping[str, float]
    panel: bytes | None
    timeline: bytes | None
    scores: pd.DataFrame
    viewer: ViewerContent | None
    notes: tuple[str, ...] = ()
    cohort_href: str = ""
    earlier_href: str = ""
    later_href: str = ""
    panel_alt: str = ""


def case_page(content: CaseContent) -> str:
    """The whole page, self-contained: styles, scripts, pictures and volumes lie in it.

    Every text of the content is escaped, in the page and in what its script reads.
    """
    scores = content.scores
    return render_page(
        "case.html.j2",
        title=f"Case {content.pair_id}",
        case=content,
        panel_alt=content.panel_alt or _alt(content),
        columns=[str(column) for column in scores.columns],
        rows=[[str(value) for value in row] for row in scores.itertuples(index=False)],
        viewer=content.viewer,
        viewer_json=viewer_json(content.viewer) if content.viewer else "",
        niivue=niivue_base64() if content.viewer else "",
    )


def _alt(content: CaseContent) -> str:
    predicted = f"; predicted {content.predicted}" if content.predicted else ""
    truth = f"true response {content.response}" if content.response else "unrated"
    return (
        f"Panel of {content.pair_id}: prior and current scan with the tumour outlined, their "
        f"change, and each attribution map over the current scan{predicted}; {truth}."
    )
