"""The order of the channels, and what a network must offer."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from xrano.channels import KNOWN_SEQUENCES, Channel, ChannelLayout, ExplainableModel, Timepoint
from xrano.errors import ConfigError, UnknownNameError

LAYOUT = ChannelLayout(("FLAIR", "T1", "ADC"))


def test_the_prior_scan_comes_first_in_the_order_given():
    assert LAYOUT.names == (
        "prior_FLAIR",
        "prior_T1",
        "prior_ADC",
        "current_FLAIR",
        "current_T1",
        "current_ADC",
    )
    assert len(LAYOUT) == len(LAYOUT.channels) == 6
    assert LAYOUT.channels[4] == Channel(Timepoint.CURRENT, "T1")


def test_index_and_name_agree_for_every_channel():
    for timepoint, sequence in itertools.product(("prior", "current"), LAYOUT.sequences):
        index = LAYOUT.index(timepoint, sequence)
        assert LAYOUT.names[index] == f"{timepoint}_{sequence}"
        assert LAYOUT.select(timepoint=timepoint, sequence=sequence) == (index,)


def test_select():
    assert LAYOUT.select(timepoint="prior") == (0, 1, 2)
    assert LAYOUT.select(timepoint=Timepoint.CURRENT) == (3, 4, 5)
    assert LAYOUT.select(sequence="T1") == (1, 4)
    assert LAYOUT.select() == (0, 1, 2, 3, 4, 5)


def test_any_sequence_of_strings_gives_the_same_layout():
    assert ChannelLayout(list(KNOWN_SEQUENCES)) == ChannelLayout(KNOWN_SEQUENCES)
    assert hash(ChannelLayout(["T1"])) == hash(ChannelLayout(("T1",)))
    assert ChannelLayout(("T1", "T2")) != ChannelLayout(("T2", "T1"))


@pytest.mark.parametrize("sequences", [(), ("T1", "T2", "T1")])
def test_each_sequence_once(sequences):
    with pytest.raises(ConfigError, match="each sequence once"):
        ChannelLayout(sequences)


def test_one_bare_name_is_not_a_list_of_letters():
    with pytest.raises(ConfigError, match="list of sequences, got 'CT1'"):
        ChannelLayout("CT1")


def test_unknown_names_list_the_choices():
    with pytest.raises(UnknownNameError, match=r"did you mean 'FLAIR'.*ADC, FLAIR, T1"):
        LAYOUT.index("prior", "FLAIRE")
    with pytest.raises(UnknownNameError, match="current, prior"):
        LAYOUT.select(timepoint="baseline")


def test_the_protocol_asks_for_three_attributes():
    offered = {"layout": LAYOUT, "num_classes": 4, "cam_layers": ()}
    assert isinstance(SimpleNamespace(**offered), ExplainableModel)
    for name in offered:
        rest = {key: value for key, value in offered.items() if key != name}
        assert not isinstance(SimpleNamespace(**rest), ExplainableModel)
