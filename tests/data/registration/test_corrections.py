from __future__ import annotations

import numpy as np
import pytest
from moved_head import head

from xrano.data.registration.corrections import correct_bias, denoise
from xrano.errors import GridMismatchError, VolumeError


def test_a_smooth_field_is_taken_out(capfd: pytest.CaptureFixture[str]):
    # Two tissues in a head: what is left after dividing by the truth is the field's remainder.
    session = head(2)
    truth = np.where(session.brain, 100.0, 0.0).astype(np.float32)
    truth[session.brain & (np.indices(truth.shape).sum(axis=0) % 3 == 0)] = 160.0
    i, j, k = (np.linspace(-1, 1, size) for size in truth.shape)
    field = np.exp(0.3 * i[:, None, None] - 0.2 * j[None, :, None] ** 2 + 0.25 * k)
    spoiled = (truth * field).astype(np.float32)

    def unevenness(values: np.ndarray) -> float:
        ratio = values[session.brain] / truth[session.brain]
        return float(ratio.std() / ratio.mean())

    corrected = correct_bias(spoiled, session.grid, session.brain)
    assert capfd.readouterr() == ("", "")
    assert corrected.dtype == np.float32
    assert unevenness(spoiled) > 0.1
    assert unevenness(corrected) < 0.4 * unevenness(spoiled)
    assert not corrected[truth == 0].any()


def test_noise_goes_where_the_mask_is_and_nowhere_else(capfd: pytest.CaptureFixture[str]):
    session = head(2)
    truth = np.where(session.brain, 100.0, 50.0).astype(np.float32)
    noise = np.random.default_rng(6).normal(0, 5, truth.shape).astype(np.float32)
    smooth = denoise(truth + noise, session.grid, session.brain)
    assert capfd.readouterr() == ("", "")
    assert (smooth - truth)[session.brain].std() < 0.6 * noise[session.brain].std()
    np.testing.assert_array_equal(smooth[~session.brain], (truth + noise)[~session.brain])


def test_negative_voxels_and_no_mask_are_fine():
    session = head(2)
    data = session.images["T1"] - np.float32(5)
    assert np.isfinite(correct_bias(data, session.grid)).all()
    assert np.isfinite(denoise(data, session.grid)).all()


def test_what_cannot_be_corrected_is_refused():
    session = head(2)
    with pytest.raises(VolumeError, match="nothing to correct"):
        correct_bias(-session.images["T1"], session.grid, session.brain)
    with pytest.raises(GridMismatchError, match="must have one shape"):
        denoise(session.images["T1"], session.grid, session.brain[1:])
