"""Leave a network exactly as it was found: mode, gradients, hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from xrano.channels import ExplainableModel
from xrano.errors import ModelError

_precision: ContextVar[str] = ContextVar("precision", default="32")


@contextmanager
def explaining(model: nn.Module, *, precision: str = "32") -> Iterator[None]:
    """Evaluation mode and parameters without gradients while inside; as before afterwards.

    The mode is restored module by module, since a network may be partly frozen. The global random
    state is restored too, should a module draw from it in evaluation mode.

    Args:
        model: the network.
        precision: of :func:`run`, a name in :data:`xrano.attribution.settings.PRECISIONS`.
    """
    modes = {name: module.training for name, module in model.named_modules()}
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    devices = {parameter.device.index for parameter in model.parameters() if parameter.is_cuda}
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    said = _precision.set(precision)
    try:
        with torch.random.fork_rng(devices=sorted(devices)), torch.enable_grad(), _exact(devices):
            yield
    finally:
        _precision.reset(said)
        for name, module in model.named_modules():
            module.training = modes[name]
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted[name])


def _exact(devices: set[int]) -> AbstractContextManager[None]:
    """On a GPU the same convolution algorithms each time, without the rounding of TF32."""
    if not devices:
        return nullcontext()
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def accumulating(dtype: torch.dtype) -> torch.dtype:
    """The type to add up in: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside what wraps it: ``torch.compile``, (distributed) data parallel, Fabric.

    Hooks and modified gradients do not reach through a compiled graph, and a distributed wrapper
    waits for other processes.

    Example:
        >>> network = nn.Linear(2, 2)
        >>> unwrapped(nn.DataParallel(network)) is network
        True
    """
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and _wraps(model):
            inner = getattr(model, "module", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _wraps(model: nn.Module) -> bool:
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return isinstance(model, parallel) or type(model).__name__ == "_FabricModule"


def require_explainable(model: nn.Module) -> ExplainableModel:
    """The model itself, if it offers :class:`xrano.channels.ExplainableModel`.

    Raises:
        ModelError: naming the attributes that are missing.
    """
    missing = [name for name in ("layout", "num_classes", "cam_layers") if not hasattr(model, name)]
    if missing or not isinstance(model, ExplainableModel):
        raise ModelError(
            f"{type(model).__name__} cannot be explained: it lacks {', '.join(missing)}; see "
            "xrano.channels.ExplainableModel"
        )
    return model


def require_inputs(model: nn.Module, inputs: Tensor) -> None:
    """Refuse scans that the network cannot take as they are.

    Raises:
        ModelError: if they are not one pair ``(1, channel, i, j, k)``, lie on another device, hold
            NaN or infinity, or the network computes in float16, whose gradients underflow.
    """
    channels = len(require_explainable(model).layout)
    if inputs.ndim != 5 or len(inputs) != 1 or inputs.shape[1] != channels:
        raise ModelError(
            f"one pair (1, {channels}, i, j, k) is explained at a time, got {tuple(inputs.shape)}"
        )
    parameters = [parameter for parameter in model.parameters() if parameter.is_floating_point()]
    devices = {parameter.device for parameter in parameters}
    if devices and inputs.device not in devices:
        raise ModelError(
            f"the scans lie on {inputs.device}, the network on "
            f"{', '.join(sorted(map(str, devices)))}; move one by .to(device)"
        )
    if torch.float16 in {inputs.dtype, *(parameter.dtype for parameter in parameters)}:
        raise ModelError(
            "in float16 gradients vanish below 6e-8; explain the network in float32 (.float()) or "
            "bfloat16 (.bfloat16())"
        )
    if not torch.isfinite(inputs).all():
        raise ModelError("the scans hold NaN or infinite values")


def require_logits(logits: object, model: nn.Module, batch: int) -> Tensor:
    """The logits, if they are finite numbers of shape ``(batch, num_classes)``.

    Raises:
        ModelError: for another type or shape, or NaN or infinite values.
    """
    num_classes = require_explainable(model).num_classes
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (batch, num_classes):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"the network must give logits ({batch}, {num_classes}), gave {found}")
    if not torch.isfinite(logits).all():
        raise ModelError(
            f"the network gave NaN or infinite logits: {logits.detach().cpu().tolist()}"
        )
    return logits


def run(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits ``(batch, num_classes)`` of inputs that stay as they are.

    In the precision of :func:`explaining`; logits in bfloat16 come as float32.

    Raises:
        ModelError: as :func:`require_logits`.
    """
    # A network may work in place on what it is given, which a leaf does not allow.
    copy = inputs.clone()
    if _precision.get() == "32":
        return require_logits(model(copy), model, len(inputs))
    with torch.autocast(inputs.device.type, torch.bfloat16):
        logits = model(copy)
    return require_logits(logits, model, len(inputs)).to(accumulating(inputs.dtype))
