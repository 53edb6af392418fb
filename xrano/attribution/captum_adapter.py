"""Any other method of Captum's, as it stands: one target after the other, nothing shared.

``captum.Deconvolution``, ``captum.LRP``, ``captum.LayerGradientXActivation``, … What Captum's
class needs (a baseline, a layer) is given; everything else is its default. Its draws come from the
seed.
"""

from __future__ import annotations

import inspect
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import captum.attr
import torch
from torch import Tensor, nn

from xrano.attribution.baselines import PATHS
from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question
from xrano.attribution.model_state import run
from xrano.errors import ModelError, UnknownNameError, is_out_of_memory

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work

PREFIX = "captum."

_GRADIENTS = frozenset({"Saliency", "GuidedBackprop", "Deconvolution"})
"""Captum's classes whose maps are gradients by the input."""


def adapted(work: Work, request: MethodRequest, *, name: str) -> list[Attribution]:
    """The maps of one of Captum's classes."""
    explained = _Explained(work)
    layers = work.layers[request.method] or (None,)
    found = []
    for layer in layers:
        for row, target in enumerate(work.targets):
            # Inside `explaining`, which restores the global state that Captum draws from.
            torch.manual_seed(work.settings.seed)
            values = _call(work, request, explained, name, layer, row)
            coarse = layer is not None
            found.append(
                work.result(
                    request,
                    target,
                    values,
                    layer=layer,
                    grid_layer=layer if coarse else None,
                    details={"by": f"captum.attr.{name}"},
                )
            )
    return found


class _Explained(nn.Module):
    """The network with one output a target."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.network = work.model
        self._objective = work.objective

    def forward(self, inputs: Tensor) -> Tensor:
        return self._objective.values(run(self.network, inputs))


def _call(
    work: Work,
    request: MethodRequest,
    explained: _Explained,
    name: str,
    layer: str | None,
    row: int,
) -> Tensor:
    kind = getattr(captum.attr, name)
    modules = dict(work.model.named_modules())
    method = kind(explained) if layer is None else kind(explained, modules[layer])
    options: dict[str, Any] = {}
    if request.baseline:
        options["baselines"] = work.baseline(request.baseline)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = method.attribute(work.inputs.clone(), target=row, **options)
    except (RuntimeError, AssertionError, AttributeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"Captum's {name} does not fit this {type(work.model).__name__}: {error}; saliency and "
            "ig fit any network"
        ) from error
    return _as_map(found, name, coarse=layer is not None)


def _as_map(found: object, name: str, *, coarse: bool) -> Tensor:
    if isinstance(found, tuple) and len(found) == 1:
        found = found[0]
    if not isinstance(found, Tensor) or found.ndim != 5:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ModelError(f"Captum's {name} gave {shape}, not a map (1, channel, i, j, k)")
    values = found[0].detach()
    return values.sum(dim=0, keepdim=True) if coarse else values


def captum_spec(method: str) -> MethodSpec:
    """The row of ``captum.NAME``.

    Raises:
        UnknownNameError: if Captum has no such class of one network's input or layer.
    """
    name = method.removeprefix(PREFIX)
    known = _known()
    if name not in known:
        raise UnknownNameError("method of Captum", name, known)
    kind = getattr(captum.attr, name)
    uses_layer = name.startswith("Layer")
    parameters = inspect.signature(kind.attribute).parameters
    return MethodSpec(
        f"Captum's {name}",
        "Kokhlikyan et al. 2020, arXiv:2009.07896",
        partial(adapted, name=name),
        captum=name,
        local=name in _GRADIENTS,
        uses_layer=uses_layer,
        coarse=uses_layer,
        baselines=PATHS if "baselines" in parameters else (),
        settings=("seed", *(("layer",) if uses_layer else ())),
        stochastic=True,
        fits="what Captum's class fits",
        graphs=1,
        recomputes=False,
        passes=_passes,
    )


def _known() -> tuple[str, ...]:
    base = captum.attr.Attribution
    return tuple(
        name
        for name in captum.attr.__all__
        if inspect.isclass(kind := getattr(captum.attr, name))
        and issubclass(kind, base)
        and not name.startswith(("Neuron", "Internal"))
        and not name.endswith("Attribution")
    )


def _passes(question: Question) -> Passes:
    # How many a class of Captum's makes is its own affair; this is the least.
    return Passes(question.targets, question.targets)
