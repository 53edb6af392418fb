from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread
from small_store import session, write_small_store

from xrano.cli.quality_command import run
from xrano.data.store import Store
from xrano.experiments.quality_numbers import PageTable, alignment_lines
from xrano.experiments.store_quality import write_quality


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_small_store(tmp_path / "store", patients=2, visits=2)


def pages(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))


def test_a_page_a_session_a_table_and_a_list(store: Store, tmp_path: Path):
    out = tmp_path / "quality"
    found = write_quality(store, out)
    expected = [
        f"pages/P0{patient}/week-0{week}.png" for patient in (0, 1) for week in ("00", "12")
    ]
    assert pages(out) == expected
    assert (found.drawn, found.kept, found.failures) == (4, 0, ())
    written = pd.read_csv(out / "quality.csv", keep_default_na=False)
    assert list(written["session_id"]) == ["week-000", "week-012"] * 2
    assert written.columns[:3].tolist() == ["patient_id", "session_id", "flags"]
    index = (out / "index.html").read_text()
    assert all(f'href="{page}"' in index for page in expected)
    assert "With 4 sessions nothing can be called an outlier" in index
    assert imread(out / expected[0]).shape[2] == 4


def test_only_what_changed_is_drawn_again(store: Store, tmp_path: Path):
    out = tmp_path / "quality"
    write_quality(store, out)
    before = {page: (out / page).read_bytes() for page in pages(out)}
    again = write_quality(store, out)
    assert (again.drawn, again.kept) == (0, 4)
    (out / "pages/P00/week-000.png").unlink()
    assert write_quality(store, out).drawn == 1
    # The first session of a patient changes: its own page, and that of the next, beside it.
    write_small_store(
        tmp_path / "store",
        patients=2,
        visits=2,
        changed={(1, 0): {"sequences": session(5, 0).sequences}},
    )
    changed = write_quality(store, out)
    assert changed.drawn >= 2
    now = {page: (out / page).read_bytes() for page in pages(out)}
    assert {page for page in now if now[page] != before[page]} == {
        "pages/P01/week-000.png",
        "pages/P01/week-012.png",
    }


def test_a_broken_session_has_a_row_and_a_flag_but_no_page(store: Store, tmp_path: Path):
    store.session_path("P01", "week-012").write_bytes(b"broken")
    out = tmp_path / "quality"
    said = run(store.root, out).text
    assert len(pages(out)) == 3
    assert "4 sessions, 1 with flags; 3 pages drawn" in said
    assert "P01 week-012: the session file is missing or broken: run xrano check" in said
    index = (out / "index.html").read_text()
    assert index.index("P01 week-012") < index.index("P00 week-000")
    assert "P01/week-012.png" not in index


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path):
    out = tmp_path / "quality"
    changed = {(0, n): {"patient_id": "...", "session_id": f"<b>&{n}"} for n in (0, 1)}
    store = write_small_store(tmp_path / "store", patients=1, visits=2, changed=changed)
    write_quality(store, out)
    assert pages(out) == ["pages/_/_b__0.png", "pages/_/_b__1.png"]
    index = (out / "index.html").read_text()
    assert "<b>" not in index
    assert "&lt;b&gt;&amp;0" in index


def test_the_page_of_an_unsegmented_session_says_so(tmp_path: Path):
    store = write_small_store(
        tmp_path / "store", patients=1, visits=2, changed={(0, 1): {"segmentations": {}}}
    )
    found = write_quality(store, tmp_path / "quality")
    row = {str(name): value for name, value in found.table.iloc[1].items()}
    lines = PageTable(row, (), ("T1", "FLAIR"), {}).lines()
    said = {line.name: line.value for line in lines}
    assert "not segmented" in said
    assert said["T1 as scanned"] == "8×9×10, 1×2×3 mm, LAS"
    assert said["prepared"].startswith("22×26×18, 5×4×6 mm, LAS, ")
    assert said["prepared"].endswith("° oblique")


def test_lines_of_flagged_columns_are_marked():
    row = {"brain_ml": 700.0, "dice_first": 0.98, "mi_T1_FLAIR": 0.1}
    lines = PageTable(row, {"brain_ml", "mi_T1_FLAIR"}, ("T1", "FLAIR"), {}).lines()
    assert {line.name for line in lines if line.flagged} == {"volume", "T1 with FLAIR"}
    said = {line.name: line.value for line in lines}
    assert said["volume"] == "700 ml"
    assert said["Dice with the session before"] == "–"
    assert said["T1 as scanned"] == "not recorded: prepare again"


def test_registration_is_told_step_by_step_as_far_as_it_is_known():
    step = {
        "moving": "/data/Patient-001/week-012/FLAIR.nii.gz",
        "fixed": "mni152",
        "mutual_information_after": 0.62,
        "mutual_information_before": 0.3,
        "rotation_deg": 4.08,
        "translation_mm": 10.44,
    }
    lines = alignment_lines({"anchor": "CT1", "steps": [step, {}]})
    assert [(line.name, line.value) for line in lines] == [
        ("sequence that the others follow", "CT1"),
        ("week-012/FLAIR.nii.gz to mni152", "0.30 → 0.62, 4.1°, 10.4 mm"),
        ("step", ""),
    ]
    long = {"moving": "/a/a-very-long-folder/name_of_a_scan.nii.gz"}
    (line,) = alignment_lines({"steps": [long]})
    assert line.name == "…name_of_a_scan.nii.gz"
    assert alignment_lines({}) == []
