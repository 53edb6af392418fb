"""``xrano models``."""

from __future__ import annotations

from typing import Any

from xrano.cli.answers import Answer
from xrano.cli.terminal import bar, table_text

EXAMPLE = "xrano models --shape 240 240 155 --stem siamese"

JSON_KEYS = {
    "channels": "of the input, in order",
    "shape": "voxels along i, j, k",
    "stem": "how the scans come in",
    "models": "name, parameters, stride, grids (coarse to fine), has_cam, description; with --time "
    "step: seconds and peak_bytes, or error",
    "batch_size": "pairs in a measured step",
}


def run(
    shape: tuple[int, int, int] = (96, 112, 96),
    sequences: tuple[str, ...] = ("T1", "CT1", "T2", "FLAIR"),
    stem: str = "concat",
    models: tuple[str, ...] = (),
    time: bool = False,
    batch_size: int = 2,
    checkpointing: bool = False,
) -> Answer:
    """List the networks: weights, cells, feature grids, and what a training step costs.

    Args:
        shape: voxels along i, j, k.
        sequences: sequences of each scan; their number counts.
        stem: how the scans come in: concat, subtract, concat+subtract or siamese.
        models: networks to list; all if none is named.
        time: run a step of each (forward and backward on the processor) and measure it.
        batch_size: pairs in a measured step.
        checkpointing: measure with activations computed again in the backward pass.
    """
    from xrano.channels import ChannelLayout
    from xrano.errors import ConfigError
    from xrano.models.factory import MODELS
    from xrano.models.model_table import describe_model

    if min(shape) < 1 or batch_size < 1:
        raise ConfigError(f"shape and batch_size must be ≥ 1, got {shape} and {batch_size}")
    layout = ChannelLayout(sequences)
    rows = [vars(describe_model(name, layout, shape, stem=stem)) for name in list(models or MODELS)]
    if time:
        for row in bar(rows, "measuring"):
            name = row["name"]
            row["step"] = _cost(name, layout.sequences, shape, stem, batch_size, checkpointing)
    values = {
        "channels": layout.names,
        "shape": shape,
        "stem": stem,
        "models": rows,
        "batch_size": batch_size,
    }
    return Answer(_text(values, layout.sequences), values)


def _text(values: dict[str, Any], sequences: tuple[str, ...]) -> str:
    from xrano.models.stems import STEMS

    stem = values["stem"]
    head = (
        f"{len(values['channels'])} channels ({', '.join(sequences)} of both scans), "
        f"{_size(values['shape'])} voxels, stem {stem}: {STEMS[stem].description}"
    )
    timed = any("step" in row for row in values["models"])
    heads = ["name", "weights", "cell", "feature grids, coarse to fine", "Grad-CAM"]
    heads += ["step", "memory"] if timed else []
    table = [[*heads, "what it is"]]
    table += [[*_cells(row), row["description"]] for row in values["models"]]
    lines = [head, table_text(table)]
    if timed:
        lines.append(
            f"step: forward and backward at batch size {values['batch_size']} in float32 on this "
            "processor; memory: the most held beyond the libraries"
        )
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> list[str]:
    cells = [
        row["name"],
        f"{row['parameters'] / 1e6:.2f} M",
        _size(row["stride"]),
        " ".join(_size(grid) for grid in row["grids"]) or "grid too small",
        "yes" if row["has_cam"] else "no",
    ]
    step = row.get("step")
    if step is None:
        return cells
    if "error" in step:
        return [*cells, "failed", step["error"]]
    return [*cells, f"{step['seconds']:.2f} s", f"{step['peak_bytes'] / 1e9:.2f} GB"]


def _cost(
    name: str,
    sequences: tuple[str, ...],
    shape: tuple[int, int, int],
    stem: str,
    batch: int,
    checkpointing: bool,
) -> dict[str, Any]:
    """Time and memory; a step that fails says so, and the table goes on."""
    from xrano.errors import ModelError
    from xrano.models import step_cost

    try:
        cost = step_cost.measure_step(
            name, sequences, shape, stem=stem, batch=batch, checkpointing=checkpointing
        )
    except ModelError as error:
        return {"error": str(error)}
    return {"seconds": cost.seconds, "peak_bytes": cost.peak_bytes}


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape)
