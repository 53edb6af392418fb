"""What the page shows beyond the primary analysis: lifts and gains by size, segmenters."""

from __future__ import annotations

import pandas as pd
import pytest

from xrano.experiments.report.exploratory_section import exploratory_section
from xrano.experiments.report.gathered import Scored
from xrano.scoring.tables import TABLES

COPIES = "saliency (random weights)"


def cell(table, method, estimate, **changes):
    row = dict.fromkeys(TABLES[table].columns, "")
    row |= {"response": "all", "metric": "relevance_mass_accuracy", "region": "core/union"}
    row |= {"method": method, "against": "chance", "target_choice": "predicted"}
    row |= {"segmentation_source": "first", "against_source": "first", "statistic": "log2_lift"}
    row |= {"stratum": "up to 3 ml", "estimate": estimate, "low": estimate, "high": estimate}
    return row | {"n_patients": 12, "n_pairs": 20} | changes


def shown(**tables):
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    section = exploratory_section(Scored(frames, (), {}, {}, "first", pd.DataFrame()))
    return {
        table.name: [[one.text for one in row.cells] for row in table.rows]
        for table in section.tables
    }


def test_a_gain_stands_beside_the_lift_of_its_size_and_copies_have_no_row():
    rows = [
        cell("strata", "saliency", 3.0),
        cell("strata", "saliency", 2.0, stratum="over 3 ml"),
        cell("strata", "change", 1.5, target_choice="none"),
        cell("strata", COPIES, 0.5),
        cell("strata", "saliency", 2.5, against=COPIES),
        cell("strata", "saliency", 0.25, against=COPIES, stratum="over 3 ml"),
    ]
    found = [row[:4] for row in shown(strata=rows)["strata"]]
    assert [[size, method] for size, method, *_ in found] == [
        ["up to 3 ml", "Saliency"],
        ["over 3 ml", "Saliency"],
        ["up to 3 ml", "|current − prior|"],
    ]
    assert [lift.split()[0] for _, _, lift, _ in found] == ["+3.00", "+2.00", "+1.50"]
    assert [gain.split()[0] for *_, gain in found] == ["+2.50", "+0.25", "–"]


def test_strata_of_before_gains_are_shown_without():
    found = shown(strata=[cell("strata", "saliency", 3.0)])["strata"]
    assert [row[3] for row in found] == ["–"]


def test_segmenters_show_maps_without_a_network_and_no_copies():
    rows = [
        cell("segmenters", name, 0.1, against=name, against_source="second")
        for name in ("saliency", "change", COPIES)
    ]
    found = shown(segmenters=rows)["segmenters"]
    assert [row[1] for row in found] == ["Saliency", "|current − prior|"]


@pytest.mark.parametrize("tables", [{}, {"strata": [cell("strata", "saliency", 3.0, n_pairs=0)]}])
def test_nothing_to_show_is_no_table(tables):
    assert shown(**tables) == {}
