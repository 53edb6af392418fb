"""Guided backpropagation (Springenberg et al., arXiv:1412.6806)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def guided_backprop(work: Work, request: MethodRequest) -> list[Attribution]:
    """Gradients that pass a ReLU only where they are positive.

    It changes little when the network's later weights are randomised (Adebayo et al. 2018,
    arXiv:1810.03292): read it as a picture of edges that the network sees, not of what decides.
    """
    found = work.guided()
    return [work.result(request, target, found[target]) for target in work.targets]


def guided_passes(question: Question) -> Passes:
    """One forward and a backward a target, whichever methods use them."""
    return Passes(1, question.targets, shared="guided gradients")


SPEC = MethodSpec(
    "Guided backpropagation",
    "Springenberg et al. 2014, arXiv:1412.6806",
    guided_backprop,
    captum="GuidedBackprop",
    local=True,
    fits="networks with ReLU, as modules or functions; no transformers (GELU)",
    graphs=1,
    passes=guided_passes,
)
