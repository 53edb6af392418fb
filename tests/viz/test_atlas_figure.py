from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from figure_inputs import LEFT, RIGHT, ball, fixed_atlas
from matplotlib.backends.backend_agg import FigureCanvasAgg
from panel_cases import axes, image, rendered, side_of, texts

from xrano.errors import ConfigError, GridMismatchError, ManifestError, UnknownNameError
from xrano.viz.atlas_figure import atlas_figure
from xrano.viz.atlas_tumour import contour_levels
from xrano.viz.class_atlas import AtlasTumour
from xrano.viz.figure_files import save_figure
from xrano.viz.slice_places import place_slice


def coloured(figure, name) -> np.ndarray:
    """Pixels that are not grey, away from the letters; outlines are cyan and left out."""
    pixels = rendered(figure, name)
    cyan = (pixels[..., 2] > 150) & (pixels[..., 0] < 110)
    return (np.ptp(pixels, axis=2) > 40) & ~cyan


@pytest.mark.parametrize(("convention", "right"), [("radiological", True), ("neurological", False)])
@pytest.mark.parametrize("method", ["saliency", "gradcam"])
@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_a_left_lesion_is_on_the_right_in_the_radiological_convention(
    convention, right, method, plane
):
    # The grid's own i axis runs to the patient's left.
    atlas = fixed_atlas(tumours={"PD": fixed_atlas().tumours["PD"]})
    figure = atlas_figure(atlas, planes=[plane], convention=convention)
    side = side_of(coloured(figure, f"{method} PD {plane}"))
    assert side > 0.6 if right else side < 0.4
    letters = [text.get_text() for text in axes(figure, f"{method} PD {plane}").texts]
    assert letters[0:2] == (["R", "L"] if right else ["L", "R"])


def test_a_right_lesion_is_on_the_left():
    atlas = fixed_atlas(tumours={"SD": fixed_atlas().tumours["SD"]})
    figure = atlas_figure(atlas)
    assert side_of(coloured(figure, "saliency SD axial")) < 0.4


def test_every_picture_has_its_letters_position_and_scale_bar():
    figure = atlas_figure(fixed_atlas(), planes=["axial", "sagittal"])
    for name, found in (("axial", "R L A P"), ("sagittal", "A P S I")):
        words = [text.get_text() for text in axes(figure, f"gradcam CR {name}").texts]
        assert words[:4] == found.split()
        assert any(word.endswith(" mm") and "=" in word for word in words)
        assert "50 mm" in words


def test_all_classes_of_a_method_share_one_scale_in_units_of_a_uniform_map():
    atlas = fixed_atlas()
    figure = atlas_figure(atlas)
    norms = {
        (method, name): image(figure, f"{method} {name} axial").norm for method, name in atlas.maps
    }
    for method in atlas.methods:
        tops = {norm.vmax for (own, _), norm in norms.items() if own == method}
        expected = max(
            np.percentile(found.mean[atlas.brain], 99.5)
            for (own, _), found in atlas.maps.items()
            if own == method
        )
        assert [*tops] == [pytest.approx(expected)]
        assert axes(figure, f"colour bar {method}").get_title() == "times a uniform map"
    assert norms["saliency", "CR"].vmax != norms["gradcam", "CR"].vmax


def test_less_than_a_uniform_map_is_not_drawn():
    atlas = fixed_atlas()
    # A fifth of the scale, which ends at 3, is 0.6: nothing between that and 1 may be drawn.
    flat = {key: replace(found, mean=0.9 + 0.0 * found.mean) for key, found in atlas.maps.items()}
    flat["saliency", "PD"].mean[ball(atlas.grid, LEFT, 20)] = 3.0
    figure = atlas_figure(fixed_atlas(maps=flat, tumours={}))
    assert not coloured(figure, "saliency SD axial").any()
    assert coloured(figure, "saliency PD axial").any()


def test_counts_stand_below_each_cell_and_few_patients_are_italic():
    figure = atlas_figure(fixed_atlas())
    style = {text.get_text(): text.get_fontstyle() for text in figure.texts}
    assert style["8 pairs, 4 patients"] == style["2 pairs, 1 patient"] == "italic"
    assert style["42 pairs, 21 patients"] == "normal"
    assert "fewer than 10 patients" in texts(figure)


def test_a_class_without_pairs_is_an_empty_frame_that_says_so():
    figure = atlas_figure(fixed_atlas())
    for method in ("saliency", "gradcam"):
        ax = axes(figure, f"{method} PR axial")
        assert [text.get_text() for text in ax.texts] == ["no PR map"]
        assert not ax.images
    assert "tumour not segmented" in texts(figure)


def test_the_tumour_is_outlined_at_a_quarter_and_half_of_the_patients_or_as_far_as_it_goes():
    figure = atlas_figure(fixed_atlas())
    drawn = {
        name: [one.get_label() for one in axes(figure, f"saliency {name} axial").collections]
        for name in ("CR", "SD", "PD")
    }
    assert drawn["CR"] == ["contour largest share"]
    assert drawn["SD"] == drawn["PD"] == ["contour 25 %", "contour 50 %"]
    said = texts(figure)
    assert "tumour: 20 % at most" in said
    assert "tumour: 25 %, 50 %" in said


def test_levels_are_those_that_the_slices_reach():
    atlas = fixed_atlas()
    through, beside = (
        [place_slice(atlas.grid, "axial", mm, around=atlas.brain)] for mm in (5.0, 60.0)
    )
    share = 0.5 * ball(atlas.grid, RIGHT, 12)
    share = np.maximum(share, 0.25 * ball(atlas.grid, RIGHT, 24)).astype(np.float32)
    tumour = AtlasTumour(share, 4, 4)
    assert contour_levels(tumour, atlas.grid, through) == (0.25, 0.5)
    assert contour_levels(tumour, atlas.grid, beside) == ()
    third = AtlasTumour(np.float32(0.1) * np.float32(2) * (share > 0), 5, 5)
    assert contour_levels(third, atlas.grid, through) == (pytest.approx(0.2),)


def test_slices_go_through_the_mean_tumour_of_all_classes():
    atlas = fixed_atlas(tumours={"SD": AtlasTumour(shifted(48.0), 1, 1)})
    words = texts(atlas_figure(atlas))
    # Slices lie 7 mm apart from -60 mm on.
    assert "z = +45 mm" in words or "z = +52 mm" in words


def shifted(z: float) -> np.ndarray:
    return ball(fixed_atlas().grid, (0.0, 0.0, z), 8).astype(np.float32)


def test_without_any_tumour_the_slice_is_the_brains_centre():
    figure = atlas_figure(fixed_atlas(tumours={}))
    assert "tumour not segmented" in texts(figure)
    assert "z = +3 mm" in texts(figure)


def test_one_class_and_one_pair_and_a_zero_map_are_drawn():
    atlas = fixed_atlas()
    only = {("saliency", "PD"): replace(atlas.maps["saliency", "PD"], mean=0 * shifted(0))}
    figure = atlas_figure(fixed_atlas(maps=only, methods=("saliency",), tumours={}))
    FigureCanvasAgg(figure).draw()
    assert texts(figure).count("no ") == 3


def test_hostile_names_are_shown_as_they_are():
    atlas = fixed_atlas()
    method, name = "a $\\frac$ <b>", "P$D$"
    figure = atlas_figure(
        fixed_atlas(
            methods=(method,),
            classes=(name, "CR"),
            maps={(method, name): atlas.maps["saliency", "PD"]},
            notes=("Zoë $x^2$ <script>",),
        )
    )
    FigureCanvasAgg(figure).draw()
    assert "P$D$" in texts(figure)
    assert "<script>" in texts(figure)


def test_a_users_style_changes_nothing_and_is_left_alone(tmp_path):
    save_figure(atlas_figure(fixed_atlas()), tmp_path / "plain.png", dpi=40)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "text.color": "red"}):
        save_figure(atlas_figure(fixed_atlas()), tmp_path / "styled.png", dpi=40)
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"planes": []}, ConfigError),
        ({"percentile": 0}, ConfigError),
        ({"threshold": 1}, ConfigError),
        ({"planes": ["oblique"]}, UnknownNameError),
        ({"convention": "surgical"}, UnknownNameError),
    ],
)
def test_impossible_options_are_refused(options, error):
    with pytest.raises(error):
        atlas_figure(fixed_atlas(), **options)


def test_arrays_of_another_grid_and_an_empty_atlas_are_refused():
    with pytest.raises(GridMismatchError, match="background has shape"):
        fixed_atlas(background=np.zeros((2, 2, 2), np.float32))
    with pytest.raises(ManifestError, match="at least one method"):
        fixed_atlas(methods=())
