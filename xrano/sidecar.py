"""What every map's sidecar says of its pair and its network, beside the method's own facts."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

import xrano
from xrano.data.pair_volumes import PairVolumes


def pair_facts(pair: PairVolumes, target: str) -> dict[str, Any]:
    """The pair, how its target was asked for, and what the numbers depend on."""
    return {
        "pair_id": pair.pair_id,
        "patient_id": pair.patient_id,
        "prior": pair.prior_session,
        "current": pair.current_session,
        "response": pair.response,
        "rating_source": pair.rating_source,
        "spans_surgery": pair.spans_surgery,
        "normalised_by": pair.normalised_by,
        "target_choice": target if target in ("predicted", "response", "all") else "named",
        "input_sha256": hashlib.sha256(pair.inputs.tobytes()).hexdigest(),
        "threads": torch.get_num_threads(),
        "versions": {
            "xrano": xrano.__version__,
            **{name: version(name) for name in ("torch", "captum", "monai")},
        },
    }


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over names and values of all weights and statistics."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        # As bytes, since numpy does not know bfloat16.
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()
