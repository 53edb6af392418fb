"""What the scans look like where something is taken away.

A zero is no absence: after normalisation it is the mean of healthy tissue. Two infills stay
closer to scans that a network has seen, and answer different questions: ``blurred`` takes the
detail away, ``prior`` takes the *change* away, since what is hidden looks as it did before. A map
that holds under one infill alone is a finding about that infill.
"""

from __future__ import annotations

from torch import Tensor

from xrano.attribution.baselines import blurred, prior
from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, UnknownNameError
from xrano.faithfulness.prediction import check_scans

__all__ = ["BLUR_MM", "INFILLS", "infill"]

INFILLS: tuple[str, ...] = ("blurred", "prior")
"""Infills by name."""

BLUR_MM = 16.0
"""Standard deviation of ``blurred``: it leaves a quarter of a 20 ml tumour's contrast at its
centre, where one of 4 mm would leave the tumour as it is."""


def infill(
    inputs: Tensor,
    layout: ChannelLayout,
    brain: Tensor,
    name: str,
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    blur_mm: float = BLUR_MM,
) -> Tensor:
    """A whole pair as if everything in it had been taken away.

    Args:
        inputs: (channel, i, j, k), left as they are.
        layout: which channel is which.
        brain: (i, j, k) boolean.
        name: ``blurred``: each channel is a Gaussian mean of the brain's voxels around (normalised
            convolution, Knutsson and Westin, CVPR 1993). ``prior``: the current channels take the
            prior scan's values; the prior channels stay.
        spacing: of the voxels along i, j, k, in mm; only ``blurred`` needs it.
        blur_mm: standard deviation of ``blurred``, in mm; 0 blurs nothing.

    Returns:
        (channel, i, j, k); ``blurred`` is equal to the scans outside of the brain.

    Raises:
        UnknownNameError: for an unknown infill; the message lists them.
        ConfigError: if the layout has another number of channels, or lengths are not positive.
        GridMismatchError, VolumeError: if scans and brain do not fit.

    Example:
        >>> import torch
        >>> pair = torch.tensor([1.0, 5.0]).view(2, 1, 1, 1)
        >>> brain = torch.ones(1, 1, 1, dtype=torch.bool)
        >>> infill(pair, ChannelLayout(("T1",)), brain, "prior").flatten().tolist()
        [1.0, 1.0]
    """
    if name not in INFILLS:
        raise UnknownNameError("infill", name, INFILLS)
    check_scans(inputs, brain)
    if len(inputs) != len(layout):
        raise ConfigError(f"the scans have {len(inputs)} channels, the layout {len(layout)}")
    if name == "prior":
        return prior(inputs[None], layout, brain)[0]
    if blur_mm < 0 or min(spacing) <= 0:
        raise ConfigError(f"lengths in mm are positive, got blur {blur_mm} and spacing {spacing}")
    voxels = tuple(blur_mm / size for size in spacing)
    # Wide kernels have small weights, which float32 adds up roughly.
    return blurred(inputs.detach().double()[None], layout, brain, voxels)[0].to(inputs)
