"""Saliency and Grad-CAM of all classes against Captum class by class; reading a session.

    python -m benchmarks.attribution [--shape 96 112 96] [--repeats 5]

* DenseNet264, 6 channels, all four classes: one forward and four backwards, against Captum called
  once a class and method. The largest difference is that in float64, on a smaller volume.
* One prepared session of four sequences at 1 mm to float32 tensors, against MONAI's
  LoadImaged + NormalizeIntensityd + ConcatItemsd on the same images as ``.nii.gz``.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import NormalizeIntensityd
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.utility.dictionary import ConcatItemsd, EnsureChannelFirstd
from torch import Tensor

from benchmarks.timing import alternate
from xrano.attribution.grad_cam import captum_grad_cam
from xrano.attribution.methods import MethodRequest, attribute
from xrano.attribution.model_state import find_layer
from xrano.attribution.saliency import captum_saliency
from xrano.channels import ChannelLayout
from xrano.data.index import index_cohort
from xrano.data.normalisation import SequenceStatistics, normalise
from xrano.data.phantom.cohort import write_phantom
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.preparation.common_grid import brain_extent, cropped_to
from xrano.data.preparation.placed_session import read_brain, same_world
from xrano.data.preparation.prepare_session import prepare_session
from xrano.data.store import read_prepared, write_prepared
from xrano.data.tables import read_sessions
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import create_model

TARGETS = range(4)
REQUESTS = [MethodRequest("saliency"), MethodRequest("gradcam")]
SEQUENCES = ("T1", "CT1", "T2", "FLAIR")


def shared(model: ResponseClassifier, inputs: Tensor) -> list[Tensor]:
    """Every map by xrano."""
    brain = torch.ones(inputs.shape[2:], dtype=torch.bool)
    _, found = attribute(model, inputs, REQUESTS, TARGETS, brain=brain)
    return [item.values for item in found]


def one_by_one(model: ResponseClassifier, inputs: Tensor) -> list[Tensor]:
    """Every map by Captum, once a class and method, as its documentation shows."""
    _, layer = find_layer(model, None)
    gradients = [captum_saliency(model, inputs.clone(), target) for target in TARGETS]
    return gradients + [captum_grad_cam(model, inputs, target, layer) for target in TARGETS]


def largest_difference(model: ResponseClassifier, inputs: Tensor) -> float:
    """Largest difference of any map, as a share of its own largest value."""
    pairs = zip(shared(model, inputs), one_by_one(model, inputs), strict=True)
    return max(float((ours - theirs).abs().max() / theirs.abs().max()) for ours, theirs in pairs)


def measure_attribution(shape: tuple[int, int, int], repeats: int) -> None:
    """Print the times, their ratio, and the largest difference."""
    layout = ChannelLayout(("T1", "T2", "FLAIR"))
    model = create_model("densenet264", layout).eval()
    for parameter in model.parameters():
        # As in xrano, so that Captum is not slowed by gradients that nobody asked for.
        parameter.requires_grad_(False)
    inputs = torch.randn((1, len(layout), *shape), generator=torch.Generator().manual_seed(0))
    ours, theirs, ratio = alternate(
        lambda: shared(model, inputs), lambda: one_by_one(model, inputs), repeats=repeats
    )
    print(f"saliency + Grad-CAM, 4 classes, DenseNet264, 6×{'×'.join(map(str, shape))}, float32")
    print(f"  xrano {ours:.2f} s, Captum class by class {theirs:.2f} s: {ratio:.2f}× faster")
    small = torch.randn((1, len(layout), 64, 72, 68), generator=torch.Generator().manual_seed(1))
    difference = largest_difference(model.double(), small.double())
    print(f"  largest difference in float64: {difference:.1e} of max |map| (needed: ≤ 1e-6)")


def measure_reading(repeats: int) -> None:
    """Print the times of reading one session at 1 mm."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings = PhantomSettings(patients=1, visits=(1, 1), spacing_mm=1.0, quirks=False)
        write_phantom(root / "phantom", settings)
        index_cohort(root / "phantom", root / "index")
        row = read_sessions(root / "index" / "sessions.csv").to_dict("records")[0]
        brain, base = read_brain(row, SEQUENCES, same_world(SEQUENCES))
        grid = cropped_to(base, [brain_extent(brain, base, base)])
        session, _ = prepare_session(row, [], SEQUENCES, grid)
        path = root / "session.safetensors"
        write_prepared(path, session, grid)
        ours, theirs, ratio = alternate(
            lambda: _read_store(path), _monai_reader(row), repeats=repeats
        )
        print(f"one session, 4 sequences at 1 mm ({'×'.join(map(str, grid.shape))} in the store)")
        print(f"  xrano {ours:.3f} s, MONAI on .nii.gz {theirs:.2f} s: {ratio:.1f}× faster")


def _read_store(path: Path) -> Tensor:
    session = read_prepared(path, SEQUENCES)
    statistics = SequenceStatistics(0.4, 0.2)
    inputs = np.empty((len(SEQUENCES), *session.brain.shape), dtype=np.float32)
    for channel, name in zip(inputs, SEQUENCES, strict=True):
        normalise(session.sequences[name], statistics, session.brain, out=channel)
    return torch.from_numpy(inputs)


def _monai_reader(row: dict[str, str]) -> Callable[[], Tensor]:
    files = {name: row[name] for name in SEQUENCES}
    pipeline = Compose(
        [
            LoadImaged(keys=SEQUENCES),
            EnsureChannelFirstd(keys=SEQUENCES),
            NormalizeIntensityd(keys=SEQUENCES, nonzero=True),
            ConcatItemsd(keys=SEQUENCES, name="image"),
        ]
    )
    return lambda: pipeline(files)["image"]


def main() -> None:
    """Run both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 112, 96))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Input Tensor 0 did not already require gradients")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    i, j, k = arguments.shape
    measure_attribution((i, j, k), arguments.repeats)
    measure_reading(arguments.repeats)


if __name__ == "__main__":
    main()
