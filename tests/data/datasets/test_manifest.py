from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from small_volumes import write_image, write_labels

from xrano.data.datasets.manifest import read_index, read_manifest, write_index
from xrano.data.index import index_cohort
from xrano.data.pairing.pairs import build_pairs
from xrano.data.tables import segmentation_table, session_table, write_table
from xrano.errors import ConfigError, ManifestError

SESSIONS = """patient_id,session_id,week,rating,T1,ADC
Zoë Ångström,visit 1,0,,scans/früh 1.nii.gz,scans/adc.nii
Zoë Ångström,visit 2,12,PD,scans/spät 2.nii.gz,
"""
SEGMENTATIONS = """patient_id,session_id,source,scheme,path
Zoë Ångström,visit 2,by hand,1=oedema; 2=enhancing,masks/labels.nii.gz
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cohort written by hand, with blanks and letters beyond ASCII in every name."""
    root = tmp_path / "Meine Kohorte é"
    for name in ("scans/früh 1.nii.gz", "scans/spät 2.nii.gz", "scans/adc.nii"):
        write_image(root / name)
    write_labels(root / "masks" / "labels.nii.gz", {1: 4, 2: 6})
    write_image(tmp_path / "elsewhere" / "t1.nii.gz")
    (root / "sessions.csv").write_text(SESSIONS, encoding="utf-8")
    (root / "segmentations.csv").write_text(SEGMENTATIONS, encoding="utf-8")
    return root


def _rewrite(folder: Path, old: str, new: str, name: str = "sessions.csv") -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def test_blanks_and_letters_beyond_ascii(folder: Path) -> None:
    sessions, segmentations = read_manifest(folder)
    assert sessions["T1"].tolist() == [
        str(folder / "scans" / "früh 1.nii.gz"),
        str(folder / "scans" / "spät 2.nii.gz"),
    ]
    assert sessions["ADC"].iloc[0] == str(folder / "scans" / "adc.nii")
    assert segmentations["scheme"].tolist() == ["1=oedema; 2=enhancing"]
    pairs, _ = build_pairs(sessions)
    assert pairs["pair_id"].tolist() == ["Zoë Ångström_visit 1_visit 2"]
    by_file, _ = read_manifest(folder / "sessions.csv")
    pd.testing.assert_frame_equal(by_file, sessions)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("table", ["sessions.csv", "segmentations.csv"])
def test_a_path_that_leaves_the_folder(folder: Path, table: str, absolute: bool) -> None:
    outside = folder.parent / "elsewhere" / "t1.nii.gz"
    given = str(outside) if absolute else "scans/../../elsewhere/t1.nii.gz"
    first = table == "sessions.csv"
    _rewrite(folder, "scans/spät 2.nii.gz" if first else "masks/labels.nii.gz", given, table)
    with pytest.raises(ManifestError) as caught:
        read_manifest(folder)
    line, column = (3, "T1") if first else (2, "path")
    assert str(caught.value).startswith(f"{folder / table}, line {line}: {column} is {given!r}")
    assert str(outside) in str(caught.value)
    assert "--allow-outside" in str(caught.value)
    sessions, segmentations = read_manifest(folder, allow_outside=True)
    assert str(outside) in [*sessions["T1"], *segmentations["path"]]


def test_an_index_of_paths_that_leave_the_folder_is_made_on_request(folder: Path) -> None:
    _rewrite(folder, "scans/spät 2.nii.gz", str(folder.parent / "elsewhere" / "t1.nii.gz"))
    out = folder.parent / "index"
    with pytest.raises(ManifestError, match="--allow-outside"):
        index_cohort(folder, out)
    assert not out.exists()
    index_cohort(folder, out, allow_outside=True)
    # The index names the folder outside as a root, so that it is read as strictly as any.
    sessions, _ = read_index(out)
    assert any(path.endswith("elsewhere/t1.nii.gz") for path in sessions["T1"])


def test_paths_may_only_leave_the_folder_of_tables_written_by_hand(phantom_tree: Path, tmp_path):
    with pytest.raises(ConfigError, match=r"allow_outside: .* is read as lumiere"):
        index_cohort(phantom_tree, tmp_path / "index", allow_outside=True)


def test_where_a_link_leads_counts(folder: Path) -> None:
    scans = folder / "scans"
    (scans / "adc.nii").unlink()
    (scans / "adc.nii").symlink_to(folder.parent / "elsewhere" / "t1.nii.gz")
    with pytest.raises(ManifestError, match=r"line 2: ADC is 'scans/adc.nii', which leads to .*t1"):
        read_manifest(folder)
    (scans / "adc.nii").unlink()
    (scans / "adc.nii").symlink_to(scans / "früh 1.nii.gz")
    sessions, _ = read_manifest(folder)
    assert Path(sessions["ADC"].iloc[0]).name == "adc.nii"


def test_paths_with_dots_that_stay_inside(folder: Path) -> None:
    _rewrite(folder, "scans/adc.nii", "masks/../scans/adc.nii")
    _rewrite(folder, "scans/spät 2.nii.gz", str(folder / "scans" / "spät 2.nii.gz"))
    assert read_manifest(folder)[0]["ADC"].iloc[0] == str(folder / "scans" / "adc.nii")


def test_a_folder_reached_through_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert len(read_manifest(tmp_path / "link")[0]) == 2


def test_a_sibling_with_the_same_beginning_is_outside(folder: Path) -> None:
    write_image(folder.with_name(folder.name + "2") / "t1.nii")
    _rewrite(folder, "scans/adc.nii", f"../{folder.name}2/t1.nii")
    with pytest.raises(ManifestError, match="outside of"):
        read_manifest(folder)


def test_files_that_do_not_exist(folder: Path) -> None:
    (folder / "scans" / "adc.nii").unlink()
    (folder / "masks" / "labels.nii.gz").unlink()
    with pytest.raises(ManifestError, match=r"2 of 4 files .*visit 1 ADC .*visit 2 by hand"):
        read_manifest(folder)
    assert len(read_index(folder)[0]) == 2


def test_a_segmentation_of_an_unknown_session(folder: Path) -> None:
    _rewrite(folder, "visit 2", "visit 3", "segmentations.csv")
    with pytest.raises(ManifestError, match="line 2: Zoë Ångström visit 3 is no session"):
        read_manifest(folder)


def test_without_tables_or_segmentations(folder: Path, tmp_path: Path) -> None:
    (folder / "segmentations.csv").unlink()
    assert read_manifest(folder)[1].empty
    with pytest.raises(ManifestError, match=r"holds no sessions\.csv"):
        read_manifest(tmp_path / "elsewhere")


class TestIndex:
    def _write(self, tmp_path: Path) -> Path:
        data = tmp_path / "data"
        row = {"patient_id": "P", "session_id": "s", "order": 0, "week": 0, "days": 0}
        image = write_image(data / "P" / "t1.nii.gz")
        mask = {"patient_id": "P", "session_id": "s", "source": "a", "scheme": "binary"}
        labels = write_labels(data / "P" / "seg.nii.gz", {1: 3})
        write_index(
            tmp_path / "index",
            session_table([{**row, "T1": str(image), "role": "unknown", "space": "native"}]),
            segmentation_table([{**mask, "path": str(labels), "space": "native"}]),
            root=data,
            dataset="bids",
            settings={"space": "native"},
        )
        return tmp_path / "index"

    def test_the_recorded_root_is_allowed(self, tmp_path: Path) -> None:
        index = self._write(tmp_path)
        assert json.loads((index / "index.json").read_text()) == {
            "also": [],
            "dataset": "bids",
            "root": "../data",
            "settings": {"space": "native"},
            "tables": ["sessions.csv", "segmentations.csv"],
        }
        sessions, segmentations = read_index(index)
        assert sessions["T1"].iloc[0] == str(tmp_path / "data" / "P" / "t1.nii.gz")
        assert segmentations["path"].iloc[0] == str(tmp_path / "data" / "P" / "seg.nii.gz")

    @pytest.mark.parametrize("name", ["sessions.csv", "segmentations.csv"])
    def test_a_table_that_is_missing_or_cut_off_is_named(self, tmp_path: Path, name: str) -> None:
        path = self._write(tmp_path) / name
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(ManifestError, match=f"index/{name} is cut off.*xrano index again"):
            read_index(path.parent)
        # Whoever edits a table ends its lines.
        path.write_bytes(content)
        assert len(read_index(path.parent)[0]) == 1
        path.unlink()
        with pytest.raises(ManifestError, match=f"index/{name} is missing.*xrano index again"):
            read_index(path.parent)

    def test_an_index_that_was_stopped_half_way_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import xrano.data.datasets.manifest as module

        written = []

        def stop(path: Path, table: pd.DataFrame) -> None:
            written.append(path.name)
            if path.name == "segmentations.csv":
                raise KeyboardInterrupt
            write_table(path, table)

        monkeypatch.setattr(module, "write_table", stop)
        with pytest.raises(KeyboardInterrupt):
            self._write(tmp_path)
        assert written == ["sessions.csv", "segmentations.csv"]
        with pytest.raises(ManifestError, match=r"segmentations\.csv is missing"):
            read_index(tmp_path / "index")

    def test_index_and_data_can_move_together(self, tmp_path: Path) -> None:
        (tmp_path / "here").mkdir()
        self._write(tmp_path / "here")
        (tmp_path / "here").rename(tmp_path / "there")
        sessions, _ = read_index(tmp_path / "there" / "index")
        assert Path(sessions["T1"].iloc[0]).is_file()

    def test_where_links_in_the_root_lead_is_recorded(self, tmp_path: Path) -> None:
        self._write(tmp_path)
        disk = tmp_path / "disk" / "P"
        disk.parent.mkdir()
        (tmp_path / "data" / "P").rename(disk)
        (tmp_path / "data" / "P").symlink_to(disk)
        index = self._write(tmp_path)
        assert json.loads((index / "index.json").read_text())["also"] == ["../disk/P"]
        assert read_index(index)[0]["T1"].iloc[0] == str(disk / "t1.nii.gz")
        _rewrite(index, "disk/P", "disk", "index.json")
        assert len(read_index(index)[1]) == 1
        _rewrite(index, "../disk", "../dis", "index.json")
        with pytest.raises(ManifestError, match="--allow-outside"):
            read_index(index)

    def test_nothing_else_is_allowed(self, tmp_path: Path) -> None:
        index = self._write(tmp_path)
        _rewrite(index, "../data/P/t1.nii.gz", "../other/t1.nii.gz")
        with pytest.raises(ManifestError, match=r"line 2: T1 .*index or .*data; .*--allow-outside"):
            read_index(index)
        assert read_index(index, allow_outside=True)[0]["T1"].iloc[0].endswith("other/t1.nii.gz")

    def test_without_the_record_the_index_counts_as_written_by_hand(self, tmp_path: Path) -> None:
        index = self._write(tmp_path)
        (index / "index.json").unlink()
        with pytest.raises(ManifestError, match="--allow-outside"):
            read_index(index)

    @pytest.mark.parametrize("text", ["{", "[]", '{"dataset": "bids"}', '{"root": "/"}'])
    def test_broken_records(self, tmp_path: Path, text: str) -> None:
        index = self._write(tmp_path)
        (index / "index.json").write_text(text)
        with pytest.raises(ManifestError, match=r"index\.json"):
            read_index(index)
