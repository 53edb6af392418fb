"""References of the data set, and regions to hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xrano.data.label_schemes import region_mask
from xrano.data.pair_volumes import load_pair
from xrano.errors import ManifestError
from xrano.experiments.dataset_references import dataset_references
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.pair_regions import OUTSIDE, REST, pair_regions
from xrano.training.run import Run
from xrano.training.train_run import train_run

METHODS = ("gradient_shap", "ig:training_mean", "ig:another", "saliency")


@pytest.fixture(scope="module")
def references(tiny_run: Run):
    return dataset_references(tiny_run, 0, METHODS)


def inputs_of(run: Run, pair_id: str):
    return load_pair(run.store, run.pair(pair_id), run.layout).inputs


def test_only_what_some_method_needs_is_made(tiny_run: Run, references):
    assert set(references) == {"training", "training_mean", "another"}
    assert dataset_references(tiny_run, 0, ("saliency", "ig:prior")) == {}
    assert set(dataset_references(tiny_run, 0, ("ig:another",))) == {"another"}


def test_they_come_from_training_pairs_of_the_fold_alone(tiny_run: Run, references):
    training = tiny_run.training_pairs(0)
    known = {pair: inputs_of(tiny_run, pair) for pair in training["pair_id"]}
    stack = np.stack(list(known.values())).astype(np.float64)
    np.testing.assert_allclose(references["training_mean"], stack.mean(axis=0), atol=1e-5)
    for drawn in references["training"]:
        assert any(np.array_equal(drawn, own) for own in known.values())
    stable = set(training[training["response"] == "SD"]["pair_id"])
    chosen = [pair for pair, own in known.items() if np.array_equal(references["another"], own)]
    assert set(chosen) & stable


def test_they_repeat_and_another_seed_draws_others(tiny_run: Run, references):
    again = dataset_references(tiny_run, 0, METHODS)
    for name, values in references.items():
        np.testing.assert_array_equal(again[name], values)
    other = dataset_references(tiny_run, 0, ("gradient_shap",), seed=5)
    assert not np.array_equal(other["training"], references["training"])


def test_an_untrained_run_has_none(untrained_config, tmp_path):
    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    with pytest.raises(ManifestError, match="an untrained run is explained with"):
        dataset_references(run, 0, ("ig:another",))


def test_a_run_explains_by_methods_that_need_data_and_regions(tiny_run: Run):
    methods = ("ig:training_mean", "occlusion_regions", "shapley_regions")
    record = tiny_run.tested_pairs().iloc[0].to_dict()
    explainers = explainers_by_fold(tiny_run, [record], methods, None)
    (explainer,) = explainers.values()
    found = explainer.explain(load_pair(tiny_run.store, record, tiny_run.layout))
    assert [one.meta["method"] for one in found.maps] == ["ig", *methods[1:]]
    players = found.maps[2].meta["players"]
    assert "current enhancing" in players
    assert f"prior {REST}" in players


# --- regions


@pytest.fixture(scope="module")
def pair(tiny_run: Run):
    record = tiny_run.pairs().iloc[0].to_dict()
    return load_pair(tiny_run.store, record, tiny_run.layout)


def test_parts_cover_the_grid_and_do_not_overlap(pair):
    regions = pair_regions(pair)
    labels = regions.labels.numpy()
    (source,) = pair.segmentations
    prior, current, scheme = pair.segmentations[source]

    def either(region):
        inside = region_mask(prior, scheme, region) | region_mask(current, scheme, region)
        return inside & pair.brain

    by_name = {name: labels == value for value, name in regions.names.items()}
    np.testing.assert_array_equal(by_name["enhancing"], either("enhancing"))
    np.testing.assert_array_equal(by_name["necrosis"], either("core") & ~either("enhancing"))
    np.testing.assert_array_equal(by_name["oedema"], either("whole") & ~either("core"))
    np.testing.assert_array_equal(by_name[OUTSIDE], ~pair.brain)
    np.testing.assert_array_equal(by_name[REST], pair.brain & ~either("whole"))
    assert sum(np.count_nonzero(mask) for mask in by_name.values()) == labels.size


def test_a_pair_without_segmentation_of_both_scans_has_no_regions(pair):
    (source,) = pair.segmentations
    prior, _, scheme = pair.segmentations[source]
    with pytest.raises(ManifestError, match="no segmentation"):
        pair_regions(replace(pair, segmentations={source: (prior, None, scheme)}))
    with pytest.raises(ManifestError, match="no segmentation hdglio"):
        pair_regions(pair, "hdglio")


def test_only_methods_that_hide_regions_need_a_segmentation(tiny_run: Run):
    record = tiny_run.pair(tiny_run.predictions["pair_id"].iloc[0])
    bare = replace(load_pair(tiny_run.store, record, tiny_run.layout), segmentations={})
    (plain,) = explainers_by_fold(tiny_run, [record], ("saliency", "occlusion"), None).values()
    assert len(plain.explain(bare).maps) == 2
    (hiding,) = explainers_by_fold(tiny_run, [record], ("occlusion_regions",), None).values()
    with pytest.raises(ManifestError, match="no segmentation"):
        hiding.explain(bare)
