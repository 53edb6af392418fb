"""Reference inputs ("baselines") by name: what a method compares the scans with.

Some are made of the scans themselves; those of a data set reach the methods as tensors, under
their name. Beside a baseline the map of a complete method sums to F(scans) − F(baseline); from
``prior`` that is F(prior, current) − F(prior, prior): what the *change* does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from xrano.channels import ChannelLayout, Timepoint
from xrano.errors import ConfigError, UnknownNameError

BLUR_VOXELS = 4.0
"""Standard deviation of ``blurred`` unless another is given."""


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


def blurred(
    inputs: Tensor,
    layout: ChannelLayout,  # noqa: ARG001
    brain: Tensor,
    voxels: float | tuple[float, ...] = BLUR_VOXELS,
) -> Tensor:
    """Every brain voxel a Gaussian mean of brain voxels around it; outside as in the scan.

    ``voxels``: standard deviation, one for all axes or one for each.
    """
    voxels = voxels if isinstance(voxels, tuple) else (voxels,) * 3
    inside = brain.to(inputs.dtype)[None, None]
    sums = _smooth((inputs * inside).transpose(0, 1), voxels).transpose(0, 1)
    weights = _smooth(inside, voxels)
    tiny = torch.finfo(inputs.dtype).tiny
    return torch.where(brain, sums / weights.clamp(min=tiny), inputs)


def _smooth(volumes: Tensor, voxels: tuple[float, ...]) -> Tensor:
    """Gaussian smoothing of ``(n, 1, i, j, k)``, zeros beyond the edge."""
    for axis, sd in enumerate(voxels):
        if sd == 0:
            continue
        reach = max(1, round(4 * sd))
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sd) ** 2)
        kernel = (kernel / kernel.sum()).to(volumes)
        shape, padding = [1, 1, 1, 1, 1], [0, 0, 0]
        shape[2 + axis], padding[axis] = len(kernel), reach
        volumes = torch.nn.functional.conv3d(volumes, kernel.view(shape), padding=padding)
    return volumes


BASELINES: Mapping[str, Callable[[Tensor, ChannelLayout, Tensor], Tensor]] = {
    "zero": zero,
    "brain_mean": brain_mean,
    "blurred": blurred,
    "prior": prior,
}
"""Baselines that are made of the scans."""

REFERENCES: Mapping[str, str] = {
    "training_mean": "the mean over the training pairs",
    "another": "another patient's pair, of class SD",
    "training": "training pairs, from which GradientSHAP draws",
}
"""Baselines that the caller brings as tensors, and what each is."""

PATHS = (*BASELINES, "training_mean", "another")
"""Baselines of methods that compare with one input."""


def make_baseline(
    name: str,
    inputs: Tensor,
    layout: ChannelLayout,
    brain: Tensor,
    *,
    references: Mapping[str, Tensor] | None = None,
    blur: float = BLUR_VOXELS,
) -> Tensor:
    """The baseline of one name, of the shape of the inputs ``(1, channel, i, j, k)``.

    Args:
        name: a key of :data:`BASELINES` or :data:`REFERENCES`.
        inputs: the scans to explain.
        layout: which channel is which.
        brain: boolean ``(i, j, k)``.
        references: baselines of the data set, ``(channel, i, j, k)`` or ``(1, channel, i, j, k)``;
            ``training`` alone is ``(n, channel, i, j, k)``.
        blur: standard deviation of ``blurred``, in voxels.

    Returns:
        One baseline; of ``training`` all of them.

    Raises:
        UnknownNameError: if there is no such baseline; the message lists them.
        ConfigError: if a reference was not brought, or does not fit the scans.
    """
    if name == "blurred":
        return blurred(inputs, layout, brain, blur)
    if name in BASELINES:
        return BASELINES[name](inputs, layout, brain)
    if name not in REFERENCES:
        raise UnknownNameError("baseline", name, (*BASELINES, *REFERENCES))
    if references is None or name not in references:
        raise ConfigError(
            f"baseline {name!r} ({REFERENCES[name]}) comes from the data set and was not given; "
            f"made of the scans themselves are {', '.join(BASELINES)}"
        )
    found = references[name].detach().to(inputs)
    found = found[None] if found.ndim == inputs.ndim - 1 else found
    alone = name == "training" or len(found) == 1
    if found.shape[1:] != inputs.shape[1:] or not alone or len(found) == 0:
        raise ConfigError(
            f"baseline {name!r} must have shape {tuple(inputs.shape)}, has {tuple(found.shape)}"
        )
    if not torch.isfinite(found).all():
        raise ConfigError(f"baseline {name!r} holds NaN or infinite values")
    return found
