"""Lightning Fabric on the device that was asked for, or an error that says why not."""

from __future__ import annotations

from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from xrano.errors import ConfigError


def start_fabric(accelerator: str, precision: str) -> Fabric:
    """One device, launched.

    Args:
        accelerator: auto, cpu, cuda or mps.
        precision: such as 32-true or bf16-mixed.

    Raises:
        ConfigError: if this machine cannot give them.
    """
    chosen: Any = precision
    try:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=chosen)
    except (RuntimeError, ValueError, ImportError) as error:
        raise ConfigError(
            f"accelerator {accelerator} with precision {precision} cannot be had on this machine: "
            f"{error}"
        ) from error
    fabric.launch()
    return fabric


def optimiser_step(fabric: Fabric, model: nn.Module, optimizer: Any, loss: Tensor) -> None:
    """Backward, clipped gradients, and one step of the optimiser."""
    optimizer.zero_grad()
    fabric.backward(loss)
    # Infinite gradients are ordinary in 16-mixed: its scaler leaves such a step out.
    fabric.clip_gradients(model, optimizer, max_norm=5.0, error_if_nonfinite=False)
    optimizer.step()
