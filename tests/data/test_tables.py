from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from xrano.data.pairing.pairs import build_pairs
from xrano.data.table_columns import (
    EXCLUSION_COLUMNS,
    PAIR_COLUMNS,
    SEGMENTATION_COLUMNS,
    SESSION_COLUMNS,
    sequence_columns,
)
from xrano.data.tables import (
    read_exclusions,
    read_pairs,
    read_segmentations,
    read_sessions,
    segmentation_table,
    session_table,
    write_table,
)
from xrano.errors import ManifestError

SESSIONS = """patient_id,session_id,week,rating,T1,note
P2,week-010,10,PD,images/P2b.nii.gz,
P2,week-000,0,,images/P2a.nii.gz,None
P1,week-002-10,2,SD,,NA
P1,week-002-2,2,,/data/P1.nii.gz,
"""
SEGMENTATIONS = """patient_id,session_id,source,scheme,path
P1,week-000,tool,binary,seg.nii.gz
P1,week-000,other,lumiere-hdglio,../seg2.nii.gz
"""


def _write(tmp_path: Path, text: str, name: str = "sessions.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


class TestReadSessions:
    def test_a_table_written_by_hand(self, tmp_path: Path) -> None:
        frame = read_sessions(_write(tmp_path, SESSIONS))
        assert list(frame.columns) == [*SESSION_COLUMNS, "note"]
        assert frame[["patient_id", "session_id", "order", "days"]].to_numpy().tolist() == [
            ["P1", "week-002-2", 0, 14],
            ["P1", "week-002-10", 1, 14],
            ["P2", "week-000", 0, 0],
            ["P2", "week-010", 1, 70],
        ]
        assert list(frame["note"]) == ["", "NA", "None", ""]
        assert set(frame["role"]) == {"unknown"}
        assert set(frame["space"]) == {"native"}
        assert set(frame["FLAIR"]) == {""}
        assert frame["age"].isna().all()

    def test_paths_are_relative_to_the_table(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = _write(tmp_path, SESSIONS)
        monkeypatch.chdir(tmp_path)
        for given in (path, "sessions.csv"):
            frame = read_sessions(given)
            assert list(frame["T1"]) == [
                "/data/P1.nii.gz",
                "",
                str(tmp_path / "images" / "P2a.nii.gz"),
                str(tmp_path / "images" / "P2b.nii.gz"),
            ]

    def test_byte_order_mark_and_blanks(self, tmp_path: Path) -> None:
        text = "\ufeffpatient_id , session_id,week,rating,T1\nP1, a ,0.0, PD,x.nii\n"
        row = read_sessions(_write(tmp_path, text)).iloc[0]
        assert (row["session_id"], row["rating"], row["week"]) == ("a", "PD", 0)

    def test_further_sequences(self, tmp_path: Path) -> None:
        text = "patient_id,session_id,week,rating,ADC,rCBV,note\nP1,a,0,,adc.nii,,x.nii.gz!\n"
        path = _write(tmp_path, text)
        frame = read_sessions(path)
        assert sequence_columns(frame)[-1] == "ADC"
        assert frame["ADC"].iloc[0] == str(tmp_path / "adc.nii")
        assert read_sessions(path, sequences=("rCBV",))["rCBV"].iloc[0] == ""
        with pytest.raises(ManifestError, match=r"lacks DWI; found the columns .*rCBV"):
            read_sessions(path, sequences=("DWI",))

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("rating", "raing", "lacks rating; found the columns patient_id, .*raing"),
            (",T1,", ",T7,", ""),
            ("10,PD", "10,PDD", r"line 2: rating is 'PDD'; .*an empty cell, CR, PR, SD, PD"),
            ("P2,week-010,10", "P2,week-010,ten", r"line 2: week is 'ten'; .*whole number"),
            ("P2,week-010,10", "P2,week-010,1.5", r"line 2: week is '1\.5'"),
            ("P2,week-010,10", "P2,week-010,nan", r"line 2: week is 'nan'"),
            ("P2,week-010,10", "P2,week-000,10", "lines 2 and 3 both hold P2 week-000"),
            ("P2,week-010", "P2,", r"line 2: session_id is ''"),
            (",SD,,", ",SD,,,surplus", "no readable CSV"),
            (",", ";", "lacks patient_id, .*between semicolons; save it with commas"),
            (",", "\t", "lacks patient_id, .*between tabs; save it with commas"),
        ],
    )
    def test_refusals_name_file_and_line(
        self, tmp_path: Path, old: str, new: str, complaint: str
    ) -> None:
        path = _write(tmp_path, SESSIONS.replace(old, new))
        if not complaint:
            # a column of images under another name is a sequence of its own
            assert sequence_columns(read_sessions(path)) == ("T1", "CT1", "T2", "FLAIR", "T7")
            return
        with pytest.raises(ManifestError, match=complaint) as caught:
            read_sessions(path)
        assert str(caught.value).startswith(str(path))

    @pytest.mark.parametrize(
        ("column", "value", "complaint"),
        [
            ("role", "post-op", "role is 'post-op'; needed is one of: preop, postop, followup"),
            ("space", "mni", "one of: native, session, atlas"),
            ("rating_source", "me", "an empty cell, expert, rule"),
            ("age", "old", "age is 'old'; needed is a number or nothing"),
            ("mgmt_percent", "5 %", "mgmt_percent is '5 %'; needed is a number or nothing"),
            ("brain_mask_sequence", "T7", "is 'T7'; needed is one of: an empty cell, T1"),
            ("order", "", "order is ''"),
        ],
    )
    def test_unknown_values(self, tmp_path: Path, column: str, value: str, complaint: str) -> None:
        text = f"patient_id,session_id,week,rating,T1,{column}\nP1,a,0,,x.nii,{value}\n"
        with pytest.raises(ManifestError, match=rf"sessions\.csv, line 2: .*{complaint}"):
            read_sessions(_write(tmp_path, text))

    @pytest.mark.parametrize(("orders", "weeks"), [((0, 0), (0, 5)), ((0, 1), (5, 0))])
    def test_order_must_agree_with_weeks(
        self, tmp_path: Path, orders: tuple[int, int], weeks: tuple[int, int]
    ) -> None:
        rows = "".join(f"P1,s{n},{weeks[n]},,x.nii,{orders[n]}\n" for n in (0, 1))
        text = "patient_id,session_id,week,rating,T1,order\n" + rows
        with pytest.raises(ManifestError, match=r"P1 s0 .* and s1 .* contradict"):
            read_sessions(_write(tmp_path, text))

    def test_no_images_at_all(self, tmp_path: Path) -> None:
        path = _write(tmp_path, "patient_id,session_id,week,rating\nP1,a,0,\n")
        with pytest.raises(ManifestError, match=r"names no images.*T1, CT1, T2, FLAIR"):
            read_sessions(path)

    def test_files_that_are_no_tables(self, tmp_path: Path) -> None:
        with pytest.raises(ManifestError, match=r"absent\.csv does not exist"):
            read_sessions(tmp_path / "absent.csv")
        with pytest.raises(ManifestError, match=r"empty\.csv is no readable CSV"):
            read_sessions(_write(tmp_path, "", "empty.csv"))
        (tmp_path / "latin.csv").write_bytes(b"patient_id\nJos\xe9\n")
        with pytest.raises(ManifestError, match=r"latin\.csv is no .*not UTF-8 .*; save it as UTF"):
            read_sessions(tmp_path / "latin.csv")

    def test_bytes_that_are_not_utf8_far_into_the_file(self, tmp_path: Path) -> None:
        rows = "".join(f"P{n},s,0,,x.nii\n" for n in range(40_000)).encode()
        path = tmp_path / "utf16.csv"
        path.write_bytes(b"patient_id,session_id,week,rating,T1\n" + rows + b"Jos\xe9,s,0,,x.nii\n")
        with pytest.raises(ManifestError, match=r"utf16\.csv is no readable CSV: it is not UTF-8"):
            read_sessions(path)
        path.write_bytes(SESSIONS.encode("utf-16"))
        with pytest.raises(ManifestError, match="save it as UTF-8"):
            read_sessions(path)

    def test_a_column_twice_is_no_further_sequence(self, tmp_path: Path) -> None:
        text = "patient_id,session_id,week,rating,T1,T1 \nP,s,0,,a.nii,b.nii\n"
        with pytest.raises(ManifestError, match=r"more than one column T1; keep one"):
            read_sessions(_write(tmp_path, text))

    def test_the_world_of_the_brain_mask(self, tmp_path: Path) -> None:
        text = (
            "patient_id,session_id,week,rating,T1,ADC,brain_mask,brain_mask_sequence,mgmt_percent\n"
            "P,a,0,,x.nii,y.nii,m.nii,ADC,12.5\nP,b,1,,x.nii,,,,\n"
        )
        frame = read_sessions(_write(tmp_path, text))
        assert frame["brain_mask_sequence"].tolist() == ["ADC", ""]
        assert frame["mgmt_percent"].iloc[0] == 12.5
        assert frame["mgmt_percent"].isna().tolist() == [False, True]

    def test_roots(self, tmp_path: Path) -> None:
        path = _write(tmp_path, SESSIONS.replace("/data/P1.nii.gz", "images/P1.nii.gz"))
        assert len(read_sessions(path, roots=[tmp_path])) == 4
        with pytest.raises(ManifestError, match=r"sessions\.csv, line 2: T1 is 'images/P2b"):
            read_sessions(path, roots=[tmp_path / "other"])


class TestReadSegmentations:
    def test_good(self, tmp_path: Path) -> None:
        (tmp_path / "index").mkdir()
        frame = read_segmentations(_write(tmp_path, SEGMENTATIONS, "index/segmentations.csv"))
        assert list(frame.columns) == list(SEGMENTATION_COLUMNS)
        assert list(frame["path"]) == [
            str(tmp_path / "index" / "seg.nii.gz"),
            str(tmp_path / "seg2.nii.gz"),
        ]

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("binary", "brats", "line 2: scheme is 'brats'; .*lumiere-deepbratumia.*3=enhancing"),
            ("binary", "1=edema", "line 2: scheme is '1=edema'; .*unknown tissue .*'edema'"),
            ("binary", "1=oedema;1=cavity", "line 2: scheme is .*names label 1 twice"),
            ("seg.nii.gz", "../../../etc/x.nii", "line 2: path is '../../../etc/x.nii'.*outside"),
            ("other", "tool", "lines 2 and 3 both hold P1 week-000 tool"),
            ("seg.nii.gz", "", "line 2: path is ''"),
            ("scheme", "labels", "lacks scheme"),
        ],
    )
    def test_refusals(self, tmp_path: Path, old: str, new: str, complaint: str) -> None:
        path = _write(tmp_path, SEGMENTATIONS.replace(old, new, 1), "segmentations.csv")
        with pytest.raises(ManifestError, match=complaint):
            read_segmentations(path, roots=[tmp_path, tmp_path.parent])

    def test_schemes_and_sequences(self, tmp_path: Path) -> None:
        text = SEGMENTATIONS.replace("binary", "1=oedema; 2=cavity").replace(
            "path", "sequence,path"
        )
        text = text.replace("seg.nii.gz", "CT1,seg.nii.gz").replace("../seg2", ",../seg2")
        frame = read_segmentations(_write(tmp_path, text))
        assert frame["scheme"].tolist() == ["1=oedema; 2=cavity", "lumiere-hdglio"]
        assert frame["sequence"].tolist() == ["CT1", ""]

    def test_from_rows(self) -> None:
        frame = segmentation_table([{"path": "a.nii", "note": "x"}, {"path": "b.nii"}])
        assert list(frame.columns) == [*SEGMENTATION_COLUMNS, "note"]
        assert frame["sequence"].tolist() == ["", ""]
        assert frame["note"].tolist() == ["x", ""]
        assert list(segmentation_table([]).columns) == list(SEGMENTATION_COLUMNS)


class TestWriting:
    def _sessions(self, folder: Path) -> pd.DataFrame:
        clinical = {"age": 61.5, "sex": "male", "idh": "", "note": 'a, "b"'}
        common = {"patient_id": "P1", "dataset": "own", "role": "followup", "space": "atlas"}
        return session_table(
            [
                {**common, "session_id": "week-000", "order": 0, "week": 0, "days": 3,
                 "T1": str(folder / "P1" / "t1.nii.gz"), **clinical},
                {**common, "session_id": "week-007", "order": 1, "week": 7, "days": 49,
                 "rating": "PR", "rating_raw": "PR ", "rating_source": "expert", **clinical},
            ]
        )  # fmt: skip

    def test_a_round_trip_changes_nothing(self, tmp_path: Path) -> None:
        sessions = self._sessions(tmp_path / "data")
        sessions["rating_raw"] = sessions["rating_raw"].str.strip()
        before = sessions.copy()
        write_table(tmp_path / "index" / "sessions.csv", sessions)
        pd.testing.assert_frame_equal(sessions, before)
        read = read_sessions(tmp_path / "index" / "sessions.csv")
        pd.testing.assert_frame_equal(read, sessions)

    def test_index_and_data_can_move_together(self, tmp_path: Path) -> None:
        here = tmp_path / "here"
        write_table(here / "index" / "sessions.csv", self._sessions(here / "data"))
        assert "../data/P1/t1.nii.gz" in (here / "index" / "sessions.csv").read_text()
        here.rename(tmp_path / "there")
        read = read_sessions(tmp_path / "there" / "index" / "sessions.csv")
        assert read["T1"].iloc[0] == str(tmp_path / "there" / "data" / "P1" / "t1.nii.gz")

    def test_links_do_not_lead_astray(self, tmp_path: Path) -> None:
        (tmp_path / "deep" / "er" / "index").mkdir(parents=True)
        (tmp_path / "data" / "P1").mkdir(parents=True)
        (tmp_path / "data" / "P1" / "object").touch()
        (tmp_path / "data" / "P1" / "t1.nii.gz").symlink_to("object")
        (tmp_path / "index").symlink_to(tmp_path / "deep" / "er" / "index")
        write_table(tmp_path / "index" / "sessions.csv", self._sessions(tmp_path / "data"))
        for index in (tmp_path / "index", tmp_path / "deep" / "er" / "index"):
            path = Path(read_sessions(index / "sessions.csv")["T1"].iloc[0])
            assert path.is_file()
            assert path.name == "t1.nii.gz"

    def test_pairs_and_exclusions(self, tmp_path: Path) -> None:
        pairs, exclusions = build_pairs(self._sessions(tmp_path))
        write_table(tmp_path / "pairs.csv", pairs)
        write_table(tmp_path / "exclusions.csv", exclusions)
        assert (tmp_path / "exclusions.csv").read_text().splitlines()[0] == (
            "patient_id,session_id,detail,reason"
        )
        pd.testing.assert_frame_equal(read_pairs(tmp_path / "pairs.csv"), pairs)
        pd.testing.assert_frame_equal(read_exclusions(tmp_path / "exclusions.csv"), exclusions)

    def test_tables_without_rows(self, tmp_path: Path) -> None:
        pairs, exclusions = build_pairs(self._sessions(tmp_path).iloc[:0])
        assert list(pairs.columns) == list(PAIR_COLUMNS)
        assert list(exclusions.columns) == list(EXCLUSION_COLUMNS)
        write_table(tmp_path / "pairs.csv", pairs)
        read = read_pairs(tmp_path / "pairs.csv")
        assert read.empty
        assert read["spans_surgery"].dtype == bool

    def test_pairs_by_hand(self, tmp_path: Path) -> None:
        pairs, _ = build_pairs(self._sessions(tmp_path))
        write_table(tmp_path / "pairs.csv", pairs)
        text = (tmp_path / "pairs.csv").read_text()
        for old, new, complaint in (
            ("False", "perhaps", "line 2: spans_surgery is 'perhaps'; needed is True or False"),
            (",PR,", ",PX,", "line 2: response is 'PX'"),
        ):
            assert old in text
            with pytest.raises(ManifestError, match=complaint):
                read_pairs(_write(tmp_path, text.replace(old, new), "edited.csv"))
