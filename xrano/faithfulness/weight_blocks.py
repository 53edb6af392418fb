"""The blocks of a network, from the logits down: what is randomised together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from xrano.attribution.model_state import unwrapped
from xrano.errors import ModelError


@dataclass(frozen=True)
class WeightBlock:
    """Modules whose own weights are drawn together.

    Attributes:
        name: of the part of the network that it is, or begins with.
        modules: names in ``named_modules()``; their own weights are meant, not their children's.
    """

    name: str
    modules: tuple[str, ...]


def weight_blocks(model: nn.Module) -> tuple[WeightBlock, ...]:
    """The blocks of a network, from the logits down to the scans.

    A module that holds more than half of all layers is divided into its children, so that the
    dense blocks of a DenseNet, the stages of a ResNet and the blocks of a transformer come out;
    normalisations alone go with what stands before them. The order is that in which modules were
    made, which in xrano's networks is the order in which they run.

    Args:
        model: a network with weights.

    Raises:
        ModelError: if it has none.

    Example:
        >>> from xrano.channels import ChannelLayout
        >>> from xrano.models.factory import create_model
        >>> network = create_model("densenet_small", ChannelLayout(("T1",)))
        >>> [block.name.removeprefix("backbone.") for block in weight_blocks(network)]
        ['class_layers', 'features.denseblock2', 'features.transition1', \
'features.denseblock1', 'features.conv0']
    """
    model = unwrapped(model)
    layers = _with_weights(model, "")
    if not layers:
        raise ModelError(f"{type(model).__name__} has no weights to randomise")
    blocks: list[WeightBlock] = []
    alone: tuple[str, ...] = ()
    for name, part, own in _parts(model, len(layers)):
        modules = (*alone, *([name] if own else _with_weights(part, name)))
        # A token or scale of a container goes with what comes next.
        alone = modules if own else ()
        if own:
            continue
        if blocks and not _has_matrix(part):
            last = blocks.pop()
            blocks.append(WeightBlock(last.name, (*last.modules, *modules)))
        else:
            blocks.append(WeightBlock(name, modules))
    if alone:
        blocks.append(WeightBlock(alone[0], alone))
    return tuple(reversed(blocks))


def _parts(model: nn.Module, layers: int) -> Iterator[tuple[str, nn.Module, bool]]:
    """Name and module of each part in order; whether only the module's own weights are meant."""
    stack: list[tuple[str, nn.Module]] = [("", model)]
    while stack:
        name, module = stack.pop()
        children = [
            (f"{name}.{child}" if name else child, one)
            for child, one in module.named_children()
            if any(True for _ in one.parameters())
        ]
        if not children or 2 * len(_with_weights(module, name)) <= layers:
            yield name, module, False
            continue
        if any(True for _ in module.parameters(recurse=False)):
            yield name, module, True
        stack += reversed(children)


def _with_weights(module: nn.Module, name: str) -> list[str]:
    """Names of the modules inside, and itself, that hold weights of their own."""
    return [
        found
        for found, one in module.named_modules(prefix=name)
        if any(True for _ in one.parameters(recurse=False))
    ]


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters())
