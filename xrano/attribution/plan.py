"""What several methods for several targets will take, before anything runs, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from xrano.attribution.layers import find_layers, find_token_layers
from xrano.attribution.method_spec import Passes, Question
from xrano.attribution.model_state import require_explainable, unwrapped
from xrano.attribution.pass_memory import PassMemory, plan_memory
from xrano.attribution.requests import MethodRequest
from xrano.attribution.settings import AttributionSettings
from xrano.attribution.targets import Objective, TargetLike
from xrano.errors import ModelError


@dataclass(frozen=True)
class Step:
    """Passes of one pair, and the methods that they serve."""

    serves: tuple[str, ...]
    passes: Passes

    def text(self) -> str:
        """One line."""
        most = "at most " if self.passes.at_most else ""
        return (
            f"{', '.join(self.serves)}: {most}{self.passes.forwards} forward, "
            f"{self.passes.backwards} backward"
        )


@dataclass(frozen=True)
class Plan:
    """The passes of one pair, and what one of them takes."""

    steps: tuple[Step, ...]
    memory: PassMemory

    @property
    def forwards(self) -> int:
        """Forward passes, at most."""
        return sum(step.passes.forwards for step in self.steps)

    @property
    def backwards(self) -> int:
        """Backward passes, at most."""
        return sum(step.passes.backwards for step in self.steps)

    @property
    def fits(self) -> bool:
        """Whether one pass fits the budget."""
        return self.memory.fits

    def seconds(self, forward: float, backward: float) -> float:
        """Seconds of a pair, given those of one pass each."""
        return self.forwards * forward + self.backwards * backward

    def text(self) -> str:
        """A line a step, then the sum and the memory."""
        lines = [step.text() for step in self.steps]
        lines.append(f"in all: {self.forwards} forward and {self.backwards} backward passes a pair")
        lines += [line for line in (self.memory.text(),) if line]
        return "\n".join(lines)


def make_plan(
    model: nn.Module,
    shape: tuple[int, int, int],
    requests: Sequence[MethodRequest],
    targets: Sequence[TargetLike] | None,
    *,
    settings: AttributionSettings | None = None,
    regions: int = 0,
    references: Mapping[str, int] | None = None,
) -> Plan:
    """Plan one pair.

    Args:
        model: the network; untouched.
        shape: voxels of the scans.
        requests: the methods.
        targets: class indices and contrasts; the predicted class alone if ``None``.
        settings: of the methods.
        regions: how many regions a segmentation has, for methods that hide them.
        references: how many pairs each baseline of the data set holds.

    Raises:
        ModelError: if a method does not fit the network.
        UnknownNameError: for an unknown layer.
        ConfigError: for a target out of range.
    """
    settings = settings or AttributionSettings()
    model = unwrapped(model)
    protocol = require_explainable(model)
    layers = resolve_layers(model, requests, settings)
    objective = Objective(targets or [0], protocol.num_classes, settings.output)
    shared = [request for request in requests if request.spec.by_input or request.spec.cams]
    backwards = objective.backwards if shared else 0
    serves = tuple(request.label for request in shared) or ("prediction",)
    steps = {"": Step(serves, Passes(1, backwards))}
    for request in requests:
        passes = request.spec.passes(
            Question(
                settings,
                request,
                len(objective.targets),
                objective.backwards,
                len(protocol.layout),
                shape,
                len(layers[request.method]),
                regions,
                references or {},
            )
        )
        if not (passes.forwards or passes.backwards):
            continue
        key = passes.shared or f"{request.label} {len(steps)}"
        before = steps[key].serves if key in steps else ()
        steps[key] = Step((*before, request.label), passes)
    return Plan(tuple(steps.values()), plan_memory(model, shape, requests, layers, settings))


def resolve_layers(
    model: nn.Module, requests: Sequence[MethodRequest], settings: AttributionSettings
) -> dict[str, tuple[str, ...]]:
    """The names of each method's layers; of a method without layers, none.

    Raises:
        ModelError: if a method does not fit the network.
        UnknownNameError: for an unknown layer.
    """
    found: dict[str, tuple[str, ...]] = {}
    for request in requests:
        spec = request.spec
        if not spec.uses_layer:
            found[request.method] = ()
            continue
        layer = settings.layer
        if spec.fewest_layers > 1 and layer in (None, "auto"):
            layer = "all"
        find = find_token_layers if spec.token_layers else find_layers
        names = tuple(find(model, layer))
        if len(names) < spec.fewest_layers:
            raise ModelError(
                f"{request.method} needs {spec.fewest_layers} layers or more and has "
                f"{', '.join(names)} alone; name more with --layer, or take layercam"
            )
        found[request.method] = names
    return found
