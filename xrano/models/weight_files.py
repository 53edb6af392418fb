"""Weights that others trained: read without executing anything, and fitted to a network by name.

A *backbone tensor* here is any of a network's weights before its classifier head, fusion and
counters of seen batches aside: what a fraction of loaded tensors counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from xrano.errors import CheckpointError
from xrano.models.classifier import ResponseClassifier
from xrano.models.inflation import inflate, is_inflatable
from xrano.models.stems import Siamese
from xrano.models.tensor_names import bare_tensors, listed
from xrano.models.torch_files import read_torch_file, refusal

LEAST_FRACTION = 0.5
"""With less of the backbone than this loaded, the weights are of another architecture."""

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadedWeights:
    """What became of the tensors of a file, by name.

    Attributes:
        origin: where the tensors come from.
        loaded: backbone tensors that were loaded, the inflated one included.
        missing: backbone tensors that the file lacks.
        mismatched: backbone tensors that the file has in another shape.
        unused: tensors of the file that the network has no place for.
        head: whether the classifier head was loaded too.
        inflated: channels of the file's first convolution and of the network's, if they differ.
    """

    origin: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]
    head: bool
    inflated: tuple[int, int] | None

    @property
    def needed(self) -> int:
        """How many tensors the backbone has."""
        return len(self.loaded) + len(self.missing) + len(self.mismatched)

    @property
    def fraction(self) -> float:
        """The share of the backbone's tensors that were loaded, above 0 and at most 1."""
        return len(self.loaded) / self.needed

    @property
    def line(self) -> str:
        """One line for the user."""
        percent = int(100 * self.fraction)  # 100 % only if all were
        words = [
            f"{self.origin}: {len(self.loaded)} of {self.needed} backbone tensors loaded "
            f"({percent} %)"
        ]
        if self.inflated is not None:
            words.append("first convolution inflated from {} to {} channels".format(*self.inflated))
        for names, what in (
            (self.mismatched, "of another shape"),
            (self.missing, "not in the file"),
            (self.unused, "of the file not used"),
        ):
            if names:
                words.append(f"{len(names)} {what} ({listed(names)})")
        return "; ".join(words)


def read_weights(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file by their bare names: wrapper keys and prefixes taken off.

    Args:
        path: safetensors (by its suffix), or what ``torch.save`` wrote.

    Raises:
        CheckpointError: if the file is missing, broken, would execute code or become more than it
            is, or holds no tensors, or two tensors have one name without their prefixes.
    """
    path = Path(path)
    try:
        content: Any
        content = load_file(path) if path.suffix == ".safetensors" else read_torch_file(path)
    except (OSError, SafetensorError) as error:
        cause = " ".join(str(error).split())
        raise CheckpointError(f"{path} cannot be read as weights: {cause}") from error
    except Exception as error:
        # It raises whatever a broken file leads its reader into.
        raise CheckpointError(f"{path} {refusal(error)}") from error
    return bare_tensors(content, path)


def load_matching(
    network: ResponseClassifier, tensors: Mapping[str, Tensor], *, origin: str
) -> LoadedWeights:
    """Load the tensors that fit a network's backbone by name and shape, in place.

    The first convolution may have one channel in the file; it is inflated by
    :func:`xrano.models.inflation.inflate`. One of as many channels as needed is loaded as it is,
    and of any other number left out. The classifier head is loaded only if it has as many classes
    and features. Positions of a transformer's patches are computed here, so that learnt ones of a
    file are not used; patches of another size are another first convolution, and left out.

    Args:
        network: with any stem; the encoder of a ``siamese`` one is loaded once for both scans.
        tensors: by the names of a backbone.
        origin: the file or task that they come from, for messages.

    Raises:
        CheckpointError: if no tensor fits, less than :data:`LEAST_FRACTION` of the backbone's do,
            or one that does is not finite; the network is then unchanged.
    """
    encoder = (
        network.backbone.encoder if isinstance(network.backbone, Siamese) else network.backbone
    )
    own = encoder.state_dict()
    head = _head_names(encoder, network)
    body = [name for name in own if name not in head and not name.endswith(_COUNTER)]
    given = {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}
    first = _first_convolution(encoder)
    fitting, inflated = dict(given), None
    if first in given and is_inflatable(given[first], own[first]):
        fitting[first] = inflate(given[first], network.stem, len(network.layout.sequences))
        inflated = (1, own[first].shape[1])
    fits = {name for name in own if name in fitting and fitting[name].shape == own[name].shape}
    whole_head = bool(head) and head <= fits
    found = LoadedWeights(
        origin=origin,
        loaded=tuple(name for name in body if name in fits),
        missing=tuple(name for name in body if name not in given),
        mismatched=tuple(name for name in body if name in given and name not in fits),
        unused=tuple(sorted(set(given) - set(body) - (head if whole_head else set()))),
        head=whole_head,
        inflated=inflated,
    )
    _require_enough(found, given, own)
    chosen = {name: fitting[name] for name in (*found.loaded, *(head if whole_head else ()))}
    _require_finite(chosen, origin)
    with torch.no_grad():
        for name, value in chosen.items():
            own[name].copy_(value)
    return found


def _first_convolution(encoder: nn.Module) -> str:
    """The weight that sees the channels; backbones define their modules in order."""
    return next(
        f"{name}.weight" for name, part in encoder.named_modules() if isinstance(part, nn.Conv3d)
    )


def _head_names(encoder: nn.Module, network: ResponseClassifier) -> set[str]:
    """Tensors of the last linear layer; a network with clinical data has its own in the fusion."""
    if network.fusion is not None:
        return set()
    last = [name for name, part in encoder.named_modules() if isinstance(part, nn.Linear)][-1]
    return {name for name in encoder.state_dict() if name.startswith(f"{last}.")}


def _require_enough(
    found: LoadedWeights, given: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> None:
    if found.fraction >= LEAST_FRACTION:
        return
    if not found.loaded:
        wrong = [
            f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
            for name in found.mismatched
        ]
        same = f"; of another shape: {listed(wrong)}" if wrong else ""
        raise CheckpointError(
            f"{found.origin}: none of {found.needed} backbone tensors could be loaded. It holds "
            f"{len(given)} tensors ({listed(given)}), needed are "
            f"{listed((*found.missing, *found.mismatched))}{same}; give weights of this network, "
            "or choose the network that they are of"
        )
    raise CheckpointError(
        f"{found.origin} is of another architecture: only {len(found.loaded)} of {found.needed} "
        f"backbone tensors fit ({listed(found.loaded)}); of another shape or missing: "
        f"{listed((*found.mismatched, *found.missing))}. Choose the network that the weights are "
        "of"
    )


def _require_finite(tensors: Mapping[str, Tensor], origin: str) -> None:
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{origin}: {name} holds values that are NaN or infinite")
