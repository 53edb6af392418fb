"""What the methods can be told, in one place, so that a sidecar can say it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xrano.errors import ConfigError, UnknownNameError

OUTPUTS = ("logit", "log_softmax", "probability")
"""Which number of a class is explained."""

PRECISIONS = ("32", "bf16")
"""Forward passes in float32, or in bfloat16 where it is safe; sums are float32 either way."""

DEVICES = ("", "cpu", "cuda")
"""Where the network runs; empty for where it lies."""

OCCLUDED = ("pair", "visit", "channel")
"""What is hidden at once: a place in both scans, in one of them, or in one channel."""


@dataclass(frozen=True)
class AttributionSettings:
    """Settings of the methods; each method reads those that its row of the table names.

    ``layer``: module of class activation maps, or ``auto`` (the network's own coarsest),
    ``coarse``, ``middle``, ``fine``, ``all``; several are joined by commas. ``n_steps``: points of
    integrated gradients. ``memory_gb``: what the graph of one chunk of points may take; if one
    point does not fit, activations are computed again where the network offers it.
    ``output``: a name in :data:`OUTPUTS`. ``tolerance``: stop rule of integrated gradients, as a
    share of the largest change of any output; fixed ``n_steps`` if not given. ``max_steps``: where
    that rule gives up. ``n_samples``: draws of SmoothGrad and GradientSHAP. ``noise``: SmoothGrad's
    standard deviation as a share of the input's range. ``seed``: of every draw. ``blur``: standard
    deviation of the baseline ``blurred``, in voxels. ``block``: edge of an occluded block, in
    voxels. ``supervoxels``: about how many. ``occlude``: a name in :data:`OCCLUDED`.
    ``permutations``: orders that Shapley values of more than eight players are sampled from.
    ``chunk``: most points, or scans with a part hidden, that run at once; what fits and is fastest
    if not given. ``precision``: a name in :data:`PRECISIONS`. ``device``: a name in
    :data:`DEVICES`.

    Raises:
        ConfigError: for a number out of its range.
        UnknownNameError: for an unknown output, way to occlude, precision or device.
    """

    layer: str | None = None
    n_steps: int = 32
    memory_gb: float = 2.0
    output: str = "logit"
    tolerance: float | None = None
    max_steps: int = 257
    n_samples: int = 25
    noise: float = 0.1
    seed: int = 0
    blur: float = 4.0
    block: int = 16
    supervoxels: int = 200
    occlude: str = "pair"
    permutations: int = 64
    chunk: int | None = None
    precision: str = "32"
    device: str = ""

    def __post_init__(self) -> None:
        if self.n_steps < 1 or not 0 < self.memory_gb < math.inf:
            raise ConfigError(
                f"n_steps ≥ 1 and memory_gb > 0 are needed, got {self.n_steps} and {self.memory_gb}"
            )
        if self.tolerance is not None and not 0 < self.tolerance < math.inf:
            raise ConfigError(f"tolerance > 0 is needed, got {self.tolerance}")
        if self.max_steps < 3:
            raise ConfigError(f"max_steps ≥ 3 are needed, got {self.max_steps}")
        for name in ("n_samples", "block", "supervoxels", "permutations", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} ≥ 1 is needed, got {value}")
        for name in ("noise", "blur"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} ≥ 0 is needed, got {getattr(self, name)}")
        for kind, name, known in (
            ("output", self.output, OUTPUTS),
            ("way to occlude", self.occlude, OCCLUDED),
            ("precision", self.precision, PRECISIONS),
            ("device", self.device, DEVICES),
        ):
            if name not in known:
                raise UnknownNameError(kind, name, known)

    @property
    def memory_bytes(self) -> float:
        """``memory_gb`` in bytes."""
        return self.memory_gb * 1e9
