"""``xrano explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from xrano.cli.answers import Answer
from xrano.cli.explain_answers import JSON_KEYS as JSON_KEYS

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
    plan: bool = False,
    prior: Path | None = None,
    current: Path | None = None,
    methods: tuple[str, ...] = ("saliency", "gradcam", "ig"),
    target: str = "predicted",
    layer: str | None = None,
    n_steps: int = 16,
    tolerance: float | None = None,
    memory: str = "auto",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["32", "bf16"] = "32",
    output: Literal["logit", "log_softmax", "probability"] = "logit",
    seed: int = 0,
    n_samples: int = 25,
    block: int = 16,
    supervoxels: int = 200,
    occlude: Literal["pair", "visit", "channel"] = "pair",
    maps: Literal["none", "reduced", "full"] = "full",
    storage: Literal["float32", "int16"] = "float32",
    layout: Literal["case", "comparison"] = "case",
    slice_by: Literal["tumour", "peak", "change", "centre", "mosaic"] = "tumour",
    slices: int = 6,
    planes: tuple[Literal["axial", "coronal", "sagittal"], ...] = ("axial",),
    convention: Literal["radiological", "neurological"] = "radiological",
    background: str = "",
    rectification: Literal["auto", "absolute", "positive", "negative", "none"] = "auto",
    threshold: float = 0.2,
    percentile: float = 99.5,
    timepoints: Literal["together", "apart"] = "together",
    format: tuple[Literal["png", "svg", "pdf"], ...] = ("png",),  # noqa: A002 — as above
    width: Literal["screen", "single", "middle", "double"] = "screen",
    scan: str = "",
    store: Path | None = None,
) -> Answer:
    """Draw where the network looked, and save the maps on the patient's own scan.

    Args:
        run_dir: the run.
        out: folder for panels and maps.
        pair: pairs of the run's cohort, by pair_id.
        all: every held-out pair, each by the network that never saw it: maps, and no panels.
        shard: i/n: with --all the i-th of n parts; in a job of several (torchrun, SLURM) its own.
        plan: only say what it takes: passes, memory, time.
        prior: folder of the earlier session of a patient outside the cohort: T1.nii.gz, CT1.nii.gz,
            T2.nii.gz, FLAIR.nii.gz, perhaps brain_mask.nii.gz and segmentation.nii.gz, in the space
            of the run's scans; or a session of LUMIERE's tree.
        current: folder of the later session, likewise.
        methods: names that xrano methods lists, with baselines where they have them (ig:prior).
        target: predicted, response, all, a class, or two classes as PD-SD (why PD and not SD).
        layer: for class activation maps: a module's name, auto, coarse, middle, fine or all.
        n_steps: points of integrated gradients.
        tolerance: double those points until the map sums to the change up to this share of it.
        memory: for one chunk of passes, such as 8GB: 2GB on a processor if not given, on a GPU most
            of its own. If one pass does not fit, activations are computed again.
        device: a GPU if there is one, or by name; of several each process takes its own.
        precision: of forward passes: 32, or bf16 (about half the memory on a GPU, rougher maps).
        output: the number that is explained.
        seed: of methods that draw.
        n_samples: draws of smoothgrad and gradient_shap.
        block: edge of an occluded block, in voxels.
        supervoxels: about how many are occluded.
        occlude: what is hidden at once: a place in both scans, in one visit, or in one channel.
        maps: what to save besides the panels: none, the sum over channels, or all channels.
        storage: with --all: float32, or int16 with a slope (off by half of it at most).
        layout: a panel of each case (methods in rows, classes in columns with --target all), or
            one figure that compares methods (columns) on the same slice of each pair (rows).
        slice_by: which slice is drawn; mosaic draws several through the whole tumour.
        slices: of a mosaic.
        planes: one row of pictures each; one for a mosaic or a comparison.
        convention: radiological shows the patient's left on the right.
        background: sequence under the maps; CT1 if not given, or the first there is.
        rectification: which sign of a map is drawn; auto is absolute, and positive for class
            activation maps; none draws both signs in two colours.
        threshold: share of the colour scale below which nothing is drawn.
        percentile: of a map's magnitude in the brain at which its colour scale ends.
        timepoints: apart draws what a method says of the prior and of the current scan side by
            side.
        format: a panel is written as png, and as svg or pdf besides.
        width: screen, or a journal's column: single 89 mm, double 120 mm, full 183 mm.
        scan: sequence of the current scan whose own file maps are saved on and drawn over, in its
            own millimetres; the network's first, and a panel on the store's grid, if not given.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.attribution.devices import choose_device, usual_gigabytes
    from xrano.attribution.methods import AttributionSettings
    from xrano.cli.explain_answers import compare, draw, explain_all, require_drawable, tell_plan
    from xrano.cli.memory_size import gigabytes
    from xrano.errors import ConfigError, UnknownNameError
    from xrano.training.run import open_run

    outside = prior is not None and current is not None
    if bool(pair) + outside + all != 1 or (prior is None) != (current is None):
        raise ConfigError(
            "name pairs by --pair ID, two folders by --prior DIR --current DIR, or --all"
        )
    if all and layout != "case":
        raise ConfigError("--all saves maps and draws nothing; name pairs to compare by --pair")
    opened = open_run(run_dir, store=store)
    if background and background not in opened.layout.sequences:
        raise UnknownNameError("sequence", background, opened.layout.sequences)
    place = choose_device(device)
    settings = AttributionSettings(
        layer=layer,
        n_steps=n_steps,
        tolerance=tolerance,
        memory_gb=usual_gigabytes(place) if memory == "auto" else gigabytes(memory),
        output=output,
        seed=seed,
        n_samples=n_samples,
        block=block,
        supervoxels=supervoxels,
        occlude=occlude,
        precision=precision,
        device=place,
    )
    if plan:
        return tell_plan(opened, pair, all, methods, target, settings)
    if all:
        asked = (tuple(methods), target, maps, scan, storage, settings)
        return explain_all(opened, out, asked, shard)
    panel = {
        "slice_by": slice_by,
        "convention": convention,
        "background": background or "CT1",
        "rectification": None if rectification == "auto" else rectification,
        "threshold": threshold,
        "percentile": percentile,
        "width": None if width == "screen" else width,
    }
    of_case = {"planes": tuple(planes), "slices": slices, "timepoints": timepoints}
    require_drawable(panel, of_case)
    options: dict[str, object] = {
        "target": target,
        "settings": settings,
        "save_maps": maps != "none",
        "scan": scan,
    }
    chosen = (pair, prior, current)
    if layout == "case":
        options["panel"] = panel | of_case
        return draw(opened, out, chosen, methods, options, format)
    options["panel"] = panel
    return compare(opened, out, chosen, methods, options, (planes, format))
