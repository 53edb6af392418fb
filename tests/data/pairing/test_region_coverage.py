from __future__ import annotations

import pandas as pd

from xrano.data.pairing.region_coverage import main_source, region_coverage


def _pair(name: str, response: str, spans: bool = False) -> dict[str, object]:
    return {
        "patient_id": name,
        "prior_session": "s0",
        "current_session": "s1",
        "response": response,
        "spans_surgery": spans,
    }


def _volumes(**patients: tuple[float | None, float | None]) -> pd.DataFrame:
    rows = [
        (name, f"s{order}", "tool", "enhancing", ml)
        for name, both in patients.items()
        for order, ml in enumerate(both)
        if ml is not None
    ]
    rows += [(*row[:3], "core", (row[4] or 0.0) + 1.0) for row in rows]
    return pd.DataFrame(rows, columns=["patient_id", "session_id", "source", "region", "ml"])


PAIRS = pd.DataFrame(
    [
        *(_pair("gone", "CR"), _pair("never", "CR"), _pair("left", "CR"), _pair("cut", "CR", True)),
        _pair("absent", "CR"),
        *(_pair("more", "PD"), _pair("back", "PD"), _pair("unknown", "PD"), _pair("same", "SD")),
    ]
)
VOLUMES = _volumes(
    gone=(0.5, 0.0),
    never=(0.0, 0.0),
    absent=(0.0, 0.0),
    left=(3.0, 0.2),
    cut=(9.0, 0.0),
    more=(2.0, 5.0),
    back=(0.0, 4.0),
    unknown=(2.0, None),
    same=(2.0, 2.0),
)


def test_counts_by_hand() -> None:
    found = region_coverage(PAIRS, VOLUMES).set_index(["region", "response"])
    columns = ["pairs", "prior", "current", "vanished", "shrunk", "grown"]
    assert found.loc[("enhancing", "CR"), columns].tolist() == [4, 2, 1, 1, 1, 0]
    assert found.loc[("enhancing", "PD"), columns].tolist() == [2, 1, 2, 0, 0, 2]
    assert found.loc[("enhancing", "SD"), columns].tolist() == [1, 1, 1, 0, 0, 0]
    assert found.loc[("enhancing", "PR"), columns].tolist() == [0, 0, 0, 0, 0, 0]
    # one millilitre of necrosis everywhere: the core never vanishes
    assert found.loc[("core", "CR"), columns].tolist() == [4, 4, 4, 0, 2, 0]
    assert "whole" not in found.index.get_level_values("region")


def test_the_source_with_most_sessions_speaks() -> None:
    other = VOLUMES.iloc[:3].assign(source="another")
    assert main_source(pd.concat([other, VOLUMES])) == "tool"
    assert main_source(pd.concat([VOLUMES, VOLUMES.assign(source="aaa")])) == "aaa"
    assert main_source(VOLUMES.iloc[:0]) == ""
    # Only what measures the enhancing tumour is asked.
    without = VOLUMES.assign(source="without", region="core")
    assert main_source(pd.concat([without, VOLUMES.iloc[:3]])) == "tool"


def test_a_region_that_nobody_measured_has_no_row_and_stops_no_other() -> None:
    found = region_coverage(PAIRS, VOLUMES[VOLUMES["region"] == "core"].assign(region="whole"))
    assert set(found["region"]) == {"whole"}
    assert found["pairs"].sum() == 7
