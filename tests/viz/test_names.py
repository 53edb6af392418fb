from xrano.attribution.baselines import BASELINES, REFERENCES
from xrano.attribution.method_table import METHODS
from xrano.viz.names import BASELINE_NAMES, METHOD_NAMES, method_name
from xrano.viz.overlap_figure import REFERENCE_METHODS


def test_every_method_baseline_and_reference_map_has_a_name_on_pictures():
    assert {*METHODS, *REFERENCE_METHODS} <= set(METHOD_NAMES)
    assert {*BASELINES, *REFERENCES} <= set(BASELINE_NAMES)
    assert len(set(METHOD_NAMES.values())) == len(METHOD_NAMES)


def test_what_has_no_name_is_shown_as_it_is():
    assert method_name("captum.LRP:zero@layer4") == "captum.LRP, zero, layer4"
