"""``xrano score``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano score runs/first --out scores   (or of saved maps: add  --maps explained/maps)"
POSITIONAL_HELP = "folder that xrano train or xrano demo wrote"


def run(
    run_dir: Path,
    out: Path,
    maps: Path | None = None,
    methods: tuple[str, ...] = ("saliency", "gradcam", "ig:zero", "ig:prior"),
    copies: int = 3,
    reduction: str = "sum",
    layer: str | None = None,
    n_steps: int = 16,
    memory_gb: float = 2.0,
    n_resamples: int = 2000,
    nulls: str = "primary",
    shard: str = "",
    store: Path | None = None,
) -> None:
    """Score how much of each map lies on the tumour, above chance and above untrained networks.

    Without --maps every held-out pair is explained and scored at once and nothing but scores is
    kept; with --maps the maps saved there are scored.

    Args:
        run_dir: the run.
        out: folder for scores.csv, summary.csv and the figure.
        maps: folder of saved maps.
        methods: saliency, gradcam, ig (ig:zero, ig:brain_mean, ig:prior).
        copies: random-weight copies of the network, the reference for the gain.
        reduction: over input channels: sum, mean, max.
        layer: module for Grad-CAM; the network's coarsest if not given.
        n_steps: points of integrated gradients.
        memory_gb: memory for one chunk of them.
        n_resamples: resamples of patients behind each 95 % interval.
        nulls: which masks are moved through the brain for the placement null: primary, all, none.
        shard: i/n: explain and score the i-th of n parts only; in a job of several (torchrun,
            SLURM) its own. Then run once without.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.attribution.methods import AttributionSettings
    from xrano.cli.terminal import bar
    from xrano.evaluation.text import rule_note
    from xrano.experiments.clinical_run import format_clinical, score_clinical
    from xrano.experiments.cohort import CohortSettings, score_cohort
    from xrano.experiments.saved_maps import score_saved_maps
    from xrano.experiments.scored_pair import null_regions
    from xrano.experiments.shards import shard_of
    from xrano.experiments.summary_files import write_summary, written_notes
    from xrano.scoring.summary_text import format_primary, unlabelled_note
    from xrano.training.run import open_run

    opened = open_run(run_dir, store=store)
    attribution = AttributionSettings(layer, n_steps, memory_gb)
    if maps is not None:
        table = score_saved_maps(
            opened, maps, out, reduction=reduction, nulls=null_regions(nulls), progress=bar
        )
    else:
        settings = CohortSettings(
            methods=tuple(methods),
            copies=copies,
            reduction=reduction,
            nulls=null_regions(nulls),
            attribution=attribution,
        )
        part = shard_of(shard)
        table = score_cohort(opened, out, settings, shard=part, progress=bar)
        if part is not None:
            print(f"part {part[0]} of {part[1]} is scored; after all parts run once without shard")
            return
    summary = write_summary(table, out, n_resamples=n_resamples)
    print(format_primary(summary))
    for note in (*written_notes(out), opened.leak_note, unlabelled_note(table), rule_note(table)):
        if note:
            print(note)
    if opened.config.model.clinical:
        shares = score_clinical(
            opened, out, settings=attribution, n_resamples=n_resamples, progress=bar
        )
        print(format_clinical(shares))
    beside = "summary and figure beside them" if len(summary) else "no summary: see above"
    print(f"{len(table)} scores in {out / 'scores.csv'}, {beside}")
