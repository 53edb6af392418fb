"""TensorBoard curves, if TensorBoard is installed (``pip install xrano[tensorboard]``)."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def scalar_writer(folder: Path) -> Callable[[dict[str, Any]], None]:
    """A function that writes one line of metrics as curves, or does nothing."""
    if find_spec("tensorboard") is None:
        return lambda _line: None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def write(line: dict[str, Any]) -> None:
        for name, value in line.items():
            if name != "epoch":
                writer.add_scalar(name, value, line["epoch"])
        writer.flush()

    return write
