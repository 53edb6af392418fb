"""Which modules class activation maps are taken from."""

from __future__ import annotations

from torch import nn

from xrano.attribution.model_state import require_explainable
from xrano.errors import ConfigError, ModelError, UnknownNameError

WORDS = ("auto", "coarse", "middle", "fine", "all")
"""What may be said instead of a module's name; ``auto`` is the coarsest."""


def find_layer(model: nn.Module, layer: str | None) -> tuple[str, nn.Module]:
    """The one module to take class activation maps from.

    Args:
        model: the network.
        layer: a name of ``named_modules()`` or a word of :data:`WORDS`; ``None`` for ``auto``.

    Raises:
        ModelError: if no layer is named and the network offers none.
        UnknownNameError: if there is no such module; the message lists the offered layers.
        ConfigError: if several are named.
    """
    found = find_layers(model, layer)
    if len(found) > 1:
        raise ConfigError(f"one layer is needed here, {layer!r} names {', '.join(found)}")
    return next(iter(found.items()))


def find_layers(model: nn.Module, layer: str | None) -> dict[str, nn.Module]:
    """The modules to take class activation maps from, by name, in the order asked for.

    Args:
        model: the network.
        layer: names of ``named_modules()`` or words of :data:`WORDS`, joined by commas.

    Raises:
        ModelError: if a word is used and the network offers no layers.
        UnknownNameError: if there is no such module; the message lists the offered layers.
    """
    offered = require_explainable(model).cam_layers
    modules = dict(model.named_modules())
    names: list[str] = []
    for part in ("auto" if layer is None else layer).split(","):
        word = part.strip()
        if word in modules and word:
            names.append(word)
        elif word in WORDS:
            if not offered:
                raise ModelError(_why_none(model))
            names += _offered(word, offered)
        else:
            raise UnknownNameError("layer", word, offered or list(modules)[1:])
    return {name: _module(name, modules, offered) for name in names}


def _offered(word: str, offered: tuple[str, ...]) -> tuple[str, ...]:
    if word == "all":
        return offered
    index = {"fine": len(offered) - 1, "middle": len(offered) // 2}.get(word, 0)
    return (offered[index],)


def _module(name: str, modules: dict[str, nn.Module], offered: tuple[str, ...]) -> nn.Module:
    if name not in modules:
        raise UnknownNameError("layer", name, offered or list(modules)[1:])
    return modules[name]


def _why_none(model: nn.Module) -> str:
    # A network of ours that has none says why, and what fits it.
    if note := str(getattr(model, "cam_note", "")):
        return note
    return (
        "this network names no layers for class activation maps (cam_layers is empty); "
        "name one with --layer"
    )


def find_token_layers(model: nn.Module, layer: str | None) -> dict[str, nn.Module]:
    """The patch embedding of a transformer, by name.

    Args:
        model: the network; names it in ``grid_layers``, or has one module ``patch_embeddings``.
        layer: a name of ``named_modules()``; the network's own if ``None``, or a word of
            :data:`WORDS`, since there is one.

    Raises:
        ModelError: if there is none: the network is no transformer.
        UnknownNameError: if there is no module of the name given.
    """
    modules = dict(model.named_modules())
    named = tuple(getattr(model, "grid_layers", ()))
    if not named:
        named = tuple(name for name in modules if name.split(".")[-1] == "patch_embeddings")
    if layer is not None and layer not in WORDS:
        if layer not in modules or not layer:
            raise UnknownNameError("layer", layer, named or list(modules)[1:])
        named = (layer,)
    if len(named) != 1:
        raise ModelError(
            f"tokengrad needs the patch embedding of a transformer, {type(model).__name__} has "
            f"{len(named) or 'none'}; name one with --layer, or take gradcam for a convolutional "
            "network"
        )
    return {name: _module(name, modules, named) for name in named}
