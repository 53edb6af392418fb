"""The rows of ``benchmarks.attribution`` that make maps."""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import captum.attr
import numpy as np
import torch
from monai.visualize.class_activation_maps import GradCAM
from monai.visualize.occlusion_sensitivity import OcclusionSensitivity
from nilearn.datasets import load_mni152_brain_mask
from torch import Tensor, nn

from benchmarks.timing import alternate
from xrano.attribution.grad_cam import captum_grad_cam
from xrano.attribution.integrated_gradients import captum_integrated_gradients
from xrano.attribution.layers import find_layer, find_layers
from xrano.attribution.methods import Attribution, AttributionSettings, MethodRequest, attribute
from xrano.attribution.pass_memory import pass_memory
from xrano.attribution.saliency import captum_saliency
from xrano.attribution.supervoxels import blocks
from xrano.channels import ChannelLayout
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import create_model

TARGETS = range(4)
AMPLE_GB = 64.0
"""A budget that any one pass fits, activations and all."""

CAMS = ("gradcam", "gradcampp", "hirescam", "layercam")
"""With their fusion the five of the row ``cams``."""


@dataclass(frozen=True)
class Case:
    """A network, its scans, and the options of the rows."""

    name: str
    model: ResponseClassifier
    inputs: Tensor
    repeats: int
    steps: int
    block: int

    @property
    def text(self) -> str:
        """What is measured, for a heading."""
        size = "×".join(map(str, self.inputs.shape[1:]))
        return f"4 classes, {self.name}, {size}, float32"

    def explain(self, *methods: str, **settings: object) -> list[Attribution]:
        """Every map by xrano."""
        brain = torch.ones(self.inputs.shape[2:], dtype=torch.bool)
        requests = [MethodRequest.parse(method) for method in methods]
        options = AttributionSettings(**settings)  # type: ignore[arg-type]
        return attribute(self.model, self.inputs, requests, TARGETS, brain=brain, settings=options)[
            1
        ]


def make_case(arguments: argparse.Namespace) -> Case:
    """A network with random weights and scans of noise."""
    layout = ChannelLayout(("T1", "T2", "FLAIR"))
    model = create_model(arguments.model, layout).eval()
    for parameter in model.parameters():
        # As in xrano, so that Captum is not slowed by gradients that nobody asked for.
        parameter.requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn((1, len(layout), *arguments.shape), generator=generator)
    return Case(arguments.model, model, inputs, arguments.repeats, arguments.steps, arguments.block)


def shared(case: Case) -> None:
    """Saliency and Grad-CAM."""

    def captums(
        model: ResponseClassifier = case.model, inputs: Tensor = case.inputs
    ) -> list[Tensor]:
        _, layer = find_layer(model, None)
        found = [captum_saliency(model, inputs.clone(), target) for target in TARGETS]
        return found + [captum_grad_cam(model, inputs, target, layer) for target in TARGETS]

    def passes() -> None:
        leaf = case.inputs.clone().requires_grad_(True)
        logits = case.model(leaf)
        for target in TARGETS:
            torch.autograd.grad(logits[0, target], leaf, retain_graph=target < TARGETS[-1])

    def ours() -> list[Attribution]:
        return case.explain("saliency", "gradcam")

    fast, slow, ratio = alternate(ours, captums, repeats=case.repeats)
    _, _, share = alternate(passes, ours, repeats=case.repeats)
    print(f"saliency + Grad-CAM, {case.text}")
    print(f"  xrano {fast:.2f} s, Captum class by class {slow:.2f} s: {ratio:.2f}× faster")
    print(f"  {share:.2f} × the time of one forward and four backwards (needed: ≤ 1.15)")
    small = case.inputs[..., :64, :72, :68].double()
    model = create_model(case.name, case.model.layout).double().eval()
    mine = Case(case.name, model, small, 1, 1, 1).explain("saliency", "gradcam")
    pairs = zip((item.values for item in mine), captums(model, small), strict=True)
    most = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    print(f"  largest difference in float64: {most:.1e} of max |map| (needed: ≤ 1e-6)")


def cams(case: Case) -> None:
    """Saliency, input × gradient and five maps at three layers."""
    names = list(find_layers(case.model, "all"))[:3]
    modules = [dict(case.model.named_modules())[name] for name in names]

    def ours() -> list[Attribution]:
        methods = ("saliency", "input_x_gradient", *CAMS, "layercam_fused")
        return case.explain(*methods, layer=",".join(names))

    def captums() -> None:
        for target in TARGETS:
            captum_saliency(case.model, case.inputs.clone(), target)
            captum.attr.InputXGradient(case.model).attribute(case.inputs.clone(), target=target)
            for module in modules:
                captum_grad_cam(case.model, case.inputs, target, module)
                # HiResCAM's definition; Grad-CAM++ and LayerCAM take the same passes.
                cell_wise = captum.attr.LayerGradientXActivation(case.model, module)
                for _ in ("hirescam", "gradcampp", "layercam"):
                    cell_wise.attribute(case.inputs, target=target)

    fast, slow, ratio = alternate(ours, captums, repeats=case.repeats)
    print(f"saliency, input × gradient, five CAMs at {len(names)} layers, {case.text}")
    print(f"  xrano {fast:.2f} s, a pass a map {slow:.2f} s: {ratio:.2f}× faster")


def gradcam(case: Case) -> None:
    """Grad-CAM alone."""
    name, module = find_layer(case.model, None)
    # MONAI leaves hooks behind.
    theirs = copy.deepcopy(case.model)

    def captums() -> None:
        for target in TARGETS:
            captum_grad_cam(case.model, case.inputs, target, module)

    def monais() -> None:
        for target in TARGETS:
            # It needs something that asks for gradients.
            leaf = case.inputs.clone().requires_grad_(True)
            GradCAM(nn_module=theirs, target_layers=name)(leaf, class_idx=target)

    print(f"Grad-CAM, {case.text}")
    for peer, work in (("Captum", captums), ("MONAI", monais)):
        fast, slow, ratio = alternate(lambda: case.explain("gradcam"), work, repeats=case.repeats)
        print(f"  xrano {fast:.2f} s, {peer} class by class {slow:.2f} s: {ratio:.2f}× faster")


def ig(case: Case) -> None:
    """Integrated gradients, and what its stop rule saves."""
    zeros = torch.zeros_like(case.inputs)

    def captums() -> None:
        for target in TARGETS:
            captum_integrated_gradients(case.model, case.inputs, target, zeros, case.steps)

    fast, slow, ratio = alternate(
        lambda: case.explain("ig", n_steps=case.steps, chunk=1),
        captums,
        repeats=case.repeats,
    )
    print(f"integrated gradients, {case.steps} steps, one a forward, {case.text}")
    print(f"  xrano {fast:.2f} s, Captum class by class {slow:.2f} s: {ratio:.2f}× faster")
    fixed = case.explain("ig", n_steps=case.steps)
    gaps = [abs(item.convergence_delta or 0.0) for item in fixed]
    with torch.no_grad():
        largest = float((case.model(case.inputs) - case.model(zeros)).abs().max())
    tolerance = max(max(gaps) / largest, 1e-9)
    stopped = case.explain("ig", tolerance=tolerance)
    steps = [item.details["n_steps"] for item in stopped]
    closed = sum(item.details["converged"] for item in stopped)
    print(f"  stop rule at the same gap ({tolerance:.1e}): {steps} points, {closed} of 4 closed")


def occlusion(case: Case) -> None:
    """Block occlusion, every class at once, of scans that are 0 outside a brain, as scans are."""
    brain = _brain(case.inputs.shape[2:])
    case = replace(case, inputs=case.inputs * brain)

    def monais() -> None:
        peer = OcclusionSensitivity(case.model, mask_size=case.block, overlap=0.0, mode=0.0)
        peer(case.inputs)

    fast, slow, ratio = alternate(
        lambda: case.explain("occlusion", block=case.block), monais, repeats=case.repeats
    )
    labels = blocks(tuple(brain.shape), case.block)
    kept, total = len(labels[brain].unique()), len(labels.unique())
    print(f"occlusion by blocks of {case.block} voxels, {case.text}")
    print(
        f"  {total} blocks, {total - kept} of them outside the brain, where hiding changes nothing"
    )
    print(f"  xrano {fast:.2f} s, MONAI {slow:.2f} s: {ratio:.2f}× faster (needed: ≥ 1.2)")


def _brain(shape: torch.Size) -> torch.Tensor:
    """The MNI152 brain, stretched over a grid."""
    mask = np.asarray(load_mni152_brain_mask(resolution=2).dataobj) > 0
    places = np.argwhere(mask)
    box = tuple(slice(*ends) for ends in zip(places.min(0), places.max(0) + 1, strict=True))
    found = torch.from_numpy(mask[box].astype(np.float32))[None, None]
    return nn.functional.interpolate(found, size=tuple(shape))[0, 0] > 0


def memory(case: Case) -> None:
    """The most memory of integrated gradients in a process of its own."""
    ours = _peak(_our_gradients, case)
    lean = _peak(_lean_gradients, case)
    theirs = _peak(_captum_gradients, case)
    print(f"integrated gradients, most memory of a process, 2 steps, {case.text}")
    print(
        f"  xrano {ours / 1e9:.2f} GB, Captum {theirs / 1e9:.2f} GB: "
        f"{ours / theirs:.2f}× (needed: ≤ 1.0)"
    )
    print(f"  xrano with activations computed again {lean / 1e9:.2f} GB: {lean / theirs:.2f}×")


def _our_gradients(case: Case) -> None:
    case.explain("ig", n_steps=2, chunk=1, memory_gb=AMPLE_GB)


def _lean_gradients(case: Case) -> None:
    kept = pass_memory(case.model, _shape(case), 0.0)
    case.explain("ig", n_steps=2, memory_gb=(kept.least + 1) / 1e9)


def _captum_gradients(case: Case) -> None:
    for target in TARGETS:
        captum_integrated_gradients(
            case.model, case.inputs, target, torch.zeros_like(case.inputs), 2
        )


def _peak(work: Callable[[Case], None], case: Case) -> int:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(work, case.name, _shape(case), sender))
    process.start()
    sender.close()
    try:
        return int(receiver.recv())
    finally:
        process.join()


def _shape(case: Case) -> tuple[int, int, int]:
    i, j, k = case.inputs.shape[2:]
    return i, j, k


def _measured(
    work: Callable[[Case], None], name: str, shape: tuple[int, ...], sender: Connection
) -> None:
    options = {"model": name, "shape": shape, "repeats": 1, "steps": 2, "block": 1}
    work(make_case(argparse.Namespace(**options)))
    sender.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


ROWS: dict[str, Callable[[Case], None]] = {
    "shared": shared,
    "cams": cams,
    "gradcam": gradcam,
    "ig": ig,
    "occlusion": occlusion,
    "memory": memory,
}
"""Name to what measures and prints it."""
