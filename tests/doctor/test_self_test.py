"""The self-test must pass here, and fail where left is not left or a gradient is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from xrano.doctor import self_test as module
from xrano.doctor.self_test import CENTRE_MM, SPACING_MM, ChangeNetwork, self_test
from xrano.geometry import Grid, to_ras


def test_it_passes_and_leaves_nothing(tmp_path: Path):
    before = torch.random.get_rng_state()
    found = self_test(tmp_path)
    assert found.trouble == ""
    assert np.abs(np.subtract(found.centre_mm, CENTRE_MM)).max() < min(SPACING_MM) / 2
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(before, torch.random.get_rng_state())


def test_left_taken_for_right_is_found(monkeypatch):
    def mirrored(data, affine):
        turned, grid = to_ras(data, affine)
        return np.ascontiguousarray(turned[::-1]), grid

    monkeypatch.setattr(module, "to_ras", mirrored)
    found = self_test()
    assert "on the right" in found.trouble
    assert found.centre_mm[0] > 20


def test_an_affine_that_is_lost_is_found(monkeypatch):
    def lost(data, affine):
        turned, grid = to_ras(data, affine)
        return turned, Grid(grid.shape, np.eye(4))

    monkeypatch.setattr(module, "to_ras", lost)
    assert "mm off" in self_test().trouble


@pytest.mark.parametrize("factor", [1.01, 0.0])
def test_a_wrong_gradient_is_found(monkeypatch, factor: float):
    forward = ChangeNetwork.forward
    monkeypatch.setattr(ChangeNetwork, "forward", lambda self, scans: factor * forward(self, scans))
    assert self_test().trouble
