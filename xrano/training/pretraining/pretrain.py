"""The start of a network: what it learnt before, loaded into it, and written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xrano.atomic_files import write_atomically, write_json
from xrano.data.store import Store
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import MODELS
from xrano.models.stems import EncodingNetwork
from xrano.models.weight_files import LoadedWeights, load_matching, read_weights
from xrano.text_files import parse_json
from xrano.training.config import ModelConfig
from xrano.training.pretraining.config import PretrainingConfig
from xrano.training.pretraining.organ_classes import organ_task
from xrano.training.pretraining.pretext_loop import (
    Machine,
    PretextTask,
    single_image_network,
    train_pretext,
)
from xrano.training.pretraining.rotation import rotation_task, single_scans
from xrano.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class _Learnt:
    """Tensors of an encoder without its head, and how they came to be."""

    tensors: dict[str, Tensor]
    history: list[dict[str, Any]]
    origin: str


def pretrain(
    config: PretrainingConfig,
    network: ResponseClassifier,
    *,
    model: ModelConfig,
    store: Store,
    training_patients: Collection[str],
    held_out_patients: Collection[str],
    folder: Path,
    seed: int,
    report: Callable[[str], object],
    accelerator: str = "auto",
    precision: str = "32-true",
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Load pretrained weights into a network, in place; make the optimiser afterwards.

    Kinds that train write ``folder/pretrained.safetensors``, and take it from there if it is of the
    same settings, data and patients. What was loaded is written to ``folder/pretraining.json``.

    Args:
        config: the kind and its settings.
        network: of ``model``, with random weights.
        model: which network the pretext task trains; with one input channel and its own head.
        store: whose scans ``rotation`` reads.
        training_patients: whose scans it may read.
        held_out_patients: whose scans must not be read: tested or validated on.
        folder: of the fold.
        seed: of the pretext task; the global random state is left as it was.
        report: called with lines for the user, the fraction of tensors loaded among them.
        accelerator: device kind for Lightning Fabric.
        precision: of the pretext task's steps.
        ranks: the processes that share the work; the first of them writes.

    Returns:
        What ``pretraining.json`` holds; empty for kind ``none``.

    Raises:
        SplitError: if a patient that would be read is held out, or there is nothing to learn from.
        CheckpointError: if no weights fit the network, or too few.
        VolumeError: if ``path`` is not MedMNIST's OrganMNIST3D.
        ConfigError: if the pretext task diverges.
    """
    if config.kind == "none":
        return {}
    patients: list[str] = []
    if config.kind == "medicalnet":
        learnt = _Learnt(read_weights(config.path), [], config.path)
    else:
        task, facts = _task(config, model, store, training_patients, held_out_patients, seed)
        patients = facts["patients"]
        facts.update(
            kind=config.kind,
            epochs=config.epochs,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            model=model.name,
            precision=precision,
            seed=seed,
        )
        learnt = _learnt(
            config, model, task, facts, folder, Machine(accelerator, precision, ranks), report
        )
    found = load_matching(network, learnt.tensors, origin=learnt.origin)
    report(f"pretraining from {found.line}")
    summary = _summary(config, found, learnt, patients)
    ranks.by_first(lambda: write_json(folder / "pretraining.json", summary))
    return summary


def _task(
    config: PretrainingConfig,
    model: ModelConfig,
    store: Store,
    training_patients: Collection[str],
    held_out_patients: Collection[str],
    seed: int,
) -> tuple[PretextTask, dict[str, Any]]:
    """The pretext task, and what its data are told from others by."""
    if config.kind == "organmnist3d":
        task = organ_task(Path(config.path), MODELS[model.name].stride)
        digest = hashlib.sha256(Path(config.path).read_bytes()).hexdigest()
        return task, {"data": digest, "patients": []}
    scans = single_scans(store, model.sequences, training_patients, held_out_patients)
    patients = sorted({scan.patient_id for scan in scans})
    facts = {
        "data": store.fingerprint(),
        "patients": patients,
        "scans": hashlib.sha256(repr(scans).encode()).hexdigest(),
    }
    return rotation_task(store, scans, seed=seed), facts


def _learnt(
    config: PretrainingConfig,
    model: ModelConfig,
    task: PretextTask,
    facts: dict[str, Any],
    folder: Path,
    machine: Machine,
    report: Callable[[str], object],
) -> _Learnt:
    """The task's encoder: of an earlier run of the same facts, or trained now."""
    path = folder / "pretrained.safetensors"
    ranks = machine.ranks
    history = ranks.by_first(lambda: _kept_history(path, facts))
    if history is None:
        seed = int(facts["seed"])
        encoder = single_image_network(
            model.name, task.classes, seed=seed, checkpointing=model.checkpointing
        )
        history = train_pretext(encoder, task, config, seed=seed, machine=machine, report=report)
        cast(EncodingNetwork, encoder).drop_head()
        tensors = {
            name: value.detach().contiguous() for name, value in encoder.state_dict().items()
        }
        details = json.dumps({"facts": facts, "history": history}, sort_keys=True)
        ranks.by_first(lambda: _save(path, tensors, details))
    return _Learnt(ranks.by_first(lambda: read_weights(path)), history, task.name)


def _save(path: Path, tensors: dict[str, Tensor], details: str) -> None:
    write_atomically(
        path, lambda temporary: save_file(tensors, temporary, metadata={"xrano": details})
    )


def _kept_history(path: Path, facts: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The history of a file of the same facts; nothing if there is none, or it is broken."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            details = parse_json(file.metadata()["xrano"])
        history: list[dict[str, Any]] = details["history"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return history if details.get("facts") == facts else None


def _summary(
    config: PretrainingConfig, found: LoadedWeights, learnt: _Learnt, patients: list[str]
) -> dict[str, Any]:
    return {
        "kind": config.kind,
        "path": config.path,
        "line": found.line,
        "fraction": found.fraction,
        "loaded": len(found.loaded),
        "needed": found.needed,
        "missing": list(found.missing),
        "mismatched": list(found.mismatched),
        "unused": list(found.unused),
        "head_loaded": found.head,
        "inflated": list(found.inflated) if found.inflated is not None else None,
        "patients": patients,
        "history": learnt.history,
    }
