"""Settings that a panel refuses, files that it writes, and inputs that it leaves as they were."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from panel_cases import GRIDS, cam, make_case, voxel_map

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError
from xrano.viz.figure_files import save_figure
from xrano.viz.panel import case_panel


class TestErrors:
    def test_shapes_and_types_are_checked(self):
        case = make_case(GRIDS["RAS"])
        with pytest.raises(GridMismatchError, match=r"core mask of the prior scan .*\(2, 3, 4\)"):
            replace(case, prior_mask=np.zeros((2, 3, 4), dtype=bool))
        with pytest.raises(GridMismatchError, match="current T2 of P-1"):
            replace(case, current={"T2": np.zeros((2, 3, 4))})
        with pytest.raises(ConfigError, match="must be boolean, got int64"):
            replace(case, current_mask=np.zeros(case.grid.shape, dtype=np.int64))

    @pytest.mark.parametrize(
        ("setting", "names"),
        [
            ({"planes": ["oblique"]}, "axial"),
            ({"convention": "left"}, "radiological"),
            ({"slice_by": "best"}, "tumour"),
            ({"rectification": "relu"}, "positive"),
            ({"reduction": "median"}, "sum"),
            ({"timepoints": "both"}, "apart"),
        ],
    )
    def test_unknown_names_list_the_choices(self, setting, names):
        with pytest.raises(UnknownNameError, match=names):
            case_panel(make_case(GRIDS["RAS"]), [cam()], **setting)

    @pytest.mark.parametrize(
        "setting",
        [
            {"percentile": 0},
            {"percentile": 101},
            {"threshold": 1},
            {"threshold": -0.1},
            {"planes": []},
            {"slice_by": {"coronal": 3.0}},
        ],
    )
    def test_settings_out_of_range(self, setting):
        with pytest.raises(ConfigError):
            case_panel(make_case(GRIDS["RAS"]), [cam()], **setting)

    def test_the_peak_of_no_map(self):
        with pytest.raises(ConfigError, match="needs a map"):
            case_panel(make_case(GRIDS["RAS"]), [], slice_by="peak")


class TestFiles:
    @pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
    def test_the_same_figure_gives_the_same_bytes(self, tmp_path, suffix, monkeypatch):
        grid = GRIDS["RAS"]
        first, second = tmp_path / f"deep/er/one{suffix}", tmp_path / f"two{suffix}"
        save_figure(case_panel(make_case(grid), [voxel_map(grid)]), first, dpi=50)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
        with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
            save_figure(case_panel(make_case(grid), [voxel_map(grid)]), second, dpi=50)
        assert first.read_bytes() == second.read_bytes()
        assert [path.name for path in first.parent.iterdir()] == [first.name]

    def test_an_unknown_suffix_is_refused(self, tmp_path):
        with pytest.raises(UnknownNameError, match=r"\.pdf, \.png, \.svg"):
            save_figure(case_panel(make_case(GRIDS["RAS"]), []), tmp_path / "panel.bmp")
        assert not list(tmp_path.iterdir())

    def test_inputs_are_left_as_they_were(self):
        grid = GRIDS["LAS"]
        case, attribution = make_case(grid), voxel_map(grid)
        before = case.current["CT1"].copy(), attribution.data.copy(), case.brain.copy()
        case_panel(case, [attribution, cam()])
        after = case.current["CT1"], attribution.data, case.brain
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
