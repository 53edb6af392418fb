"""Reference inputs ("baselines") that integrated gradients start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from xrano.channels import ChannelLayout, Timepoint
from xrano.errors import UnknownNameError


def zero(inputs: Tensor, layout: ChannelLayout, brain: Tensor) -> Tensor:  # noqa: ARG001
    """All zeros. After z-scoring that is the mean of healthy tissue, not "no signal"."""
    return torch.zeros_like(inputs)


def brain_mean(inputs: Tensor, layout: ChannelLayout, brain: Tensor) -> Tensor:  # noqa: ARG001
    """Every brain voxel at its channel's mean over the brain; outside as in the scan."""
    inside = brain.to(inputs.dtype)
    mean = (inputs * inside).sum(dim=(2, 3, 4), keepdim=True) / inside.sum().clamp(min=1)
    return torch.where(brain, mean.expand_as(inputs), inputs)


def prior(inputs: Tensor, layout: ChannelLayout, brain: Tensor) -> Tensor:  # noqa: ARG001
    """The prior scan in the place of the current one as well: "no change".

    What is attributed is the change; the prior channels' share is zero by construction, and the
    map sums to F(prior, current) − F(prior, prior).
    """
    baseline = inputs.clone()
    before = list(layout.select(timepoint=Timepoint.PRIOR))
    baseline[:, list(layout.select(timepoint=Timepoint.CURRENT))] = inputs[:, before]
    return baseline


BASELINES: Mapping[str, Callable[[Tensor, ChannelLayout, Tensor], Tensor]] = {
    "zero": zero,
    "brain_mean": brain_mean,
    "prior": prior,
}


def make_baseline(name: str, inputs: Tensor, layout: ChannelLayout, brain: Tensor) -> Tensor:
    """The baseline of one name, of the shape of the inputs ``(1, channel, i, j, k)``.

    Args:
        name: ``zero``, ``brain_mean`` or ``prior``.
        inputs: the scans to explain.
        layout: which channel is which.
        brain: boolean ``(i, j, k)``.

    Raises:
        UnknownNameError: if there is no such baseline; the message lists them.
    """
    if name not in BASELINES:
        raise UnknownNameError("baseline", name, BASELINES)
    return BASELINES[name](inputs, layout, brain)
