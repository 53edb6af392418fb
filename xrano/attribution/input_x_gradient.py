"""Input × gradient (Shrikumar et al., arXiv:1605.01713)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xrano.attribution.method_spec import Attribution, MethodSpec

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def input_x_gradient(work: Work, request: MethodRequest) -> list[Attribution]:
    """The input times the gradient of each target; of a linear network, complete from zero."""
    return [
        work.result(request, target, work.inputs[0] * work.shared.inputs[target])
        for target in work.targets
    ]


SPEC = MethodSpec(
    "Input × gradient",
    "Shrikumar et al. 2016, arXiv:1605.01713",
    input_x_gradient,
    captum="InputXGradient",
    multiplicative=True,
    by_input=True,
)
