"""How many pairs of each response have something to score, judged by volumes alone."""

from __future__ import annotations

import pandas as pd

from xrano.data.label_schemes import REGIONS
from xrano.rano import RESPONSES

COVERAGE_COLUMNS = (
    *("response", "region", "pairs", "prior", "current"),
    *("vanished", "shrunk", "grown"),
)


def main_source(volumes: pd.DataFrame) -> str:
    """The segmentation source that measured the most sessions, the first name of equal ones.

    Returns:
        Its name; empty if there is none.
    """
    enhancing = volumes[volumes["region"] == "enhancing"]
    counts = enhancing["source"].value_counts()
    return str(min(counts[counts == counts.max()].index)) if len(counts) else ""


def region_coverage(pairs: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Count, per response and region, the pairs in which the region exists, and how it changed.

    Pairs across an operation are left out: there "vanished" means removed. A region that moved
    or changed its shape at equal volume counts as neither shrunk nor grown, and what vanished in
    one place while it grew in another is not seen: only masks tell that.

    Args:
        pairs: a pairs table.
        volumes: patient_id, session_id, source, region, ml, of one source.

    Returns:
        One row a response and region: ``pairs`` with both volumes known, and of these how many
        have the region on the ``prior`` and on the ``current`` scan, how many lost it
        (``vanished``: prior > 0, current = 0), and in how many it is smaller but there
        (``shrunk``) or larger (``grown``).
    """
    kept = pairs[~pairs["spans_surgery"]]
    rows: list[dict[str, object]] = []
    for region in REGIONS:
        ml = volumes[volumes["region"] == region].set_index(["patient_id", "session_id"])["ml"]
        if ml.empty:
            continue
        prior, current = (
            ml.reindex(pd.MultiIndex.from_frame(kept[["patient_id", f"{side}_session"]])).to_numpy()
            for side in ("prior", "current")
        )
        seen = pd.DataFrame(
            {"response": kept["response"].to_numpy(), "before": prior, "after": current}
        ).dropna()
        for response in RESPONSES:
            mine = seen[seen["response"] == str(response)]
            before, after = mine["before"], mine["after"]
            rows.append(
                {
                    "response": str(response),
                    "region": region,
                    "pairs": len(mine),
                    "prior": int((before > 0).sum()),
                    "current": int((after > 0).sum()),
                    "vanished": int(((before > 0) & (after == 0)).sum()),
                    "shrunk": int(((after > 0) & (after < before)).sum()),
                    "grown": int((after > before).sum()),
                }
            )
    return pd.DataFrame(rows, columns=list(COVERAGE_COLUMNS))
