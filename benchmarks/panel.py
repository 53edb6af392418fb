"""How long does a case panel take, and how long the same slices one by one by nilearn?

    python -m benchmarks.panel [--repeats 3] [--out FOLDER] [--profile]

Three methods × four classes at 1 mm (182×218×182, synthetic): two scans, their change and twelve
maps on one slice, drawn and written as PNG. Maps of two methods have eight channels, which are
rectified, summed and scaled within the time. Needed: under 4 s on 2 cores; the exit status is 1 if
that is missed.

The peer draws the fifteen slices by ``nilearn.plotting.plot_stat_map``, one figure each, with the
masks as contours. It is given maps that are reduced, scaled and on the scans' grid already, which
is not in its time.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.panel_case import panel_case, panel_maps
from xrano.maps import AttributionMap
from xrano.viz.figure_files import save_figure
from xrano.viz.panel import case_panel
from xrano.viz.panel_case import PanelCase
from xrano.viz.slice_choice import slice_by_tumour
from xrano.viz.slices import Plane

NEEDED_S = 4.0


def main() -> int:
    """Measure both in turns; the exit status is 1 if a panel takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder that keeps the pictures")
    parser.add_argument("--profile", action="store_true", help="where the time of a panel goes")
    arguments = parser.parse_args()
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, matplotlib "
        f"{version('matplotlib')}, nilearn {version('nilearn')}, {os.cpu_count()} cores, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"
    )
    case, maps = panel_case(), panel_maps()
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.out or Path(folder)
        if arguments.profile:
            with cProfile.Profile() as profile:
                draw(case, maps, out)
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
            return 0
        images = peer_images(case, maps)
        ours, theirs = [], []
        for _ in range(arguments.repeats):
            ours.append(seconds(lambda: draw(case, maps, out)))
            theirs.append(seconds(lambda: draw_by_nilearn(case, images, out)))
    wall, cpu = (float(np.median([one[which] for one in ours])) for which in (0, 1))
    peer, peer_cpu = (float(np.median([one[which] for one in theirs])) for which in (0, 1))
    verdict = "met" if wall < NEEDED_S else "MISSED"
    print(
        f"case panel, 3 methods × 4 classes at 1 mm: {wall:.2f} s ({cpu:.2f} s of processor) "
        f"{verdict} (needed: under {NEEDED_S:g} s)"
    )
    print(
        f"the same {3 + len(maps)} slices by nilearn.plotting.plot_stat_map: {peer:.2f} s "
        f"({peer_cpu:.2f} s of processor), {peer / wall:.1f} times as long"
    )
    return 0 if wall < NEEDED_S else 1


def seconds(work: object) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    start, busy = time.perf_counter(), time.process_time()
    work()  # type: ignore[operator]
    return time.perf_counter() - start, time.process_time() - busy


def draw(case: PanelCase, maps: list[AttributionMap], out: Path) -> None:
    """The panel, from maps to file."""
    save_figure(case_panel(case, maps), out / "panel.png")


def peer_images(case: PanelCase, maps: list[AttributionMap]) -> dict[str, nib.Nifti1Image]:
    """What nilearn is given: scans, masks, and each map as one volume on the scans' grid."""
    prior, current = (np.asarray(scan["CT1"], np.float32) for scan in (case.prior, case.current))
    volumes = {"prior": prior, "current": current, "change": current - prior}
    for number, attribution in enumerate(maps):
        volume = attribution.resample_to(case.grid).reduced("absolute")
        volumes[f"map {number}"] = volume / np.percentile(volume[case.brain], 99.5)
    volumes["prior mask"] = case.prior_mask.astype(np.float32)
    volumes["current mask"] = case.current_mask.astype(np.float32)
    return {
        name: nib.Nifti1Image(volume.astype(np.float32), case.grid.affine)
        for name, volume in volumes.items()
    }


def draw_by_nilearn(case: PanelCase, images: dict[str, nib.Nifti1Image], out: Path) -> None:
    """Each slice in a figure of its own, with the outlines of both masks."""
    import matplotlib

    matplotlib.use("agg")
    from nilearn import plotting

    masks = [case.prior_mask, case.current_mask]
    cut = [slice_by_tumour(masks, case.grid, Plane.AXIAL, brain=case.brain).mm]
    shared = {"display_mode": "z", "cut_coords": cut, "radiological": True}
    for name, image in images.items():
        if name.endswith("mask"):
            continue
        if name in ("prior", "current"):
            display = plotting.plot_anat(image, **shared)
        else:
            display = plotting.plot_stat_map(
                image, bg_img=images["current"], threshold=0.2, vmax=1.0, **shared
            )
        for mask in ("prior mask", "current mask"):
            display.add_contours(images[mask], levels=[0.5], colors="c")
        display.savefig(out / f"nilearn {name}.png", dpi=150)
        display.close()


if __name__ == "__main__":
    sys.exit(main())
