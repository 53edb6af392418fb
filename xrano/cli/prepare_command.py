"""``xrano prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from xrano.cli.answers import Answer

EXAMPLE = (
    "xrano prepare index --out store --spacing_mm 2   "
    "(raw scans as in the paper:  --protocol paper --template SRI24_T1.nii)"
)
POSITIONAL_HELP = "folder of sessions.csv, segmentations.csv and, if there, pairs.csv"

JSON_KEYS = {
    "out": "folder of the store",
    "pairs": "how many there are",
    "shape": "voxels along i, j, k",
    "spacing_mm": "of these",
    "excluded": "pairs that could not be prepared",
    "problems": "failures and remarks, one entry each",
    "roots": "folders outside of the tables' own that images were read from",
    "without_healthy": "pairs that the whole brain had to normalise",
    "leak_probe": "what the probe says, in one line",
}


def run(
    index: Path,
    out: Path,
    protocol: Literal["default", "paper"] = "default",
    spacing_mm: float | None = None,
    normalisation: str | None = None,
    margin_mm: float | None = None,
    registration: str | None = None,
    chain: str | None = None,
    template: str | None = None,
    n4: bool | None = None,
    denoise: bool | None = None,
    box: tuple[int, ...] | None = None,
    affine_from: str | None = None,
    unrated: bool = False,
    allow_outside: bool = False,
    jobs: int = 0,
    quality: bool = False,
) -> Answer:
    """Bring every session of a pair to one grid, and measure the intensities of each pair.

    Images that lie in no common space yet (space native or session) are registered first, which
    needs pip install "xrano[prepare]". Run again, it goes on where it was; a session that fails is
    reported at the end, does not stop the others, and makes the exit status 1.

    Args:
        index: folder that xrano index wrote, or with tables written by hand.
        out: folder for the store.
        protocol: settings to start from: default (rigid, healthy tissue, cropped to the brain) or
            paper (N4, denoising, affine, z-score of the whole volume, 240×240×155 at 1 mm).
        spacing_mm: voxel size of the store; 0 keeps that of the images (of the template, where
            images are registered).
        normalisation: what normalises a pair: healthy, wm-peak, brain, or paper (whole volume).
        margin_mm: distance from any lesion beyond which tissue counts as healthy (10).
        registration: to the template: rigid keeps volumes as they are, affine does not.
        chain: sessions to the patient's first and that to the template (patient), or each session
            to the template by itself (atlas).
        template: mni152, a NIfTI file of a brain, or none.
        n4: correct the bias field.
        denoise: remove noise.
        box: fixed shape of the grid, such as 240 240 155; cropped to the brains if not given.
        affine_from: which of a file's two affines, sform or qform, holds where they disagree.
        unrated: also pair sessions without a rating (pairs.csv is then made anew).
        allow_outside: accept paths of a table written by hand that leave its folder.
        jobs: processes side by side; 0 for one a core.
        quality: also draw a page of each session (xrano quality).
    """
    from dataclasses import replace

    from xrano.cli.terminal import bar
    from xrano.data.preparation.indexed import prepare_index
    from xrano.data.preparation.prepare_settings import PROTOCOLS
    from xrano.data.store import open_store

    named: dict[str, Any] = {
        "spacing_mm": spacing_mm,
        "normalisation": normalisation,
        "margin_mm": margin_mm,
        "registration": registration,
        "chain": chain,
        "template": template,
        "n4": n4,
        "denoise": denoise,
        "box": box,
        "affine_from": affine_from,
    }
    chosen = {name: value for name, value in named.items() if value is not None}
    settings = replace(PROTOCOLS[protocol], **chosen)
    cohort = prepare_index(
        index, out, settings, unrated=unrated, allow_outside=allow_outside, jobs=jobs, progress=bar
    )
    store = open_store(out)
    verdict = _probe_verdict(store)
    lines = [cohort.describe(out), f"leak probe: {verdict}"]
    if quality:
        from xrano.experiments.store_quality import write_quality

        lines.append(write_quality(store, out / "quality", jobs=jobs, progress=bar).describe())
    lines.append(f"next:  xrano train {out} --out runs/first --preset laptop")
    values = {
        "out": out,
        "pairs": len(cohort.pairs),
        "shape": cohort.grid.shape,
        "spacing_mm": cohort.grid.spacing,
        "excluded": len(cohort.exclusions),
        "problems": cohort.problems,
        "roots": cohort.roots,
        "without_healthy": cohort.without_healthy,
        "leak_probe": verdict,
    }
    return Answer("\n".join(lines), values, cohort.require_whole)


def _probe_verdict(store: Any) -> str:
    """What the leak probe says, in one line."""
    from xrano.cli.terminal import bar
    from xrano.experiments.leak_report import probe_store

    return probe_store(store, permutations=100, progress=bar).verdict
