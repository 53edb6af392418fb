from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_course import SOURCE, sessions_of, volumes_of

from xrano.data.diameters import sum_of_products
from xrano.data.label_schemes import region_mask
from xrano.data.store import Store, read_prepared
from xrano.data.tables import session_table
from xrano.references.burdens import (
    CourseReference,
    course_references,
    product_burdens,
    rano_region,
    volume_burdens,
)


def references(*visits: tuple[float | None, dict[str, object]]) -> dict[str, CourseReference]:
    sessions = session_table(sessions_of("P", *(visit for _, visit in visits)))
    burdens = volume_burdens(volumes_of("P", [ml for ml, _ in visits]), SOURCE, "enhancing")
    shuffled = sessions.sample(frac=1, random_state=1)
    return {session: found for (_, session), found in course_references(shuffled, burdens).items()}


def test_baseline_is_the_first_and_nadir_the_smallest_before():
    found = references((5.0, {}), (2.0, {}), (3.0, {}), (1.0, {}))
    assert found == {
        "s1": CourseReference(5.0, 5.0, 0),
        "s2": CourseReference(5.0, 2.0, 0),
        "s3": CourseReference(5.0, 2.0, 0),
    }


def test_an_operation_starts_anew():
    found = references((9.0, {"role": "preop"}), (2.0, {}), (3.0, {}), (4.0, {"role": "postop"}),
                       (5.0, {}))  # fmt: skip
    assert found == {"s2": CourseReference(2.0, 2.0, 6), "s4": CourseReference(4.0, 4.0, 18)}


def test_an_operation_without_a_segmentation_starts_anew_too():
    found = references((9.0, {}), (None, {"role": "postop"}), (2.0, {}), (3.0, {}))
    assert found == {"s3": CourseReference(2.0, 2.0, 12)}


def test_a_marked_scan_is_no_reference_and_has_none():
    found = references((5.0, {}), (0.1, {"exclude_reason": "moved head"}), (4.0, {}))
    assert found == {"s2": CourseReference(5.0, 5.0, 0)}
    # A doubtful rating leaves the scan as good as any.
    found = references((5.0, {}), (0.1, {"exclude_reason": "duplicate_rating"}), (4.0, {}))
    assert found["s2"] == CourseReference(5.0, 0.1, 0)


def test_patients_are_apart():
    sessions = session_table([*sessions_of("P", {}, {}), *sessions_of("Q", {}, {})])
    volumes = pd.concat([volumes_of("P", [1.0, 2.0]), volumes_of("Q", [7.0, 8.0])])
    found = course_references(sessions, volume_burdens(volumes, SOURCE, "enhancing"))
    assert {key: item.baseline for key, item in found.items()} == {
        ("P", "s1"): 1.0,
        ("Q", "s1"): 7.0,
    }


def test_the_region_is_the_enhancing_one_where_there_is_one():
    whole = volumes_of("P", [3.0], "whole", source="lesion mask")
    volumes = pd.concat([volumes_of("P", [1.0]), volumes_of("P", [2.0], "whole"), whole])
    assert rano_region(volumes, SOURCE) == "enhancing"
    assert rano_region(volumes, "lesion mask") == "whole"
    assert volume_burdens(volumes, SOURCE, "whole") == {("P", "s0"): 2.0}


def test_products_are_of_the_enhancing_tumour_on_the_store_s_grid(phantom_store: Store):
    patient, other = sorted(set(phantom_store.sessions["patient_id"]))[:2]
    found = product_burdens(phantom_store, [patient])
    assert list(found) == ["deepbratumia"]
    products = found["deepbratumia"]
    assert {name for name, _ in products} == {patient} != {other}
    ml = volume_burdens(phantom_store.volumes, "deepbratumia", "enhancing")
    for (name, session), product in products.items():
        prepared = read_prepared(phantom_store.session_path(name, session))
        labels, scheme = prepared.segmentations["deepbratumia"]
        mask = region_mask(labels, scheme, "enhancing")
        assert product == sum_of_products(mask, phantom_store.grid)
        assert (product == 0) == (ml[name, session] == 0)
    assert max(products.values()) > 100
    assert np.isfinite(list(products.values())).all()


def test_sessions_without_a_file_are_passed_over(phantom_store: Store, tmp_path):
    (tmp_path / "sessions.csv").write_bytes((phantom_store.root / "sessions.csv").read_bytes())
    assert product_burdens(replace(phantom_store, root=tmp_path), ["Patient-001"]) == {}


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_later_sessions_change_nothing(cut: int):
    visits = [(4.0, {}), (2.0, {}), (3.0, {}), (0.5, {"role": "postop"}), (9.0, {})]
    whole, part = references(*visits), references(*visits[: cut + 1])
    assert part == {name: found for name, found in whole.items() if name <= f"s{cut}"}
