"""The table of methods, and the one call that computes several of them for several classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from xrano.attribution.baselines import BASELINES, make_baseline
from xrano.attribution.class_gradients import class_gradients
from xrano.attribution.grad_cam import grad_cam
from xrano.attribution.integrated_gradients import integrated_gradients
from xrano.attribution.model_state import explaining, find_layer, require_explainable
from xrano.attribution.saliency import saliency
from xrano.errors import ConfigError, UnknownNameError


@dataclass(frozen=True)
class MethodSpec:
    """A row of the table.

    ``multiplicative`` methods scale with input − baseline and follow it even on an untrained
    network; ``uses_layer`` methods live on a feature grid; ``baselines`` are the reference inputs
    on offer, the default first.
    """

    title: str
    citation: str
    captum: str
    uses_layer: bool = False
    multiplicative: bool = False
    baselines: tuple[str, ...] = ()


METHODS: Mapping[str, MethodSpec] = {
    "saliency": MethodSpec("Saliency", "Simonyan et al. 2013, arXiv:1312.6034", "Saliency"),
    "gradcam": MethodSpec(
        "Grad-CAM", "Selvaraju et al. 2017, arXiv:1610.02391", "LayerGradCam", uses_layer=True
    ),
    "ig": MethodSpec(
        "Integrated gradients",
        "Sundararajan et al. 2017, arXiv:1703.01365",
        "IntegratedGradients",
        multiplicative=True,
        baselines=tuple(BASELINES),
    ),
}


@dataclass(frozen=True)
class MethodRequest:
    """A method, with its baseline where it has one: ``saliency``, ``gradcam``, ``ig:prior``."""

    method: str
    baseline: str = ""

    @classmethod
    def parse(cls, text: str) -> MethodRequest:
        """Read ``method`` or ``method:baseline``.

        Raises:
            UnknownNameError: for an unknown method or baseline; the message lists them.
            ConfigError: if the method has no baseline and one is given.

        Example:
            >>> MethodRequest.parse("ig").label, MethodRequest.parse("ig:prior").label
            ('ig:zero', 'ig:prior')
        """
        method, _, baseline = text.partition(":")
        if method not in METHODS:
            raise UnknownNameError("method", method, METHODS)
        offered = METHODS[method].baselines
        if baseline and not offered:
            raise ConfigError(f"{method} takes no baseline, got {text!r}")
        if baseline and baseline not in offered:
            raise UnknownNameError("baseline", baseline, offered)
        return cls(method, baseline or (offered[0] if offered else ""))

    @property
    def label(self) -> str:
        """The text that :meth:`parse` reads back."""
        return f"{self.method}:{self.baseline}" if self.baseline else self.method


@dataclass(frozen=True)
class AttributionSettings:
    """Settings of the methods.

    ``layer``: module for Grad-CAM, the network's own coarsest if not given; ``n_steps``: points
    of integrated gradients; ``memory_gb``: what the graph of one chunk of steps may take.
    """

    layer: str | None = None
    n_steps: int = 32
    memory_gb: float = 2.0

    def __post_init__(self) -> None:
        if self.n_steps < 1 or not self.memory_gb > 0:
            raise ConfigError(
                f"n_steps ≥ 1 and memory_gb > 0 are needed, got {self.n_steps} and {self.memory_gb}"
            )


@dataclass(frozen=True)
class Attribution:
    """One result: ``values`` is ``(channel, i, j, k)``, or ``(1, a, b, c)`` on a layer's grid."""

    request: MethodRequest
    target: int
    values: Tensor
    layer: str | None = None
    convergence_delta: float | None = None


def attribute(
    model: nn.Module,
    inputs: Tensor,
    requests: Sequence[MethodRequest],
    targets: Sequence[int] | None,
    *,
    brain: Tensor,
    settings: AttributionSettings | None = None,
) -> tuple[Tensor, list[Attribution]]:
    """Explain one pair by several methods for several classes, sharing passes.

    Args:
        model: a network that meets :class:`xrano.channels.ExplainableModel`; its mode, gradients
            and hooks are afterwards as before.
        inputs: ``(1, channel, i, j, k)`` on the network's device; not changed.
        requests: the methods.
        targets: class indices; the predicted class alone if ``None``.
        brain: boolean ``(i, j, k)``, for baselines that need it.
        settings: layer, steps, memory.

    Returns:
        The logits ``(num_classes,)`` and one :class:`Attribution` a request and target, in that
        order.

    Raises:
        ModelError: if the network does not meet the protocol or gives unusable logits.
        ConfigError: for no target, or one out of range.
        UnknownNameError: for an unknown layer.
    """
    settings = settings or AttributionSettings()
    protocol = require_explainable(model)
    if targets is not None:
        _check_targets(targets, protocol.num_classes)
    names = {request.method for request in requests}
    layer_name, layer = find_layer(model, settings.layer) if "gradcam" in names else (None, None)
    results: list[Attribution] = []
    with explaining(model):
        gradients = class_gradients(
            model, inputs, targets, by_input="saliency" in names, layer=layer
        )
        targets = gradients.targets
        for request in requests:
            if request.method == "ig":
                baseline = make_baseline(request.baseline, inputs, protocol.layout, brain)
                integrated = integrated_gradients(
                    model,
                    inputs,
                    baseline,
                    targets,
                    n_steps=settings.n_steps,
                    memory_bytes=settings.memory_gb * 1e9,
                )
                results += [
                    Attribution(
                        request, target, integrated.maps[target], None, integrated.gaps[target]
                    )
                    for target in targets
                ]
            elif request.method == "gradcam":
                results += [
                    Attribution(request, target, grad_cam(gradients, target), layer_name)
                    for target in targets
                ]
            else:
                results += [
                    Attribution(request, target, saliency(gradients, target)) for target in targets
                ]
    return gradients.logits[0], results


def _check_targets(targets: Sequence[int], num_classes: int) -> None:
    if not targets:
        raise ConfigError("name at least one target class")
    for target in targets:
        if not 0 <= target < num_classes:
            raise ConfigError(f"target {target} is not one of the {num_classes} classes")
