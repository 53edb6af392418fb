"""What maps, pairs, explanations and runs show of themselves in a notebook."""

from __future__ import annotations

import base64
import gc
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from sklearn.metrics import balanced_accuracy_score

import xrano
from xrano.geometry import Grid
from xrano.jupyter import html, map_html
from xrano.jupyter.opened_run import Explored, OpenRun
from xrano.map_files import save_map
from xrano.maps import AttributionMap
from xrano.training.train_run import train_run

LIMIT = 200_000
HOSTILE = "<script>alert('x')</script>&\"ü\""


@pytest.fixture(scope="module")
def opened(tiny_run) -> OpenRun:
    return OpenRun(tiny_run)


@pytest.fixture(scope="module")
def explored(opened) -> Explored:
    return opened.explain(opened.pairs()[0], ["saliency", "gradcam"])


def picture_of(text: str) -> np.ndarray:
    """(row, column, colour) of the first picture."""
    data = re.search(r'src="data:image/png;base64,([^"]+)"', text)
    assert data is not None
    return imread(io.BytesIO(base64.b64decode(data.group(1))))[..., :3]


def facts_of(text: str) -> dict[str, str]:
    cells = r'<th scope="row"[^>]*>([^<]*)</th><td[^>]*>([^<]*)</td>'
    return dict(re.findall(cells, text))


def one_voxel(at, meta=None, affine=None) -> AttributionMap:
    grid = Grid((12, 14, 9), np.diag([4.0, 5.0, 6.0, 1.0]) if affine is None else affine)
    data = np.zeros((1, *grid.shape), dtype=np.float32)
    data[0][at] = -2.0
    return AttributionMap(data, grid, ("current_CT1",), {"method": "saliency", **(meta or {})})


CENTRED = np.array([[4.0, 0, 0, -22], [0, 5.0, 0, -32], [0, 0, 6.0, -24], [0, 0, 0, 1]])


# --- maps


@pytest.mark.parametrize(
    ("at", "words"),
    [((1, 12, 8), "L 18, A 28, S 24 mm"), ((10, 2, 1), "R 18, P 22, I 18 mm")],
)
def test_the_peak_of_a_map_is_told_and_drawn_on_its_side(at, words):
    text = one_voxel(at, affine=CENTRED)._repr_html_()
    assert facts_of(text)["peak"] == words
    picture = picture_of(text)
    axial = picture[:, : picture.shape[1] // 3]
    # The map alone is coloured; letters and the scale bar are grey.
    coloured = np.argwhere(np.ptp(axial, axis=-1) > 0.3)
    row, column = coloured.mean(axis=0) / axial.shape[:2]
    # Radiological: the patient's left is on the right; the front is up.
    assert (column > 0.5) == words.startswith("L")
    assert (row < 0.5) == ("A " in words)


def test_a_flipped_grid_changes_nothing_of_where_the_peak_lies():
    flipped = CENTRED.copy()
    flipped[0] = [-4.0, 0, 0, 22]
    assert facts_of(one_voxel((10, 12, 8), affine=flipped)._repr_html_())["peak"] == (
        "L 18, A 28, S 24 mm"
    )


def test_what_a_map_says_is_escaped_and_small():
    meta = {
        **dict.fromkeys(("method", "baseline", "layer", "pair_id", "target_name"), HOSTILE),
        "weights": HOSTILE,
    }
    item = one_voxel((1, 2, 3), meta)
    text = item._repr_html_()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert len(text) < LIMIT
    named = AttributionMap(item.data, item.grid, (HOSTILE,), meta)
    assert "<script" not in named._repr_html_()


def test_a_map_without_relevance_or_words_says_so():
    item = AttributionMap(np.zeros((1, 3, 4, 5)), Grid((3, 4, 5), np.eye(4)), ("all",))
    told = facts_of(item._repr_html_())
    assert told["peak"] == "none: all values are zero"
    assert told["method"] == told["pair"] == "unknown"
    assert repr(item) == (
        "<AttributionMap without a method: 1 channels of 3 × 4 × 5 at 1 × 1 × 1 mm>"
    )


def test_mass_in_the_brain_is_the_share_of_rectified_relevance(explored):
    pair = explored.explanation.pair
    strength = np.abs(explored.maps[0].data).sum(axis=0)
    share = strength[pair.brain].sum(dtype=float) / strength.sum(dtype=float)
    assert facts_of(explored.maps[0]._repr_html_())["mass in the brain"] == f"{share:.2f}"


def test_a_map_from_a_file_has_no_brain_to_speak_of(explored, tmp_path):
    again = xrano.load_map(save_map(explored.maps[0], tmp_path))
    told, before = facts_of(again._repr_html_()), facts_of(explored.maps[0]._repr_html_())
    assert told.pop("mass in the brain").startswith("unknown")
    assert told == {name: value for name, value in before.items() if name in told}


def test_scans_are_let_go_with_their_maps(opened):
    before = len(map_html._SHOWN_WITH)
    explored = opened.explain(opened.pairs()[1], ["saliency"])
    assert len(map_html._SHOWN_WITH) == before + 1
    del explored
    gc.collect()
    assert len(map_html._SHOWN_WITH) == before


def test_showing_a_map_changes_nothing_of_it(explored):
    item = explored.maps[1]
    before = item.data.copy(), dict(item.meta)
    assert item._repr_html_() == item._repr_html_()
    np.testing.assert_array_equal(item.data, before[0])
    assert dict(item.meta) == before[1]


# --- pairs, explanations, runs


def test_a_pair_shows_both_scans_and_its_tumour(opened, tiny_run):
    pair_id = opened.pairs()[0]
    pair = opened.pair(pair_id)
    told = facts_of(pair._repr_html_())
    row = tiny_run.pair(pair_id)
    assert told["response"] == row["response"]
    assert told["scans"] == f"{row['prior_session']} (prior), {row['current_session']} (current)"
    volumes = [value for name, value in told.items() if name.startswith("core or tumour")]
    assert len(volumes) == len(pair.segmentations)
    assert all(re.fullmatch(r"\d+\.\d ml, then \d+\.\d ml", value) for value in volumes)
    assert picture_of(pair._repr_html_()).max() == 1


def test_a_pair_without_anything_is_shown_too(opened):
    pair = opened.pair(opened.pairs()[0])
    names = dict.fromkeys(("pair_id", "patient_id", "prior_session", "normalised_by"), HOSTILE)
    bare = replace(pair, **names, response="", segmentations={}, brain=np.zeros_like(pair.brain))
    text = bare._repr_html_()
    assert "<script" not in text
    assert facts_of(text)["response"] == "unrated"
    one = replace(pair, segmentations={HOSTILE: (None, None, "binary")})
    assert "not segmented, then not segmented" in one._repr_html_()
    assert "<script" not in one._repr_html_()


def test_an_explanation_tells_each_map_in_a_row(explored):
    text = explored._repr_html_()
    assert len(text) < LIMIT
    assert text.count("<img") == 1
    body = text.partition("<tbody>")[2]
    rows = re.findall(r'<tr><th scope="row"[^>]*>([^<]*)</th>', body)
    assert rows[0] == "Saliency"
    assert rows[1].startswith("Grad-CAM, layer ")
    assert facts_of(text)["predicted"] == explored.predicted


def test_hostile_names_of_an_explanation_are_text(explored):
    pair = replace(explored.explanation.pair, pair_id=HOSTILE, response=HOSTILE)
    other = Explored(replace(explored.explanation, pair=pair, predicted=HOSTILE,
                             probabilities={HOSTILE: 1.0}))  # fmt: skip
    assert "<script" not in other._repr_html_()
    assert "\n" not in repr(other)


def test_a_run_tells_its_patients_and_its_accuracy(opened, tiny_run):
    text = re.sub(r' style="[^"]*"', "", opened._repr_html_())
    told, table = facts_of(text), tiny_run.predictions
    accuracy = balanced_accuracy_score(table["response"], table["predicted"])
    assert told["balanced accuracy"] == f"{accuracy:.2f} (chance 0.25)"
    tested = tiny_run.tested_pairs()
    patients = tested["patient_id"].nunique()
    assert told["held out"] == f"{len(tested)} pairs of {patients} patients"
    assert told["folds trained"] == "2 of 3"
    for response, own in table.groupby("response"):
        hits = int((own["response"] == own["predicted"]).sum())
        row = f"{response}</th><td>{own['patient_id'].nunique()}</td><td>{len(own)}</td>"
        assert f"{row}<td>{hits} of {len(own)}</td>" in text
    assert f"balanced accuracy {accuracy:.2f}>" in repr(opened)


def test_an_untrained_run_has_no_accuracy(untrained_config, tmp_path):
    run = OpenRun(train_run(untrained_config, tmp_path / "random", report=lambda *_: None))
    assert facts_of(run._repr_html_())["balanced accuracy"] == "– (chance 0.25)"
    assert "accuracy" not in repr(run)


def test_every_plain_repr_is_one_line(opened, explored):
    for item in (
        opened,
        explored,
        explored.maps[0],
        explored.maps[1],
        opened.pair(opened.pairs()[0]),
    ):
        assert "\n" not in repr(item)
        assert 30 < len(repr(item)) < 200


def test_scores_of_several_pairs_are_those_of_each(opened):
    chosen = opened.pairs()[:2]
    table = opened.scores(chosen, ["saliency"])
    assert list(dict.fromkeys(table["pair_id"])) == chosen
    one = opened.explain(chosen[1], ["saliency"]).scores()
    own = table[table["pair_id"] == chosen[1]].reset_index(drop=True)
    np.testing.assert_array_equal(own["value"], one["value"])
    assert list(own["status"]) == list(one["status"])
    assert opened.scores([]).empty


def test_scores_say_once_what_is_the_same_in_all_rows(explored):
    scores = explored.scores()
    text = re.sub(r' style="[^"]*"', "", scores._repr_html_())
    pair = scores["pair_id"].iloc[0]
    assert text.count(pair) == 1
    heads = re.findall(r'<th scope="col">([^<]*)</th>', text)
    assert heads == [name for name in scores.columns if scores[name].nunique(dropna=False) > 1]
    assert {"method", "region", "metric", "value", "chance"} <= set(heads)
    assert text.count("<tr>") == 1 + min(len(scores), 24)
    assert f"{len(scores)} rows, the first 24 shown" in text
    row = scores.iloc[3]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", text)[len(heads) :]
    fourth = dict(zip(heads, cells[3 * len(heads) :], strict=False))
    assert fourth["metric"] == row["metric"]
    assert fourth["value"] == f"{row['value']:.3g}".replace("-", "−")


def test_what_is_taken_from_scores_is_as_any_data_frame(explored):
    scores = explored.scores()
    mass = scores.query("metric == 'relevance_mass_accuracy'")
    assert "The same in all" in mass._repr_html_()
    assert "metric relevance_mass_accuracy" in mass._repr_html_()
    few = scores[["method", "region", "value"]]
    assert few._repr_html_() == pd.DataFrame(few)._repr_html_()
    assert scores.iloc[:1]._repr_html_() == pd.DataFrame(scores.iloc[:1])._repr_html_()
    hostile = scores.assign(pair_id=HOSTILE, region=[HOSTILE, *scores["region"][1:]])
    assert "<script" not in hostile._repr_html_()


def test_jupyter_is_told_not_to_typeset_what_stands_between_dollars(explored):
    for item in (explored, explored.maps[0], explored.scores()):
        assert item._repr_html_().startswith('<div class="mathjax_ignore')


# --- small pieces


def test_pictures_become_smaller_until_they_fit():
    figure = Figure(figsize=(6, 2.2))
    noise = np.random.default_rng(0).random((600, 600))
    figure.add_axes((0, 0, 1, 1)).imshow(noise, interpolation="nearest")
    free, bound = html.png_of(figure), html.png_of(figure, limit=html.REPR_BYTES)
    assert len(free) > html.REPR_BYTES >= len(bound)
    assert html.png_of(figure) == free


def test_tables_escape_their_cells_and_heads():
    text = html.table([HOSTILE], [[HOSTILE, HOSTILE]], HOSTILE) + html.facts({HOSTILE: HOSTILE})
    text += html.image(b"", HOSTILE) + html.card(HOSTILE)
    assert "<script" not in text
    assert 'alt="&lt;script&gt;' in text
