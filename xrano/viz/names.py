"""Names for people: methods, attribution baselines, cells, and how a target was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xrano.geometry import Grid
from xrano.maps import AttributionMap

METHOD_NAMES: Mapping[str, str] = {
    "saliency": "Saliency",
    "input_x_gradient": "Input × gradient",
    "smoothgrad": "SmoothGrad",
    "ig": "Integrated gradients",
    "gradient_shap": "GradientSHAP",
    "deeplift": "DeepLift",
    "guided_backprop": "Guided backpropagation",
    "gradcam": "Grad-CAM",
    "gradcampp": "Grad-CAM++",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "layercam_fused": "LayerCAM, fused",
    "guided_gradcam": "Guided Grad-CAM",
    "tokengrad": "Token gradient",
    "occlusion": "Occlusion, blocks",
    "occlusion_supervoxels": "Occlusion, supervoxels",
    "occlusion_regions": "Occlusion, regions",
    "shapley_regions": "Shapley, regions × visits",
    "shapley_sequences": "Shapley, sequences × visits",
    "change": "|current − prior|",
    "uniform": "uniform map",
    "centre": "centre of the brain",
    "edges": "edges",
    "enhancement": "CT1 − T1",
    "training_mask": "mean training mask",
    "input_difference": "|scan − baseline|",
    "mask": "the mask at the cells",
}
"""Method name in a map's sidecar, or in a table of scores, to the name on a picture."""

BASELINE_NAMES: Mapping[str, str] = {
    "zero": "zero",
    "mean": "brain mean",
    "brain_mean": "brain mean",
    "brain-mean": "brain mean",
    "prior": "prior scan",
    "blurred": "blurred scan",
    "training_mean": "training mean",
    "another": "another patient",
    "training": "training pairs",
}
"""Reference input of an attribution method to its name on a picture."""


def method_name(method: str) -> str:
    """The name on a picture; a method without one is shown as it is.

    ``method`` may hold a baseline after a colon and a layer after an at sign, as in tables of
    scores.

    Example:
        >>> method_name("gradcam@features"), method_name("ig:prior")
        ('Grad-CAM, features', 'Integrated gradients, prior scan')
    """
    rest, _, layer = method.partition("@")
    name, _, baseline = rest.partition(":")
    parts = (METHOD_NAMES.get(name, name), baseline_name(baseline), layer)
    return ", ".join(part for part in parts if part)


def baseline_name(baseline: str) -> str:
    """The name of an attribution baseline; one without a name is shown as it is."""
    return BASELINE_NAMES.get(baseline, baseline)


def map_group(attribution: AttributionMap) -> tuple[str, str, str]:
    """Method, baseline and layer: maps that agree in them have one unit and can be compared."""
    meta = attribution.meta
    return (
        str(meta.get("method") or "attribution"),
        str(meta.get("baseline") or ""),
        str(meta.get("layer") or ""),
    )


def map_title(attribution: AttributionMap, case_grid: Grid) -> list[str]:
    """Lines that say what a map is: method, cells, baseline, and weights not trained.

    Args:
        attribution: the map, as the method gave it or carried to the grid of the scans.
        case_grid: grid of the scans; a coarse map names its cells unless nothing tells them.
    """
    method, baseline, _ = map_group(attribution)
    lines = [method_name(method)]
    if baseline:
        lines.append(f"baseline: {baseline_name(baseline)}")
    weights = str(attribution.meta.get("weights") or "trained")
    if weights not in ("trained", "none"):
        lines.append(f"{weights} weights")
    if attribution.coarse:
        recorded = attribution.meta.get("feature_grid")
        if isinstance(recorded, Mapping) and recorded.get("spacing_mm"):
            lines[0] += f", cells {cell_text(recorded['spacing_mm'])}"
        elif not attribution.grid.matches(case_grid):
            lines[0] += f", cells {cell_text(attribution.grid.spacing)}"
    return lines


def cell_text(spacing: Sequence[float]) -> str:
    """Cell size in whole mm, along i, j, k where they differ.

    Example:
        >>> cell_text((34.3, 34.3, 38.8)), cell_text((32, 32, 32))
        ('34 × 34 × 39 mm', '32 mm')
    """
    sizes = [f"{size:.0f}" for size in spacing]
    return f"{sizes[0] if len(set(sizes)) == 1 else ' × '.join(sizes)} mm"


def target_text(meta: Mapping[str, Any], *, predicted: str, response: str) -> str:
    """``target PD (predicted)``: the class that a map explains and what it is in this case.

    Example:
        >>> target_text({"target_name": "PD"}, predicted="PD", response="SD")
        'target PD (predicted)'
    """
    target = str(meta.get("target_name") or "")
    if not target:
        return "no target class"
    roles = target_roles(target, predicted=predicted, response=response)
    return f"target {target} ({' and '.join(roles)})" if roles else f"target {target}"


def target_roles(target: str, *, predicted: str, response: str) -> list[str]:
    """What a class is in a case: ``predicted``, ``true response``, both or neither."""
    named = (("predicted", predicted), ("true response", response))
    return [role for role, name in named if name == target]
