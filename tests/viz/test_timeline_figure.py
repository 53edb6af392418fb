from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from figure_inputs import fixed_timeline, hostile_timeline
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from panel_cases import axes, texts

from xrano.errors import ManifestError
from xrano.viz.patient_timeline import TimelineShare, TimelineVisit
from xrano.viz.timeline_axis import CLASS_STYLES, WeekAxis
from xrano.viz.timeline_figure import timeline_figure


def lines(figure, name, label):
    return [line for line in axes(figure, name).lines if line.get_label() == label]


def bars(figure, name, label):
    return [bar for bar in axes(figure, name).patches if bar.get_label() == label]


def test_ratings_have_their_colour_and_shape_and_letters():
    figure = timeline_figure(fixed_timeline())
    for visit in fixed_timeline().visits:
        (mark,) = lines(figure, "ratings", f"rating {visit.session_id}")
        if visit.rating:
            colour, shape = CLASS_STYLES[visit.rating]
            assert (mark.get_markeredgecolor(), mark.get_marker()) == (colour, shape)
    letters = [text.get_text() for text in axes(figure, "ratings").texts]
    assert [word for word in letters if word in CLASS_STYLES] == ["PR", "SD", "CR", "PD", "CR"]


def test_colours_and_shapes_of_classes_differ():
    colours, shapes = zip(*CLASS_STYLES.values(), strict=True)
    assert len(set(colours)) == len(set(shapes)) == 4


def test_visits_in_no_pair_are_hollow_with_the_reason():
    figure = timeline_figure(fixed_timeline())
    for visit in fixed_timeline().visits:
        (rating,) = lines(figure, "ratings", f"rating {visit.session_id}")
        hollow = bool(visit.excluded)
        assert (rating.get_markerfacecolor() == "white") == hollow
        for mark in lines(figure, "volumes", f"volume oedema {visit.session_id}"):
            assert (mark.get_markerfacecolor() == "white") == hollow
        if hollow:
            assert visit.excluded in texts(figure)
    assert "the reason above it" in texts(figure)


def test_volumes_are_in_ml_at_their_week_and_broken_where_nothing_is_segmented():
    figure = timeline_figure(fixed_timeline())
    (mark,) = lines(figure, "volumes", "volume oedema week-041")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (41, 30)
    parts = [line.get_ydata().tolist() for line in lines(figure, "volumes", "line enhancing")]
    assert parts == [[20.0, 2.0, 1.0], [1.5, 4.0, 0.0]]
    assert not lines(figure, "volumes", "volume oedema week-027")
    assert texts(figure).count("not segmented") == 1


def test_probabilities_are_stacked_at_the_current_visit_and_the_true_class_is_outlined():
    figure = timeline_figure(fixed_timeline())
    for item in fixed_timeline().predictions:
        bottom = 0.0
        for name, share in item.probabilities.items():
            (bar,) = bars(figure, "probabilities", f"probability {name} {item.current_session}")
            assert bar.get_x() + bar.get_width() / 2 == pytest.approx(
                float(item.current_session[-3:])
            )
            assert (bar.get_y(), bar.get_height()) == pytest.approx((bottom, share))
            assert to_hex(bar.get_facecolor()) == CLASS_STYLES[name][0].lower()
            assert (bar.get_linewidth() > 0) == (name == item.truth)
            bottom += share
    said = [text.get_text() for text in axes(figure, "probabilities").texts]
    assert said == ["PR ✓", "PD ✗", "PD ✓", "CR ✓"]


def test_relevance_is_stacked_with_the_prior_scan_hatched_below():
    figure = timeline_figure(fixed_timeline())
    (prior,) = bars(figure, "shares saliency", "share prior CT1 week-014")
    (current,) = bars(figure, "shares saliency", "share current CT1 week-014")
    assert (prior.get_y(), prior.get_height()) == (0, 0.3)
    assert current.get_y() == pytest.approx(0.4)
    assert prior.get_hatch()
    assert not current.get_hatch()
    assert not bars(figure, "shares ig:prior", "share prior CT1 week-014")
    assert "Integrated gradients, prior scan" in [ax.get_title(loc="left") for ax in figure.axes]


def test_an_operation_is_marked_between_the_visits_around_it():
    figure = timeline_figure(fixed_timeline())
    for name in ("volumes", "probabilities", "shares saliency"):
        (line,) = lines(figure, name, "event week-000-2")
        before, after = (
            lines(figure, "ratings", f"rating week-000-{number}")[0].get_xdata()[0]
            for number in (1, 2)
        )
        assert before < line.get_xdata()[0] < after


def test_visits_of_one_week_stand_side_by_side_and_none_overlap():
    weeks = [("a", 0.0), ("b", 0.0), ("c", 0.0), ("d", 1.0), ("e", 52.0)]
    axis = WeekAxis.of(weeks)
    places = [axis.places[name] for name, _ in weeks]
    assert (np.diff(places) >= axis.apart - 1e-9).all()
    assert axis.bar_width < axis.apart
    assert axis.places["e"] == 52
    assert [text for _, text in axis.labels] == ["0", "1", "52"]


@pytest.mark.parametrize("weeks", [[5], [5, 5], [0, 0, 0, 0], list(range(60))])
def test_any_weeks_can_be_drawn(weeks):
    visits = tuple(
        TimelineVisit(f"s{number}", week, {"tumour": 0.0}, "SD", "expert")
        for number, week in enumerate(weeks)
    )
    figure = timeline_figure(fixed_timeline(visits=visits, predictions=(), shares=(), events=()))
    FigureCanvasAgg(figure).draw()
    low, high = axes(figure, "volumes").get_xlim()
    for visit in visits:
        (mark,) = lines(figure, "ratings", f"rating {visit.session_id}")
        assert low < mark.get_xdata()[0] < high


def test_without_segmentations_and_predictions_the_tracks_say_so():
    visits = tuple(replace(visit, volumes={}) for visit in fixed_timeline().visits)
    figure = timeline_figure(fixed_timeline(visits=visits, predictions=(), shares=(), source=""))
    said = texts(figure)
    assert "no visit is segmented" in said
    assert "no out-of-fold prediction" in said
    assert not any(ax.get_label().startswith("shares") for ax in figure.axes)


def test_ratings_by_rule_are_in_italics():
    visits = tuple(
        replace(visit, rating_source="rule" if visit.rating else "")
        for visit in fixed_timeline().visits
    )
    figure = timeline_figure(fixed_timeline(visits=visits))
    styles = {
        text.get_text(): text.get_fontstyle()
        for text in axes(figure, "ratings").texts
        if text.get_text() in CLASS_STYLES
    }
    assert set(styles.values()) == {"italic"}
    assert "not from an expert" in " ".join(texts(figure).split())


def test_methods_beyond_the_room_are_counted():
    (first, *_rest) = fixed_timeline().shares
    shares = tuple(replace(first, method=f"m{number}") for number in range(7))
    figure = timeline_figure(fixed_timeline(shares=shares))
    assert sum(ax.get_label().startswith("shares") for ax in figure.axes) == 4
    assert "3 more methods are not shown" in texts(figure)


def test_hostile_ids_are_shown_as_they_are():
    figure = timeline_figure(hostile_timeline())
    FigureCanvasAgg(figure).draw()
    said = texts(figure)
    assert "Zoë $x^2$ <b>№7</b>" in said
    assert "<script>$\\frac{1}$; TMZ & $" in said


def test_things_of_unknown_sessions_and_no_visit_are_refused():
    stray = TimelineShare("saliency", "week-999", {("prior", "CT1"): 1.0})
    with pytest.raises(ManifestError, match="no session 'week-999'"):
        fixed_timeline(shares=(stray,))
    with pytest.raises(ManifestError, match="no visit"):
        fixed_timeline(visits=(), predictions=(), shares=(), events=())


def test_crowded_bars_have_their_class_and_its_mark_below_each_other():
    first = fixed_timeline().predictions[0]
    visits = tuple(replace(visit, week=visit.week / 60) for visit in fixed_timeline().visits)
    crowd = tuple(
        TimelineVisit(f"s{number}", 1 + number, {}, "PR", "expert") for number in range(24)
    )
    predictions = (first, *(replace(first, current_session=visit.session_id) for visit in crowd))
    figure = timeline_figure(
        fixed_timeline(visits=(*visits, *crowd), predictions=predictions, shares=())
    )
    said = {text.get_text() for text in axes(figure, "probabilities").texts}
    assert said == {"PR\n✓"}


def test_weeks_never_lie_on_each_other():
    visits = tuple(TimelineVisit(f"s{week}", week, {}, "PR") for week in range(100, 150))
    figure = timeline_figure(fixed_timeline(visits=visits, predictions=(), shares=(), events=()))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    labels = [
        label.get_window_extent(canvas.get_renderer())
        for label in axes(figure, "probabilities").get_xticklabels()
        if label.get_text()
    ]
    assert len(labels) > 5
    assert all(before.x1 < after.x0 for before, after in pairwise(labels))
