"""``xrano models``."""

from __future__ import annotations

from typing import Any

EXAMPLE = "xrano models --shape 240 240 155 --stem siamese"


def run(
    shape: tuple[int, int, int] = (96, 112, 96),
    sequences: tuple[str, ...] = ("T1", "CT1", "T2", "FLAIR"),
    stem: str = "concat",
    models: tuple[str, ...] = (),
    time: bool = False,
    batch_size: int = 2,
    checkpointing: bool = False,
) -> None:
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
    from xrano.models.stems import STEMS

    if min(shape) < 1 or batch_size < 1:
        raise ConfigError(f"shape and batch_size must be ≥ 1, got {shape} and {batch_size}")
    layout = ChannelLayout(sequences)
    names = list(models or MODELS)
    rows = [describe_model(name, layout, shape, stem=stem) for name in names]
    print(
        f"{len(layout)} channels ({', '.join(layout.sequences)} of both scans), "
        f"{_size(shape)} voxels, stem {stem}: {STEMS[stem].description}"
    )
    heads = ["name", "weights", "cell", "feature grids, coarse to fine", "Grad-CAM"]
    table = [
        [
            row.name,
            f"{row.parameters / 1e6:.2f} M",
            _size(row.stride),
            " ".join(_size(grid) for grid in row.grids) or "grid too small",
            "yes" if row.has_cam else "no",
        ]
        for row in rows
    ]
    if time:
        heads += ["step", "memory"]
        for cells in table:
            cells += _cost(cells[0], layout.sequences, shape, stem, batch_size, checkpointing)
    heads.append("what it is")
    for cells, row in zip(table, rows, strict=True):
        cells.append(row.description)
    _print_table([heads, *table])
    if time:
        print(
            f"step: forward and backward at batch size {batch_size} in float32 on this processor; "
            "memory: the most held beyond the libraries"
        )


def _cost(
    name: str,
    sequences: tuple[str, ...],
    shape: tuple[int, int, int],
    stem: str,
    batch: int,
    checkpointing: bool,
) -> list[str]:
    """Time and memory in words; a step that fails says so, and the table goes on."""
    from xrano.errors import ModelError
    from xrano.models import step_cost

    try:
        cost = step_cost.measure_step(
            name, sequences, shape, stem=stem, batch=batch, checkpointing=checkpointing
        )
    except ModelError as error:
        return ["failed", str(error)]
    return [f"{cost.seconds:.2f} s", f"{cost.peak_bytes / 1e9:.2f} GB"]


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape)


def _print_table(rows: list[list[Any]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
