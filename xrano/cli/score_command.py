"""``xrano score``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from xrano.cli.answers import Answer

EXAMPLE = "xrano score runs/first --out scores   (or of saved maps: add  --maps explained/maps)"
POSITIONAL_HELP = "folder that xrano train or xrano demo wrote"

JSON_KEYS = {
    "part": "i and n of a shard, which only scores; null without one",
    "scores": "rows of scores.csv",
    "summary": "the primary analysis: one entry a response and method, with lift and gain",
    "notes": "what to say beside the numbers, such as that they leak",
    "clinical": "shares of images and clinical data, of a run that sees these",
    "out": "folder of the tables; report.json in it holds everything that a page needs",
}


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
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["32", "bf16"] = "32",
    n_resamples: int = 2000,
    nulls: str = "primary",
    surrogates: int = 0,
    tuned_dice: bool = False,
    resample: bool = False,
    shard: str = "",
    store: Path | None = None,
) -> Answer:
    """Score how much of each map lies on the tumour, above chance and above untrained networks.

    Without --maps every held-out pair is explained and scored at once and nothing but scores is
    kept; with --maps the maps saved there are scored.

    Args:
        run_dir: the run.
        out: folder for scores.csv, the tables beside it, report.json and the figure; scores and
            nulls are also written as .parquet where pyarrow is installed (pip install
            'xrano[parquet]'), as CSV alone where it is not.
        maps: folder of saved maps.
        methods: saliency, gradcam, ig (ig:zero, ig:brain_mean, ig:prior).
        copies: random-weight copies of the network, the reference for the gain.
        reduction: over input channels: sum, mean, max.
        layer: module for Grad-CAM; the network's coarsest if not given.
        n_steps: points of integrated gradients.
        memory_gb: memory for one chunk of them.
        device: auto takes a GPU where there is one.
        precision: bf16 runs the network in bfloat16; sums stay in float32.
        n_resamples: resamples of patients behind each 95 % interval.
        nulls: which masks are moved through the brain for the placement null: primary, all, none.
        surrogates: how many maps as smooth as it, that know nothing of the tumour, each map of the
            network is also compared with in the primary region; none if 0, with a p from 19 on;
            some seconds each at 1 mm.
        tuned_dice: add Dice at a threshold that maps of training pairs of the fold chose.
        resample: with --maps, carry maps on another grid than the masks over to it; refused if not
            given. Their rows say so (column resampled), their status is that of the score.
        shard: i/n: explain and score the i-th of n parts only; in a job of several (torchrun,
            SLURM) its own. Then run once without.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.attribution.devices import choose_device
    from xrano.attribution.methods import AttributionSettings
    from xrano.cli.terminal import bar
    from xrano.evaluation.text import rule_note
    from xrano.experiments.clinical_run import format_clinical, score_clinical
    from xrano.experiments.cohort import CohortSettings
    from xrano.experiments.scored_pair import null_regions
    from xrano.experiments.shards import shard_of
    from xrano.experiments.summary_files import write_summary, written_notes
    from xrano.scoring.summary_text import format_primary, unlabelled_note
    from xrano.training.run import open_run

    opened = open_run(run_dir, store=store)
    attribution = AttributionSettings(
        layer, n_steps, memory_gb, device=choose_device(device), precision=precision
    )
    settings = CohortSettings(
        methods=tuple(methods),
        copies=copies,
        reduction=reduction,
        nulls=null_regions(nulls),
        surrogates=surrogates,
        tuned_dice=tuned_dice,
        attribution=attribution,
    )
    if maps is None:
        table = _score_held_out(opened, out, settings, shard, resample=resample)
    else:
        table = _score_saved(opened, maps, out, settings, resample=resample)
    values: dict[str, Any] = {**dict.fromkeys(JSON_KEYS), "notes": [], "out": out}
    if table is None:
        index, count = shard_of(shard) or (1, 1)
        said = f"part {index} of {count} is scored; after all parts run once without shard"
        return Answer(said, {**values, "part": [index, count]})
    summary = write_summary(table, out, n_resamples=n_resamples)
    every = (*written_notes(out), opened.leak_note, unlabelled_note(table), rule_note(table))
    notes = [note for note in every if note]
    values |= {"scores": len(table), "summary": summary, "notes": notes}
    lines = [format_primary(summary), *notes]
    if opened.config.model.clinical:
        shares = score_clinical(
            opened, out, settings=attribution, n_resamples=n_resamples, progress=bar
        )
        values["clinical"] = shares
        lines.append(format_clinical(shares))
    beside = "summary and figure beside them" if len(summary) else "no summary: see above"
    lines.append(f"{len(table)} scores in {out / 'scores.csv'}, {beside}")
    return Answer("\n".join(lines), values)


def _score_held_out(opened: Any, out: Path, settings: Any, shard: str, *, resample: bool) -> Any:
    """The table, or ``None`` after one part of several."""
    from xrano.cli.terminal import bar
    from xrano.errors import ConfigError
    from xrano.experiments.cohort import score_cohort, score_shard
    from xrano.experiments.score_plan import describe_scoring
    from xrano.experiments.shards import shard_of

    if resample:
        raise ConfigError("--resample is of saved maps: give --maps, or leave it out")
    part = shard_of(shard)
    print(describe_scoring(opened, out, settings, shard=part), flush=True)
    if part is not None:
        score_shard(opened, out, settings, part, progress=bar)
        return None
    return score_cohort(opened, out, settings, progress=bar)


def _score_saved(opened: Any, maps: Path, out: Path, settings: Any, *, resample: bool) -> Any:
    from xrano.cli.terminal import bar
    from xrano.errors import ConfigError
    from xrano.experiments.saved_maps import score_saved_maps
    from xrano.experiments.score_plan import describe_saved

    if settings.tuned_dice:
        raise ConfigError("--tuned-dice explains training pairs by the run: leave --maps out")
    print(describe_saved(opened, maps, out, settings.scoring()), flush=True)
    return score_saved_maps(
        opened,
        maps,
        out,
        reduction=settings.reduction,
        nulls=settings.nulls,
        surrogates=settings.surrogates,
        resample=resample,
        progress=bar,
    )
