"""One training step of every arm of ``studies/paper.yaml`` on the paper's grid.

The input is a pair of a phantom patient at 1 mm, laid on 240×240×155 voxels; network, stem, loss,
labels and clinical vector are those of the arm, in float32 with AdamW, batch 1. Each arm runs in a
process of its own, one after the other::

    python -m benchmarks.paper_arms [--arms concatenation siamese]

A pretext task is trained for one epoch before, on the same patients at 6 mm. The two files of
weights and images that only a user can have are replaced by files of the same form with random
numbers: what is shown is that such an arm runs at this size, not what pretraining does.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.pretext_files import stand_in
from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import load_pair
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.store import Store, open_store
from xrano.experiments.phantom_store import make_store
from xrano.experiments.study.study_file import read_study
from xrano.models.step_cost import in_own_process, memory_bytes, peak_bytes, seconds_of
from xrano.progress import quiet
from xrano.tasks import TASKS
from xrano.training.config import RunConfig
from xrano.training.loss import Loss, label_shares
from xrano.training.network import new_network
from xrano.training.pretraining.pretrain import pretrain

SHAPE = (240, 240, 155)
STUDY = Path(__file__).parent.parent / "studies" / "paper.yaml"


def measure(name: str, stores: tuple[str, str], threads: int, shape: tuple[int, int, int]) -> str:
    """One arm, in words."""
    torch.set_num_threads(threads)
    start = memory_bytes()
    config = read_study(STUDY).arm(name).config()
    store, coarse = (open_store(Path(path)) for path in stores)
    inputs, truth, vector = batch(store, config, shape)
    names = ("sex", "age", "idh", "mgmt", "weeks_since_first", "weeks_since_prior")
    network = new_network(config, seed=0, clinical=names if config.model.clinical else ())
    said = start_from(config, network, coarse)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.training.learning_rate)
    classes = len(TASKS[config.task].classes)
    scale = config.training.ordinal_scale if config.training.labels == "ordinal" else None
    loss_of = Loss(label_shares(classes, ordinal_scale=scale), torch.ones(classes))
    losses = []

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = network(inputs, vector) if config.model.clinical else network(inputs)
        loss = loss_of(logits.float(), truth)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    seconds = seconds_of(step)
    gigabytes = (peak_bytes() - start) / 1e9
    return f"{seconds:6.1f} s  {gigabytes:5.2f} GB  loss {losses[-1]:.3f}{said}"


def batch(
    store: Store, config: RunConfig, shape: tuple[int, int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The first pair of the store, centred on the grid, with its class and a clinical vector."""
    row = store.pairs.iloc[0].to_dict()
    pair = load_pair(store, row, ChannelLayout(config.model.sequences))
    inputs = np.zeros((len(pair.inputs), *shape), dtype=np.float32)
    take, put = [], []
    for have, want in zip(pair.inputs.shape[1:], shape, strict=True):
        size = min(have, want)
        take.append(slice((have - size) // 2, (have - size) // 2 + size))
        put.append(slice((want - size) // 2, (want - size) // 2 + size))
    inputs[:, *put] = pair.inputs[:, *take]
    truth = torch.tensor([TASKS[config.task].index(row["response"])])
    return torch.from_numpy(inputs)[None], truth, torch.zeros(1, 12)


def start_from(config: RunConfig, network: torch.nn.Module, store: Store) -> str:
    """Pretrain as the arm says, for one epoch on the phantom or a stand-in file."""
    if config.pretraining.kind == "none":
        return ""
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        given = replace(config.pretraining, epochs=1)
        if given.path:
            given = replace(given, path=str(stand_in(given.kind, Path(folder))))
        patients = sorted(set(store.pairs["patient_id"]))
        pretrain(
            given,
            network,
            model=config.model,
            store=store,
            training_patients=patients[:1],
            held_out_patients=patients[1:],
            folder=Path(folder),
            seed=0,
            report=lambda text: said.append(str(text)),
        )
    return f"; {said[-1]}" if said else ""


@cache
def _arms() -> list[str]:
    return [arm.name for arm in read_study(STUDY).arms]


def main() -> None:
    """Measure every arm, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", nargs="+", default=_arms())
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE)
    arguments = parser.parse_args()
    size = "×".join(str(length) for length in arguments.shape)
    print(f"torch {torch.__version__}, {arguments.threads} threads, batch 1, {size}, float32")
    with tempfile.TemporaryDirectory() as folder:
        settings = PhantomSettings(patients=2, visits=(1, 1), spacing_mm=1.0, seed=5)
        stores = tuple(
            str(make_store(Path(folder) / f"{mm:g}", replace(settings, spacing_mm=mm), quiet))
            for mm in (1.0, 6.0)
        )
        for name in arguments.arms:
            said = in_own_process(measure, name, stores, arguments.threads, tuple(arguments.shape))
            print(f"{name:<32} {said}", flush=True)


if __name__ == "__main__":
    main()
