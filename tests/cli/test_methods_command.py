"""What ``xrano methods`` prints."""

from __future__ import annotations

import pytest

from xrano.attribution.method_table import METHODS
from xrano.cli import methods_command
from xrano.errors import UnknownNameError


def test_a_line_for_every_method():
    lines = methods_command.run().text.splitlines()
    assert [line.split()[0] for line in lines[1 : len(METHODS) + 1]] == list(METHODS)
    assert any("blurred" in line and "prior" in line for line in lines)
    assert any("captum.Deconvolution" in line for line in lines)


@pytest.mark.parametrize("method", [*METHODS, "captum.Deconvolution"])
def test_all_of_one_method(method):
    text = methods_command.run(method).text
    assert text.startswith(f"{method}: ")
    assert "fits: " in text


def test_an_unknown_method():
    with pytest.raises(UnknownNameError, match="mean 'gradcam'"):
        methods_command.run("grad_cam")
