"""Maps of all classes against Captum and MONAI class by class; reading a session.

    python -m benchmarks.attribution [--rows shared cams …] [--model densenet264]
        [--shape 96 112 96] [--repeats 5] [--steps 32] [--block 24]

Rows, each with six channels and all four classes:

* ``shared``: saliency + Grad-CAM, against Captum called once a class and method, and against the
  time of one forward and four backwards alone; the largest difference in float64, smaller volume.
* ``cams``: saliency, input × gradient and five class activation maps at three layers, against the
  same by Captum where it has them and by one forward and backward a map, class and layer where it
  has not. (pytorch-grad-cam is not installed; it makes a pass a map as well.)
* ``gradcam``: Grad-CAM alone, against Captum and against MONAI's GradCAM.
* ``ig``: integrated gradients at ``--steps`` points, against Captum at the same points, one a
  forward; and the points that the stop rule takes to reach that gap.
* ``occlusion``: block occlusion of scans that are 0 outside a brain, against MONAI's
  OcclusionSensitivity at the same blocks.
* ``memory``: the most memory of integrated gradients, each in a process of its own, against Captum
  with ``internal_batch_size=1``.
* ``reading``: one prepared session of four sequences at 1 mm to float32 tensors, against MONAI's
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

from benchmarks.attribution_rows import ROWS, make_case
from benchmarks.timing import alternate
from xrano.data.index import index_cohort
from xrano.data.normalisation import SequenceStatistics, normalise
from xrano.data.phantom.cohort import write_phantom
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.preparation.common_grid import brain_extent, cropped_to
from xrano.data.preparation.placed_session import read_brain, same_world
from xrano.data.preparation.prepare_session import prepare_session
from xrano.data.store import read_prepared, write_prepared
from xrano.data.tables import read_sessions

SEQUENCES = ("T1", "CT1", "T2", "FLAIR")


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
    """Run the rows that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", default=[*ROWS, "reading"], choices=[*ROWS, "reading"])
    parser.add_argument("--model", default="densenet264")
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 112, 96))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--block", type=int, default=24)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Input Tensor 0 did not already require gradients")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in arguments.rows:
        if name == "reading":
            measure_reading(arguments.repeats)
        else:
            ROWS[name](make_case(arguments))


if __name__ == "__main__":
    main()
