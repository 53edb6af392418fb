"""What training makes small: cross-entropy with class weights, softer labels, focus, confidence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Loss:
    """A weighted mean over the samples of ``−Σ_c q_c w_c (1 − p_c)^γ log p_c``.

    The weight of a sample is ``confidence · Σ_c q_c w_c``, so that hard labels without focus give
    torch's cross-entropy with class weights.

    ``labels``: (response, class) the share ``q`` of each class in the label of a response, see
    :func:`label_shares`; ``class_weights``: (class,) ``w``; ``focal_gamma``: ``γ ≥ 0`` of the focal
    loss (Lin et al., ICCV 2017, eq. 4).
    """

    labels: Tensor
    class_weights: Tensor
    focal_gamma: float = 0.0

    def __call__(
        self,
        logits: Tensor,
        truth: Tensor,
        confidence: Tensor | None = None,
        *,
        total: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch, or what some of its samples add to it.

        Args:
            logits: (sample, class) float32.
            truth: (sample,) class indices.
            confidence: (sample,) from 0 to 1; all 1 if not given. A batch without any confidence
                has loss 0.
            total: :meth:`weight` of the whole batch, where these are a part of it; the losses of
                all parts then add up to that of the batch.
        """
        shares = self._shares(truth.to(logits.device))
        log_p = nn.functional.log_softmax(logits, dim=1)
        focus = (1 - log_p.exp()) ** self.focal_gamma if self.focal_gamma else 1.0
        each = -(shares * focus * log_p).sum(dim=1)
        if confidence is not None:
            each = each * confidence.to(each)
        if total is None:
            total = self.weight(truth.to(logits.device), confidence)
        return each.sum() / total.to(each).clamp_min(torch.finfo(each.dtype).tiny)

    def weight(self, truth: Tensor, confidence: Tensor | None = None) -> Tensor:
        """The sum of the samples' weights, a scalar: what the loss of a batch is divided by."""
        weights = self._shares(truth).sum(dim=1)
        if confidence is not None:
            weights = weights * confidence.to(weights)
        return weights.sum()

    def _shares(self, truth: Tensor) -> Tensor:
        """(sample, class) ``q_c w_c``."""
        return self.labels.to(truth.device)[truth] * self.class_weights.to(truth.device)


def label_shares(num_classes: int, *, ordinal_scale: float | None = None) -> Tensor:
    """The share of each class in the label of each: (true class, class), rows summing to 1.

    Args:
        num_classes: how many.
        ordinal_scale: shares fall as ``exp(−scale · |i − j|)`` with the distance of classes in
            their order (Díaz and Marathe, CVPR 2019, eq. 1); hard labels if not given.

    Example:
        >>> label_shares(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        >>> [round(share, 2) for share in label_shares(4, ordinal_scale=1.0)[3].tolist()]
        [0.03, 0.09, 0.24, 0.64]
    """
    if ordinal_scale is None:
        return torch.eye(num_classes)
    place = torch.arange(num_classes, dtype=torch.float32)
    return torch.softmax(-ordinal_scale * (place[:, None] - place[None]).abs(), dim=1)
