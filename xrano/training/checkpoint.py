"""Weights as safetensors, and what an interrupted training needs to go on unchanged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from xrano.atomic_files import write_atomically
from xrano.channels import ChannelLayout
from xrano.errors import CheckpointError
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import create_model
from xrano.models.torch_files import read_torch_file, refusal
from xrano.text_files import parse_json

MOST_CLASSES = 64
"""Classes that a network's file may name; no task has as many, and memory is taken for them."""


MOST_CHANNELS = 128
"""Likewise."""


def save_weights(
    path: Path,
    weights: dict[str, Tensor],
    *,
    model: str,
    layout: ChannelLayout,
    num_classes: int,
    stem: str = "concat",
    clinical: tuple[str, ...] = (),
) -> None:
    """Write weights with the name, stem, channels and clinical variables of their network."""
    details = {
        "model": model,
        "stem": stem,
        "sequences": list(layout.sequences),
        "num_classes": num_classes,
        # Files of networks without any stay as they were.
        **({"clinical": list(clinical)} if clinical else {}),
    }
    metadata = {"xrano": json.dumps(details, sort_keys=True)}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_atomically(path, lambda temporary: save_file(plain, temporary, metadata=metadata))


def load_model(
    path: Path,
    *,
    model: str | None = None,
    layout: ChannelLayout | None = None,
    stem: str | None = None,
    clinical: bool | None = None,
) -> ResponseClassifier:
    """Make the network that a weight file belongs to and load it.

    Args:
        path: a file of :func:`save_weights`.
        model: name that the network must have, if given.
        layout: channels that it must have, if given.
        stem: that it must have, if given; a file that names none is of ``concat``.
        clinical: whether it must see clinical data or must not, if given.

    Raises:
        CheckpointError: if the file is missing or broken, of another network, stem or other
            sequences, or its tensors do not fit.
    """
    if not os.access(path, os.R_OK):
        why = "this user may not read it" if path.exists() else "it is not there"
        raise CheckpointError(f"{path} is not a weight file of xrano that can be read: {why}")
    try:
        with safe_open(path, framework="pt") as file:
            details = parse_json(file.metadata()["xrano"])
            name, classes = str(details["model"]), int(details["num_classes"])
            found_stem = str(details.get("stem", "concat"))
            stored = ChannelLayout(details["sequences"])
            if len(stored) > MOST_CHANNELS:
                raise ValueError(f"a network of {len(stored)} channels")
            variables = tuple(str(variable) for variable in details.get("clinical", ()))
            if not 1 <= classes <= MOST_CLASSES:
                raise ValueError(f"a network of {classes} classes")
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path} is not a weight file of xrano ({type(error).__name__}: {error})"
        ) from error
    if model is not None and name != model:
        raise CheckpointError(f"{path} holds a {name}, the run's config says {model}")
    if layout is not None and stored != layout:
        raise CheckpointError(
            f"{path} was trained on {', '.join(stored.sequences)}, the run's config says "
            f"{', '.join(layout.sequences)}"
        )
    if stem is not None and found_stem != stem:
        raise CheckpointError(
            f"{path} holds a network with the stem {found_stem}, the run's config says {stem}"
        )
    if clinical is not None and clinical != bool(variables):
        found = f"sees {', '.join(variables)}" if variables else "sees images alone"
        raise CheckpointError(
            f"{path} holds a network that {found}, the run's config says clinical: {clinical}"
        )
    network = create_model(name, stored, classes, stem=found_stem, clinical=variables)
    load_weights(network, weights, path)
    return network.eval()


def load_weights(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a network that must have exactly these.

    Raises:
        CheckpointError: naming how many tensors fit and the first that does not.
    """
    own = network.state_dict()
    fit = [name for name in own if name in weights and weights[name].shape == own[name].shape]
    wrong = sorted((set(own) | set(weights)) - set(fit))
    if wrong:
        raise CheckpointError(
            f"{path} is of another architecture: {len(fit)} of {len(own)} tensors fit, "
            f"the first that does not is {wrong[0]}"
        )
    network.load_state_dict(weights)


def save_resume(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a training; tensors, numbers and strings only."""
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def load_resume(path: Path) -> dict[str, Any]:
    """Read the state of a training; nothing in the file is executed.

    Raises:
        CheckpointError: if the file is broken, would become more than it is, or holds something
            else.
    """
    try:
        state: dict[str, Any] = read_torch_file(path)
    except Exception as error:
        # It raises whatever a broken file leads its reader into.
        raise CheckpointError(
            f"{path} cannot be read: it {refusal(error)}; delete it to train this fold from the "
            "start"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(
            f"{path} is no state of a training; delete it to train this fold from the start"
        )
    lacking = {"network", "optimizer", "progress"} - set(state)
    if lacking:
        raise CheckpointError(
            f"{path} is no state of a training, it lacks {', '.join(sorted(lacking))}; delete it "
            "to train this fold from the start"
        )
    return state
