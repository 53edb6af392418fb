"""``xrano layers``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano layers runs/first --out layers"
POSITIONAL_HELP = "folder that xrano train wrote"

JSON_KEYS = {
    "summary": "part, method, layer, cells, lift with interval, whether chosen: one entry each",
    "notes": "what to say beside the numbers, such as that they leak",
    "files": "what was written",
}


def run(
    run_dir: Path,
    out: Path,
    methods: tuple[str, ...] = ("gradcam", "hirescam", "layercam"),
    most_pairs: int = 60,
    n_resamples: int = 2000,
    store: Path | None = None,
) -> Answer:
    """Score class activation maps of every layer, choose one on training pairs, tell held-out ones.

    Args:
        run_dir: the run.
        out: folder for layers.csv, layers_summary.csv and the figure.
        methods: those that take a layer.
        most_pairs: training pairs, and held-out ones, of each fold.
        n_resamples: resamples of patients behind each 95 % interval.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.cli.terminal import bar
    from xrano.experiments.layer_files import layers_text, write_layers
    from xrano.experiments.layer_sweep import summarise_layers, sweep_layers
    from xrano.training.run import open_run

    opened = open_run(run_dir, store=store)
    rows = sweep_layers(opened, methods=tuple(methods), most_pairs=most_pairs, progress=bar)
    summary = summarise_layers(rows, n_resamples=n_resamples)
    written = write_layers(rows, summary, out)
    notes = [opened.leak_note] if opened.leak_note else []
    lines = [layers_text(summary), *notes, *(f"  {path}" for path in written)]
    return Answer("\n".join(lines), {"summary": summary, "notes": notes, "files": written})
