"""How much of a logit is due to the images, and how much to each clinical variable.

Integrated gradients of two inputs (equal to Captum's) along the straight path from (reference
image, zero clinical vector) to the pair. Numbers are standardised, so the zero vector is their
training mean, neither of both categories, and nothing missing. Signed relevances are complete:

``F(x, c) − F(x', 0) = image + Σ variables`` (up to ``convergence_delta``).

Two ways to turn them into shares of images and variables that add up to 1:

* ``absolute``: absolute relevances of all voxels and all variables. Voxels of opposite sign do not
  cancel, so **the images' share grows with the number of voxels**: compare it between pairs on one
  grid, never with the share of a variable as if both were one input.
* ``total``: the images' signed sum counts as one input beside each variable. It does not depend on
  the grid, but images that speak for and against a class in equal parts count as nothing.

The clinical vector moves along the path together with the images, so the images' part is not the
map of a network whose clinical data are held (:mod:`xrano.models.clinical_fusion`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol, cast

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from xrano.attribution.baselines import make_baseline
from xrano.attribution.memory import chunk_size, graph_bytes, most_points
from xrano.attribution.methods import AttributionSettings
from xrano.attribution.model_state import explaining, require_explainable, require_logits
from xrano.attribution.pass_estimate import recomputing
from xrano.attribution.pass_memory import pass_memory
from xrano.errors import ConfigError, ModelError, UnknownNameError

IMAGE = "image"
"""The name under which shares list the images, beside the variables."""

SHARES = ("absolute", "total")
"""Ways to make shares of relevances."""


class _Fused(Protocol):
    clinical: tuple[str, ...]


@dataclass(frozen=True)
class ClinicalRelevance:
    """What images and clinical variables add to one logit, in logits.

    ``image`` is the signed sum over voxels and channels, ``image_absolute`` the sum of absolute
    values; ``variables`` the signed relevance of each, value and missingness together;
    ``convergence_delta`` the sum of all relevances minus the change of the logit.
    """

    target: int
    image: float
    image_absolute: float
    variables: Mapping[str, float]
    convergence_delta: float

    @property
    def relevances(self) -> dict[str, float]:
        """Signed relevances, the images' first."""
        return {IMAGE: self.image, **self.variables}

    def shares(self, kind: str = "absolute") -> dict[str, float]:
        """Shares of the images and of each variable, which add up to 1; NaN if nothing matters.

        Args:
            kind: ``absolute`` or ``total``, as the module says.

        Raises:
            UnknownNameError: for another kind.

        Example:
            >>> found = ClinicalRelevance(0, 1.0, 6.0, {"age": -2.0, "sex": 0.0}, 0.0)
            >>> found.shares("absolute")
            {'image': 0.75, 'age': 0.25, 'sex': 0.0}
            >>> round(found.shares("total")["age"], 3)
            0.667
        """
        if kind not in SHARES:
            raise UnknownNameError("kind of share", kind, SHARES)
        sizes = {name: abs(value) for name, value in self.relevances.items()}
        if kind == "absolute":
            sizes[IMAGE] = self.image_absolute
        whole = math.fsum(sizes.values())
        return {name: size / whole if whole else math.nan for name, size in sizes.items()}


def clinical_relevance(
    model: nn.Module,
    inputs: Tensor,
    clinical: Tensor,
    targets: Sequence[int] | None = None,
    *,
    brain: Tensor,
    baseline: str = "zero",
    settings: AttributionSettings | None = None,
) -> tuple[Tensor, list[ClinicalRelevance]]:
    """Relevance of images and clinical variables of one pair.

    Args:
        model: a network that is called with (images, clinical vectors) and names its variables in
            ``clinical``; its mode and gradients are afterwards as before.
        inputs: ``(1, channel, i, j, k)``; not changed.
        clinical: ``(1, 2 · variables)``, value and missingness side by side; not changed.
        targets: class indices; all classes if not given.
        brain: boolean ``(i, j, k)``, for baselines that need it.
        baseline: reference image, a name in :data:`xrano.attribution.baselines.BASELINES`.
        settings: steps of the integral and memory for the graph of a chunk of them.

    Returns:
        The logits ``(num_classes,)`` and one :class:`ClinicalRelevance` a target.

    Raises:
        ModelError: if the network sees no clinical data, they do not fit it, or its logits are
            unusable.
        ConfigError: for a target that there is not, or a budget too small for one pass.
        UnknownNameError: for an unknown baseline.
    """
    settings = settings or AttributionSettings()
    protocol = require_explainable(model)
    variables = _variables(model, clinical)
    targets = range(protocol.num_classes) if targets is None else targets
    for target in targets:
        if not 0 <= target < protocol.num_classes:
            raise ConfigError(f"target {target} is not one of the {protocol.num_classes} classes")
    ends = (inputs.detach(), clinical.detach())
    starts = (make_baseline(baseline, ends[0], protocol.layout, brain), torch.zeros_like(ends[1]))

    i, j, k = inputs.shape[2:]
    memory = pass_memory(model, (i, j, k), settings.memory_bytes, beside=(clinical,))
    memory.require_fit("clinical relevance")
    with explaining(model), recomputing(model) if memory.recompute else nullcontext():
        at_once = (
            1
            if memory.recompute
            else settings.chunk or most_points(inputs.device, inputs[0, 0].numel())
        )
        by_input = _integrate(model, ends, starts, targets, settings, at_once)
        with torch.no_grad():
            # One by one: a batch of two would cost the memory that the chunk was chosen to save.
            end = _logits(model, *ends)[0]
            begin = _logits(model, *starts)[0]
    changes = (end.double() - begin.double()).tolist()
    found = [
        _relevance(target, *parts, variables, changes[target]) for target, parts in by_input.items()
    ]
    return end, found


Inputs = tuple[Tensor, Tensor]
"""Images ``(step, channel, i, j, k)`` and clinical vectors ``(step, 2 · variables)``."""


def captum_relevance(
    model: nn.Module, ends: Inputs, starts: Inputs, target: int, n_steps: int
) -> Inputs:
    """The same integrals by Captum, one class at a time, one step a forward."""
    method = captum.attr.IntegratedGradients(model)
    image, vector = method.attribute(
        ends, baselines=starts, target=target, n_steps=n_steps, internal_batch_size=1
    )
    return image.detach(), vector.detach()


def _integrate(
    model: nn.Module,
    ends: Inputs,
    starts: Inputs,
    targets: Sequence[int],
    settings: AttributionSettings,
    at_once: int,
) -> dict[int, Inputs]:
    """Relevances of every voxel and column by target; a step's forward serves all targets."""
    nodes, node_weights = np.polynomial.legendre.leggauss(settings.n_steps)
    alphas, weights = (torch.as_tensor(part / 2) for part in (nodes + 1, node_weights))
    totals = {target: (torch.zeros_like(ends[0]), torch.zeros_like(ends[1])) for target in targets}
    with graph_bytes() as graph:
        _accumulate(model, ends, starts, alphas[:1], weights[:1], totals)
    chunk = min(chunk_size(settings.memory_bytes, graph.total), at_once)
    for start in range(1, settings.n_steps, chunk):
        part = slice(start, start + chunk)
        _accumulate(model, ends, starts, alphas[part], weights[part], totals)
    return {
        target: (slopes[0] * (ends[0] - starts[0]), slopes[1] * (ends[1] - starts[1]))
        for target, slopes in totals.items()
    }


def _accumulate(
    model: nn.Module,
    ends: Inputs,
    starts: Inputs,
    alphas: Tensor,
    weights: Tensor,
    totals: Mapping[int, Inputs],
) -> None:
    """Add the weighted gradients at some points of the path."""

    def along(steps: Tensor, like: Tensor) -> Tensor:
        return steps.to(like).view(-1, *(1,) * (like.ndim - 1))

    points = [
        (start + along(alphas, start) * (end - start)).requires_grad_(True)
        for end, start in zip(ends, starts, strict=True)
    ]
    logits = _logits(model, *points)
    for position, (target, sums) in enumerate(totals.items()):
        gradients = torch.autograd.grad(
            logits[:, target].sum(),
            points,
            retain_graph=position < len(totals) - 1,
            materialize_grads=True,
        )
        for total, gradient in zip(sums, gradients, strict=True):
            total += (along(weights, gradient) * gradient).sum(dim=0, keepdim=True)


def _logits(model: nn.Module, images: Tensor, vectors: Tensor) -> Tensor:
    # A network may work in place on what it is given, which a leaf does not allow.
    return require_logits(model(images.clone(), vectors.clone()), model, len(images))


def _relevance(
    target: int, image: Tensor, vector: Tensor, variables: Sequence[str], change: float
) -> ClinicalRelevance:
    image = image.detach().double()
    by_variable = vector.detach().double().reshape(len(variables), 2).sum(dim=1).tolist()
    total = float(image.sum())
    return ClinicalRelevance(
        target,
        total,
        float(image.abs().sum()),
        dict(zip(variables, by_variable, strict=True)),
        total + math.fsum(by_variable) - change,
    )


def _variables(model: nn.Module, clinical: Tensor) -> tuple[str, ...]:
    """The names of the network's variables, if the vector is of them.

    Raises:
        ModelError: if there are none, or the vector has another shape or is not finite.
    """
    variables = cast(_Fused, model).clinical if hasattr(model, "clinical") else ()
    if not variables:
        raise ModelError(
            f"{type(model).__name__} sees images alone (it names no variables in ``clinical``), so "
            "nothing can be shared out between images and clinical data"
        )
    if tuple(clinical.shape) != (1, 2 * len(variables)) or not torch.isfinite(clinical).all():
        raise ModelError(
            f"a clinical vector of shape (1, {2 * len(variables)}) and finite numbers is needed "
            f"for {', '.join(variables)}; got shape {tuple(clinical.shape)}: {clinical.tolist()}"
        )
    return variables
