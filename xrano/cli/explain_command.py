"""``xrano explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

EXAMPLE = (
    "xrano explain runs/first --pair Patient-042_week-010_week-022 "
    "--methods saliency gradcam ig:prior --out explained   "
    "(or two folders:  --prior DIR --current DIR;  every held-out pair:  --all)"
)
POSITIONAL_HELP = "folder that xrano train or xrano demo wrote"


def run(
    run_dir: Path,
    out: Path,
    pair: tuple[str, ...] = (),
    all: bool = False,  # noqa: A002 — the option's name
    shard: str = "",
    prior: Path | None = None,
    current: Path | None = None,
    methods: tuple[str, ...] = ("saliency", "gradcam", "ig"),
    target: Literal["predicted", "response", "all", "CR", "PR", "SD", "PD"] = "predicted",
    layer: str | None = None,
    n_steps: int = 32,
    memory_gb: float = 2.0,
    maps: Literal["none", "reduced", "full"] = "full",
    storage: Literal["float32", "int16"] = "float32",
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
        all: every held-out pair, each by the network that never saw it: maps, and no panels.
        shard: i/n: with --all the i-th of n parts; in a job of several (torchrun, SLURM) its own.
        prior: folder of the earlier session of a patient outside the cohort.
        current: folder of the later session.
        methods: saliency, gradcam, ig (ig:zero, ig:brain_mean, ig:prior).
        target: the class to explain.
        layer: module for Grad-CAM; the network's coarsest if not given.
        n_steps: points of integrated gradients.
        memory_gb: memory for one chunk of them.
        maps: what to save besides the panels: none, the sum over channels, or all channels.
        storage: with --all: float32, or int16 with a slope (off by half of it at most).
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
    from xrano.experiments.explained_cohort import CohortRequest
    from xrano.experiments.explained_pairs import explain_pairs
    from xrano.experiments.outside_pair import explain_outside
    from xrano.training.run import open_run

    outside = prior is not None and current is not None
    if bool(pair) + outside + all != 1 or (prior is None) != (current is None):
        raise ConfigError(
            "name pairs by --pair ID, two folders by --prior DIR --current DIR, or --all"
        )
    opened = open_run(run_dir, store=store)
    if background and background not in opened.layout.sequences:
        raise UnknownNameError("sequence", background, opened.layout.sequences)
    if all:
        if maps == "none":
            raise ConfigError(f"--all saves maps; to score without them: xrano score {run_dir}")
        request = CohortRequest(
            tuple(methods),
            target,
            maps,
            scan,
            storage,
            AttributionSettings(layer, n_steps, memory_gb),
        )
        _explain_all(opened, out, request, shard)
        return
    options: dict[str, Any] = {
        "target": target,
        "settings": AttributionSettings(layer, n_steps, memory_gb),
        "save_maps": maps != "none",
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
    if maps != "none":
        print(f"maps in {out / 'maps'}")
    if maps != "none" and pair:
        print(f"next:  xrano score {run_dir} --maps {out / 'maps'} --out {out / 'scores'}")


def _explain_all(opened: Any, out: Path, request: Any, shard: str) -> None:
    from xrano.cli.terminal import bar
    from xrano.experiments.explained_cohort import disk_bytes, explain_cohort, held_out
    from xrano.experiments.shards import of_shard, shard_of

    part = shard_of(shard)
    pairs = len(of_shard(held_out(opened), part))
    most = disk_bytes(opened, request, pairs) / 1e9
    print(f"{pairs} pairs, {', '.join(request.labels())}: at most {most:.1f} GB of maps in {out}")
    done = explain_cohort(opened, out, request, shard=part, progress=bar)
    print(f"{done.made} maps of a method and pair made, {done.found} were there")
    print(f"next:  xrano score {opened.root} --maps {out / 'maps'} --out {out / 'scores'}")
