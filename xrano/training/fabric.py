"""Lightning Fabric on the devices that were asked for, or an error that says why not."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from xrano.attribution.devices import own_device
from xrano.errors import ConfigError
from xrano.training.ranks import ALONE, Ranks


def start_fabric(accelerator: str, precision: str, ranks: Ranks = ALONE) -> Fabric:
    """One device, launched, or what several processes have in common.

    A process of a job that trains by itself takes the GPU of its local rank.

    Args:
        accelerator: auto, cpu, cuda or mps.
        precision: such as 32-true or bf16-mixed.
        ranks: the processes that train together.

    Raises:
        ConfigError: if this machine cannot give them.
    """
    if ranks.fabric is not None:
        return ranks.fabric
    devices: Any = 1
    if accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        devices = [own_device("cuda").index]
    # What torchrun or SLURM say of a job of several is not about this training.
    return _launched(accelerator, precision, devices=devices, plugins=LightningEnvironment())


def start_ranks(accelerator: str, precision: str, devices: int = 1) -> Ranks:
    """The processes of torchrun's or srun's job, or further ones on this machine, joined by DDP.

    Args:
        accelerator: auto, cpu or cuda.
        precision: such as 32-true or bf16-mixed.
        devices: processes on this machine, each with its own device; a job says it itself.

    Raises:
        ConfigError: if this machine cannot give them, or the job says another number.
    """
    job = job_of(devices)
    if job.on_each * job.machines == 1:
        return ALONE
    # It tells at length what it does, process by process; torch that one gradient, of the class
    # token of a transformer, is laid out otherwise than it would be fastest.
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    try:
        environment = _ENVIRONMENTS[job.started_by]()
    except RuntimeError as error:
        raise ConfigError(f"this job of {job.started_by} cannot be joined: {error}") from error
    fabric = _launched(
        accelerator,
        precision,
        devices=job.on_each,
        num_nodes=job.machines,
        plugins=environment,
        strategy=_strategy(),
    )
    return Ranks(fabric)


def _strategy() -> DDPStrategy:
    """DDP that takes each step's graph to be that of the first.

    So it learns once which weights get no gradient, such as those that MONAI's transformer blocks
    keep for an attention that is not used; searching each step's graph for them costs time.
    """
    # Statistics are levelled once an epoch, and validation runs on parts of unequal length. What
    # says so has another name from torch 2.13.
    known = signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    settings: dict[str, Any] = {name: False}
    return DDPStrategy(static_graph=True, **settings)


_ENVIRONMENTS: Mapping[str, Callable[[], ClusterEnvironment]] = {
    "xrano": LightningEnvironment,
    "torchrun": TorchElasticEnvironment,
    "srun": SLURMEnvironment,
}


@dataclass(frozen=True)
class Job:
    """Processes that train together: how many on each machine, how many machines, who starts them.

    ``started_by`` is torchrun, srun or xrano.
    """

    on_each: int
    machines: int = 1
    started_by: str = "xrano"


def job_of(devices: int, environment: Mapping[str, str] | None = None) -> Job:
    """The job that this process is one of.

    Args:
        devices: processes asked for on this machine; 1 leaves it to torchrun or srun.
        environment: variables; those of the process if not given.

    Raises:
        ConfigError: if fewer than one is asked for, or the job has another number, or does not
            say how many run on each machine.

    Example:
        >>> job_of(1, {"TORCHELASTIC_RUN_ID": "7", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"})
        Job(on_each=4, machines=2, started_by='torchrun')
        >>> job_of(2, {})
        Job(on_each=2, machines=1, started_by='xrano')
    """
    variables = os.environ if environment is None else environment
    if devices < 1:
        raise ConfigError(f"devices must be ≥ 1, got {devices}")
    if "TORCHELASTIC_RUN_ID" in variables:
        started_by, total, each = "torchrun", "WORLD_SIZE", "LOCAL_WORLD_SIZE"
    elif "SLURM_PROCID" in variables and variables.get("SLURM_NTASKS", "1") != "1":
        started_by, total, each = "srun", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"
    else:
        return Job(devices)
    try:
        on_each = int(variables[each])
        job = Job(on_each, int(variables[total]) // on_each, started_by)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"{started_by} does not say in {each} how many processes run on each machine; with "
            "srun give --nodes and --ntasks-per-node in the place of --ntasks"
        ) from error
    if devices not in (1, job.on_each):
        raise ConfigError(
            f"{started_by} has started {job.on_each} processes on each machine, --devices says "
            f"{devices}; leave it out"
        )
    return job


def _launched(accelerator: str, precision: str, **settings: Any) -> Fabric:
    chosen: Any = precision
    try:
        fabric = Fabric(accelerator=accelerator, precision=chosen, **settings)
        fabric.launch()
    except (RuntimeError, ValueError, ImportError, MisconfigurationException) as error:
        raise ConfigError(
            f"accelerator {accelerator} with precision {precision} cannot be had on this machine: "
            f"{error}"
        ) from error
    return fabric


def share_statistics(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Let batch normalisation of several processes take its statistics over the whole batch.

    torch does so on GPUs alone: on processors each part of a batch is normalised by itself.
    """
    if fabric.world_size == 1 or fabric.device.type == "cpu":
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return converted


def optimiser_step(fabric: Fabric, model: nn.Module, optimizer: Any, loss: Tensor) -> None:
    """Backward, clipped gradients, and one step of the optimiser.

    Of several processes the gradient is the mean of theirs.
    """
    optimizer.zero_grad()
    fabric.backward(loss)
    # Infinite gradients are ordinary in 16-mixed: its scaler leaves such a step out.
    fabric.clip_gradients(model, optimizer, max_norm=5.0, error_if_nonfinite=False)
    optimizer.step()
