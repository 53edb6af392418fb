"""``xrano prepare``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano prepare index --out store --spacing_mm 2"
POSITIONAL_HELP = "folder of sessions.csv, segmentations.csv and, if there, pairs.csv"


def run(
    index: Path,
    out: Path,
    spacing_mm: float = 0.0,
    normalisation: str = "healthy",
    margin_mm: float = 10.0,
    unrated: bool = False,
) -> None:
    """Bring every session of a pair to one grid, and measure the intensities of each pair.

    Args:
        index: folder that xrano index wrote, or with tables written by hand.
        out: folder for the store.
        spacing_mm: voxel size of the store; 0 keeps that of the images.
        normalisation: tissue whose mean and SD normalise a pair: healthy, brain, wm-peak, volume.
        margin_mm: distance from any lesion beyond which tissue counts as healthy.
        unrated: also pair sessions without a rating (pairs.csv is then made anew).
    """
    from xrano.cli.terminal import bar
    from xrano.data.indexed import prepare_index
    from xrano.data.prepare_settings import PrepareSettings
    from xrano.data.store import open_store

    settings = PrepareSettings(spacing_mm, normalisation, margin_mm)
    grid, n_pairs = prepare_index(index, out, settings, unrated=unrated, progress=bar)
    size = "×".join(str(size) for size in grid.shape)
    spacing = "×".join(f"{size:g}" for size in grid.spacing)
    print(f"{n_pairs} pairs on {size} voxels of {spacing} mm in {out}")
    regions = open_store(out).statistics["pairs"].values()
    fallbacks = sum(pair["region"].startswith("common brain") for pair in regions)
    if fallbacks:
        print(
            f"{fallbacks} pairs have no healthy region (no segmentation, or too little tissue) and "
            "are normalised by the whole brain, which lets the tumour shift every voxel"
        )
    print(f"next:  xrano train {out} --out runs/first --preset laptop")
