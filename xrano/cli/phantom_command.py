"""``xrano phantom``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from xrano.cli.answers import Answer

EXAMPLE = "xrano phantom --out phantom --patients 24"

JSON_KEYS = {
    "cohort": "folder of the cohort, to be read by xrano index",
    "patients": "how many",
    "spacing_mm": "voxel size",
    "seed": "of the cohort",
}


def run(
    out: Path,
    patients: int = 24,
    spacing_mm: float = 4.0,
    seed: int = 0,
    mix: Literal["balanced", "lumiere"] = "balanced",
    reference: Literal["previous", "rano"] = "previous",
    margin: float = 0.15,
    misalignment_mm: float = 1.0,
    noise: float = 0.03,
    texture: float = 0.0,
    repeat_ratings: float = 0.0,
    hemisphere: Literal["both", "left", "right"] = "both",
    raw_scans: bool = False,
    hdglio: bool = False,
    jobs: int = 0,
) -> Answer:
    """Write a phantom cohort in LUMIERE's tree and tables, of known cause.

    Args:
        out: folder for the cohort.
        patients: number of patients, 1 to 999.
        spacing_mm: voxel size; 1 gives LUMIERE's atlas grid.
        seed: the same seed and settings give the same files.
        mix: share of the responses: balanced, or as in LUMIERE (PD 64 %, SD 24 %, CR 7 %, PR 5 %).
        reference: what a visit is rated against: the previous scan, or RANO's baseline and nadir.
        margin: distance of every volume change from the RANO thresholds, as a share.
        misalignment_mm: shift of each scan against the patient's own anatomy.
        noise: noise as a share of white matter's intensity.
        texture: strength of a texture that each patient has alone, at all visits; 0 for none.
        repeat_ratings: probability that a visit repeats the patient's own response; 0 for none.
        hemisphere: where lesions arise.
        raw_scans: also write the raw scans on their own grids.
        hdglio: also write HD-GLIO's registered images and segmentation.
        jobs: how many processes; 0 for one a core.
    """
    from xrano.cli.terminal import bar
    from xrano.data.phantom.cohort import write_phantom
    from xrano.data.phantom.settings import PhantomSettings

    settings = PhantomSettings(
        patients=patients,
        spacing_mm=spacing_mm,
        seed=seed,
        mix=mix,
        reference=reference,
        margin=margin,
        misalignment_mm=misalignment_mm,
        noise=noise,
        texture=texture,
        repeat_ratings=repeat_ratings,
        hemisphere=hemisphere,
        raw_scans=raw_scans,
        hdglio=hdglio,
    )
    write_phantom(out, settings, jobs=jobs, progress=bar)
    return Answer(
        f"phantom cohort in {out}; next:  xrano index {out} --out index",
        {"cohort": out, "patients": patients, "spacing_mm": spacing_mm, "seed": seed},
    )
