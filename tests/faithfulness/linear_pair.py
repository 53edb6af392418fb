"""A pair on a small non-cubic grid and a network whose every answer is known in closed form."""

from __future__ import annotations

import numpy as np
import torch

from xrano.channels import ChannelLayout

LAYOUT = ChannelLayout(("T1", "FLAIR"))
SHAPE = (7, 5, 4)
SPACING = (1.0, 2.0, 3.0)


def draw(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_brain():
    brain = torch.ones(SHAPE, dtype=torch.bool)
    brain[0], brain[:, 4], brain[6, 0, 0] = False, False, False
    return brain


BRAIN = make_brain()
SCANS = draw(1, 4, *SHAPE)
GONE = draw(2, 4, *SHAPE)
WEIGHT = draw(3, 3, 4, *SHAPE)
N = int(BRAIN.sum())


def predict(batch):
    return torch.einsum("ncijk,bcijk->nb", batch, WEIGHT)


class Recording:
    """The linear network, with the sizes of the batches it was given."""

    def __init__(self):
        self.batches = []

    def __call__(self, batch):
        assert not torch.is_grad_enabled()
        self.batches.append(len(batch))
        return predict(batch)


def worth(target=1):
    """(i, j, k): how far the logit falls when a voxel of the scans gives way to the infill."""
    return (WEIGHT[target] * (SCANS - GONE)).sum(dim=0)


def logit(scans, target=1):
    return float((WEIGHT[target] * scans).sum())


def probability(scans, target=1):
    logits = np.array([logit(scans, b) for b in range(len(WEIGHT))])
    return float(np.exp(logits[target]) / np.exp(logits).sum())


def relevance(seed=5):
    return draw(seed, *SHAPE).abs()


def nothing_else_changed(work):
    """Run, and see that neither the scans nor any global random state was touched."""
    before = [SCANS.clone(), GONE.clone(), torch.get_rng_state(), np.random.get_state()[1].copy()]  # noqa: NPY002
    found = work()
    after = [SCANS, GONE, torch.get_rng_state(), torch.from_numpy(np.random.get_state()[1])]  # noqa: NPY002
    before[3] = torch.from_numpy(before[3])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    return found
