"""``xrano explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

EXAMPLE = (
    "xrano explain runs/first --pair Patient-042_week-010_week-022 "
    "--methods saliency gradcam ig:prior --out explained   "
    "(or two folders:  --prior DIR --current DIR)"
)
POSITIONAL_HELP = "folder that xrano train or xrano demo wrote"


def run(
    run_dir: Path,
    out: Path,
    pair: tuple[str, ...] = (),
    prior: Path | None = None,
    current: Path | None = None,
    methods: tuple[str, ...] = ("saliency", "gradcam", "ig"),
    target: Literal["predicted", "response", "all", "CR", "PR", "SD", "PD"] = "predicted",
    layer: str | None = None,
    n_steps: int = 32,
    memory_gb: float = 2.0,
    maps: bool = True,
    slice_by: Literal["tumour", "peak", "change", "centre"] = "tumour",
    planes: tuple[Literal["axial", "coronal", "sagittal"], ...] = ("axial",),
    convention: Literal["radiological", "neurological"] = "radiological",
    background: str = "",
    scan: str = "",
    store: Path | None = None,
) -> None:
    """Draw where the network looked, and save the maps on the patient's own scan.

    Args:
        run_dir: the run.
        out: folder for panels and maps.
        pair: pairs of the run's cohort, by pair_id.
        prior: folder of the earlier session of a patient outside the cohort.
        current: folder of the later session.
        methods: saliency, gradcam, ig (ig:zero, ig:brain_mean, ig:prior).
        target: the class to explain.
        layer: module for Grad-CAM; the network's coarsest if not given.
        n_steps: points of integrated gradients.
        memory_gb: memory for one chunk of them.
        maps: whether to save the maps besides the panels.
        slice_by: which slice is drawn.
        planes: one row of pictures each.
        convention: radiological shows the patient's left on the right.
        background: sequence under the maps; CT1 if not given, or the first there is.
        scan: sequence of the current scan whose own file maps are saved on and drawn over, in its
            own millimetres; the network's first, and a panel on the store's grid, if not given.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.attribution.methods import AttributionSettings
    from xrano.cli.terminal import bar
    from xrano.errors import ConfigError, UnknownNameError
    from xrano.experiments.explained_pairs import explain_pairs
    from xrano.experiments.outside_pair import explain_outside
    from xrano.training.run import open_run

    outside = prior is not None and current is not None
    if bool(pair) == outside or (prior is None) != (current is None):
        raise ConfigError("name pairs by --pair ID, or two folders by --prior DIR --current DIR")
    opened = open_run(run_dir, store=store)
    if background and background not in opened.layout.sequences:
        raise UnknownNameError("sequence", background, opened.layout.sequences)
    options: dict[str, Any] = {
        "target": target,
        "settings": AttributionSettings(layer, n_steps, memory_gb),
        "save_maps": maps,
        "scan": scan,
        "panel": {
            "slice_by": slice_by,
            "planes": tuple(planes),
            "convention": convention,
            "background": background or "CT1",
        },
    }
    if prior is not None and current is not None:
        panels = [explain_outside(opened, prior, current, methods, out, **options)]
    else:
        panels = explain_pairs(opened, pair, methods, out, progress=bar, **options)
    for path in panels:
        print(path)
    if maps:
        print(f"maps in {out / 'maps'}")
    if maps and pair:
        print(f"next:  xrano score {run_dir} --maps {out / 'maps'} --out {out / 'scores'}")
