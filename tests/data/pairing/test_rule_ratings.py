from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_volumes import VOXEL_ML, write_image, write_labels

from xrano.data import nifti_files
from xrano.data.pairing.rule_ratings import VOLUME_COLUMNS, measure_volumes, rate_by_rule
from xrano.data.tables import segmentation_table, session_table
from xrano.errors import ConfigError, LabelSchemeError, ManifestError, UnknownNameError, VolumeError
from xrano.rano import rate_course


def _course(*sessions: dict[str, object], patient: str = "P") -> pd.DataFrame:
    return session_table(
        {
            "patient_id": patient, "session_id": f"s{order}", "order": order, "week": order,
            "days": 7 * order, "role": "unknown", "space": "native", **session,
        }
        for order, session in enumerate(sessions)
    )  # fmt: skip


def _volumes(*ml: float | None, region: str = "enhancing", source: str = "a") -> pd.DataFrame:
    rows = [
        ("P", f"s{order}", source, region, value)
        for order, value in enumerate(ml)
        if value is not None
    ]
    return pd.DataFrame(rows, columns=list(VOLUME_COLUMNS))


def _ratings(sessions: pd.DataFrame, volumes: pd.DataFrame, **options: str) -> list[str]:
    return rate_by_rule(sessions, volumes, **options)["rating"].tolist()


class TestRule:
    @pytest.mark.parametrize("reference", ["rano", "previous"])
    def test_a_course_without_operations_is_that_of_the_rule(self, reference: str) -> None:
        ml = [10.0, 3.0, 4.0, 4.3, 0.0, 0.6, 20.0]
        expected = rate_course(
            ml, surgery=[False] * 7, new_lesions=[False] * 7, reference=reference
        )
        rated = rate_by_rule(_course(*[{}] * 7), _volumes(*ml), reference=reference)
        assert rated["rating"].tolist() == [str(rating or "") for rating in expected]
        assert rated["rating_source"].tolist() == ["", *["rule"] * 6]
        assert rated["rating_raw"].iloc[1] == f"rule: 3 ml enhancing, {reference}"

    def test_baseline_and_nadir_tell_the_references_apart(self) -> None:
        # 3 to 4 ml is +33 % of the nadir; against the baseline of 10 ml it is still −60 %
        course, volumes = _course({}, {}, {}), _volumes(10.0, 3.0, 3.4)
        assert _ratings(course, volumes, reference="rano") == ["", "PR", "PR"]
        assert _ratings(course, volumes, reference="previous") == ["", "PR", "SD"]

    def test_an_expert_rating_is_never_overwritten(self) -> None:
        expert = {"rating": "PD", "rating_source": "expert", "rating_raw": "PD"}
        rated = rate_by_rule(_course({}, expert, {}), _volumes(10.0, 1.0, 1.0))
        assert rated["rating"].tolist() == ["", "PD", "PR"]
        assert rated["rating_source"].tolist() == ["", "expert", "rule"]
        assert rated["rating_raw"].iloc[1] == "PD"

    def test_what_a_rater_wrote_stays(self) -> None:
        rated = rate_by_rule(_course({}, {"rating_raw": "None"}), _volumes(1.0, 5.0))
        assert rated["rating"].iloc[1] == "PD"
        assert rated["rating_raw"].iloc[1] == "None"

    @pytest.mark.parametrize(
        "roles",
        [
            ("unknown", "postop", "followup"),
            ("preop", "unknown", "followup"),
            ("preop", "postop", "followup"),
        ],
    )
    def test_an_operation_starts_the_course_anew(self, roles: tuple[str, ...]) -> None:
        course = _course(*({"role": role} for role in roles))
        assert _ratings(course, _volumes(30.0, 2.0, 4.0)) == ["", "", "PD"]

    def test_an_operation_of_which_there_is_no_volume(self) -> None:
        course = _course({}, {"role": "postop", "exclude_reason": "no_images"}, {}, {})
        assert _ratings(course, _volumes(30.0, None, 2.0, 2.1)) == ["", "", "", "SD"]

    def test_a_preoperative_scan_is_not_rated(self) -> None:
        course = _course({}, {"role": "preop"}, {"role": "postop"})
        assert _ratings(course, _volumes(1.0, 9.0, 1.0)) == ["", "", ""]

    def test_excluded_sessions(self) -> None:
        # A rating in doubt leaves the scan in the course; a spoilt scan does not.
        for reason, expected in (("duplicate_rating", "SD"), ("moved head", "PR")):
            course = _course({}, {"exclude_reason": reason}, {})
            ratings = _ratings(course, _volumes(10.0, 3.0, 3.1), reference="previous")
            assert ratings == ["", "", expected]

    def test_scans_without_a_volume_are_passed_over(self) -> None:
        assert _ratings(_course({}, {}, {}), _volumes(10.0, None, 2.0)) == ["", "", "PR"]

    def test_binary_masks_go_by_the_whole_lesion(self) -> None:
        rated = rate_by_rule(_course({}, {}), _volumes(1.0, 2.0, region="whole"))
        assert rated["rating_raw"].iloc[1] == "rule: 2 ml whole, rano"
        both = pd.concat([_volumes(1.0, 2.0, region="whole"), _volumes(1.0, 1.0)])
        assert _ratings(_course({}, {}), both) == ["", "SD"]

    def test_order_counts_rather_than_rows_and_patients_are_apart(self) -> None:
        course = pd.concat(
            [_course({}, {}).iloc[::-1], _course({}, patient="Q")], ignore_index=True
        )
        volumes = pd.concat([_volumes(10.0, 1.0), _volumes(50.0).assign(patient_id="Q")])
        assert _ratings(course, volumes) == ["PR", "", ""]

    def test_sessions_are_not_changed(self) -> None:
        course, volumes = _course({}, {}), _volumes(10.0, 1.0)
        before = course.copy(), volumes.copy()
        rate_by_rule(course, volumes)
        pd.testing.assert_frame_equal(course, before[0])
        pd.testing.assert_frame_equal(volumes, before[1])

    def test_several_sources(self) -> None:
        volumes = pd.concat(
            [_volumes(1.0, 5.0, source="b"), *(_volumes(1.0, 1.0, source=s) for s in "edca")]
        )
        course = _course({}, {})
        with pytest.raises(ManifestError, match=r"several segmentations \(a, b, c, d, e\)"):
            rate_by_rule(course, volumes)
        assert _ratings(course, volumes, source="b") == ["", "PD"]
        with pytest.raises(ManifestError, match=r"several segmentations \(a, b\)"):
            rate_by_rule(course, volumes[volumes["source"].isin(["a", "b"])])
        with pytest.raises(ManifestError, match="no volumes of 'f'; found: a, b, c"):
            rate_by_rule(course, volumes, source="f")

    def test_refusals(self) -> None:
        course = _course({}, {})
        with pytest.raises(UnknownNameError, match="previous, rano"):
            rate_by_rule(course, _volumes(1.0, 2.0), reference="nadir")
        with pytest.raises(ManifestError, match="lack the columns ml"):
            rate_by_rule(course, _volumes(1.0).drop(columns="ml"))
        with pytest.raises(ManifestError, match="P s0 has two volumes of enhancing"):
            rate_by_rule(course, pd.concat([_volumes(1.0), _volumes(2.0)]))
        with pytest.raises(ManifestError, match="P s1 has two volumes of enhancing"):
            rate_by_rule(course, pd.concat([_volumes(1.0, 2.0), _volumes(None, 2.0)]))
        with pytest.raises(ConfigError, match="burden"):
            rate_by_rule(course, _volumes(1.0, float("nan")))

    def test_no_volumes_no_ratings(self) -> None:
        assert _ratings(_course({}, {}), _volumes()) == ["", ""]


class TestVolumes:
    def _table(self, *rows: tuple[str, str, Path]) -> pd.DataFrame:
        return segmentation_table(
            {
                "patient_id": "P", "session_id": f"s{n}", "source": source,
                "scheme": scheme, "path": str(path), "space": "native",
            }
            for n, (source, scheme, path) in enumerate(rows)
        )  # fmt: skip

    def test_voxels_are_counted_and_measured_by_the_affine(self, tmp_path: Path) -> None:
        path = write_labels(tmp_path / "seg.nii.gz", {1: 7, 2: 11, 3: 5, 4: 9}, np.float32)
        other = "1=oedema;2=enhancing;3=cavity;4=cavity"
        volumes = measure_volumes(
            self._table(("a", "brats2024", path), ("b", other, path)),
            ("enhancing", "core", "whole"),
        )
        assert volumes.drop(columns="ml").to_numpy().tolist() == [
            ["P", "s0", "a", "enhancing"],
            ["P", "s0", "a", "core"],
            ["P", "s0", "a", "whole"],
            ["P", "s1", "b", "enhancing"],
            ["P", "s1", "b", "whole"],
        ]
        counts = np.array([5, 12, 23, 11, 18])
        np.testing.assert_allclose(volumes["ml"], counts * VOXEL_ML, rtol=1e-6)

    def test_an_empty_mask_is_0_ml(self, tmp_path: Path) -> None:
        path = write_labels(tmp_path / "seg.nii", {})
        assert measure_volumes(self._table(("a", "binary", path)))["ml"].tolist() == [0.0]

    def test_each_file_is_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_labels(tmp_path / "seg.nii.gz", {3: 4})
        voxels, read = nifti_files.read_voxels, []

        def counted(name, image):
            read.append(Path(name))
            return voxels(name, image)

        monkeypatch.setattr(nifti_files, "read_voxels", counted)
        measure_volumes(self._table(("a", "brats2024", path)), ("enhancing", "core", "whole"))
        assert read == [path]

    def test_errors_name_the_file(self, tmp_path: Path) -> None:
        absent = tmp_path / "absent.nii.gz"
        with pytest.raises(VolumeError, match=r"absent\.nii\.gz does not exist"):
            measure_volumes(self._table(("a", "binary", absent)))
        path = write_labels(tmp_path / "seg.nii.gz", {5: 4})
        with pytest.raises(LabelSchemeError, match=r"seg\.nii\.gz: labels \[5\]"):
            measure_volumes(self._table(("a", "brats2024", path)))
        grey = write_image(tmp_path / "t1.nii.gz", value=0.5)
        with pytest.raises(VolumeError, match=r"t1\.nii\.gz"):
            measure_volumes(self._table(("a", "brats2024", grey)))

    def test_no_segmentations(self) -> None:
        volumes = measure_volumes(segmentation_table([]))
        assert list(volumes.columns) == list(VOLUME_COLUMNS)
        assert volumes["ml"].dtype == np.float64
