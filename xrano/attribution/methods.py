"""The one call that computes several methods for several targets, sharing passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from xrano.attribution.method_spec import Attribution, CamFunction, MethodSpec
from xrano.attribution.method_table import METHODS, spec_of
from xrano.attribution.model_state import (
    explaining,
    require_explainable,
    require_inputs,
    unwrapped,
)
from xrano.attribution.pass_estimate import recomputing
from xrano.attribution.pass_memory import PassMemory, cam_modules, plan_memory
from xrano.attribution.plan import resolve_layers
from xrano.attribution.requests import MethodRequest
from xrano.attribution.settings import AttributionSettings
from xrano.attribution.shared_pass import LayerUse, shared_pass
from xrano.attribution.targets import Contrast, Objective, TargetLike, check_targets
from xrano.attribution.work import PlaceOf, Regions, Work

__all__ = [
    "METHODS",
    "Attribution",
    "AttributionSettings",
    "Contrast",
    "MethodRequest",
    "MethodSpec",
    "Regions",
    "TargetLike",
    "attribute",
    "spec_of",
]


def attribute(
    model: nn.Module,
    inputs: Tensor,
    requests: Sequence[MethodRequest],
    targets: Sequence[TargetLike] | None,
    *,
    brain: Tensor,
    settings: AttributionSettings | None = None,
    references: Mapping[str, Tensor] | None = None,
    regions: Regions | None = None,
    place_of: PlaceOf | None = None,
    memory: PassMemory | None = None,
) -> tuple[Tensor, list[Attribution]]:
    """Explain one pair by several methods for several targets, sharing passes.

    Args:
        model: a network that meets :class:`xrano.channels.ExplainableModel`, compiled or wrapped
            or not; its mode, gradients and hooks are afterwards as before.
        inputs: ``(1, channel, i, j, k)`` on the network's device; not changed.
        requests: the methods.
        targets: class indices and contrasts; the predicted class alone if ``None``.
        brain: boolean ``(i, j, k)``, for baselines and supervoxels.
        settings: of the methods.
        references: baselines of the data set, as in
            :func:`xrano.attribution.baselines.make_baseline`.
        regions: for methods that hide the regions of a segmentation.
        place_of: where the cells of a layer lie, by its name, for maps that are made of several
            grids; without it they are stretched over each other.
        memory: what a pass takes; estimated, once for scans of one size, if not given.

    Returns:
        The logits ``(num_classes,)`` and one :class:`Attribution` a request, layer and target, in
        that order.

    Raises:
        ModelError: if the network does not meet the protocol, gives unusable logits, or a method
            does not fit it; the message says why and what fits.
        ConfigError: for no target, one out of range, a reference that is missing or misshapen, or
            a memory budget that is too small for one pass.
        UnknownNameError: for an unknown layer.
    """
    settings = settings or AttributionSettings()
    model = unwrapped(model)
    protocol = require_explainable(model)
    require_inputs(model, inputs)
    if targets is not None:
        check_targets(targets, protocol.num_classes)
    layers = resolve_layers(model, requests, settings)
    if memory is None:
        i, j, k = inputs.shape[2:]
        memory = plan_memory(model, (i, j, k), requests, layers, settings)
    memory.require(requests)

    def objective_of(logits: Tensor) -> Objective:
        chosen = [int(logits[0].detach().argmax())] if targets is None else targets
        return Objective(list(dict.fromkeys(chosen)), protocol.num_classes, settings.output)

    with ExitStack() as stack:
        stack.enter_context(explaining(model, precision=settings.precision))
        if memory.recompute:
            stack.enter_context(recomputing(model, cam_modules(model, requests, layers)))
        shared = shared_pass(
            model,
            inputs,
            objective_of,
            by_input=any(request.spec.by_input for request in requests),
            layers=_layer_uses(model, requests, layers),
        )
        work = Work(
            model,
            protocol.layout,
            inputs.detach(),
            brain.to(inputs.device, torch.bool),
            settings,
            shared,
            layers,
            references or {},
            regions,
            place_of,
            memory.recompute,
            memory.kept or None,
        )
        results = [found for request in requests for found in request.spec.compute(work, request)]
    if targets is not None and len(set(targets)) < len(targets):
        results = _repeated(results, targets)
    return shared.logits[0], results


def _layer_uses(
    model: nn.Module, requests: Sequence[MethodRequest], layers: Mapping[str, tuple[str, ...]]
) -> list[LayerUse]:
    """Each layer once, with the maps that the requests make of it."""
    modules = dict(model.named_modules())
    cams: dict[str, dict[CamFunction, None]] = {}
    often: dict[str, bool] = {}
    for request in requests:
        if not request.spec.cams:
            continue
        for name in layers[request.method]:
            cams.setdefault(name, {}).update(dict.fromkeys(request.spec.cams))
            often[name] = often.get(name, True) and request.spec.token_layers
    return [LayerUse(name, modules[name], tuple(cams[name]), often[name]) for name in cams]


def _repeated(results: Sequence[Attribution], targets: Sequence[TargetLike]) -> list[Attribution]:
    """A target that was asked for twice is given twice."""
    each = len(set(targets))
    groups = [results[start : start + each] for start in range(0, len(results), each)]
    return [
        found for group in groups for target in targets for found in group if found.target == target
    ]
