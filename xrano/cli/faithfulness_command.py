"""``xrano faithfulness``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano faithfulness runs/first --out faithfulness --pairs 12"
POSITIONAL_HELP = "folder that xrano train or xrano demo wrote"

JSON_KEYS = {
    "summary": "one entry a test, method and number, as in faithfulness_summary.csv",
    "pairs": "pairs and patients that were measured, in words",
    "notes": "what to say beside the numbers, such as that they leak",
    "files": "what was written",
}


def run(
    run_dir: Path,
    out: Path,
    pairs: int = 12,
    methods: tuple[str, ...] = ("saliency", "gradcam", "ig:prior"),
    tests: tuple[str, ...] = (
        "perturbation",
        "interventions",
        "randomisation",
        "agreement",
        "misalignment",
    ),
    seed: int = 0,
    seed_runs: tuple[Path, ...] = (),
    dilation_mm: float = 4.0,
    n_steps: int = 16,
    memory_gb: float = 2.0,
    n_resamples: int = 2000,
    store: Path | None = None,
) -> Answer:
    """Test whether maps tell the truth about the network, on some held-out pairs.

    Every number stands beside what a random map, a random network or an untouched scan gives. It
    goes on where it was stopped; more pairs add to those that are done.

    Args:
        run_dir: the run.
        out: folder for faithfulness.csv, faithfulness_summary.csv and interventions.csv.
        pairs: held-out pairs, about as many of each response; chosen by the seed alone. Of fewer
            than 10 patients numbers are told and not judged.
        methods: saliency, gradcam, ig (ig:zero, ig:prior) and others of xrano methods.
        tests: perturbation (insertion, deletion, ROAD, infidelity, max-sensitivity), interventions
            (lesion erased or alone, visits swapped or doubled), randomisation (of weights),
            agreement (of folds and seeds), misalignment (1 to 3 mm and degrees).
        seed: of the choice of pairs and of every draw.
        seed_runs: other runs of the same network with other seeds; the seed-… folders beside the
            run's own if not given.
        dilation_mm: how far the tumour is grown before it is erased.
        n_steps: points of integrated gradients.
        memory_gb: memory for one chunk of them.
        n_resamples: resamples of patients behind each 95 % interval.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.attribution.methods import AttributionSettings
    from xrano.cli.terminal import bar
    from xrano.experiments.faithfulness_files import summarise, write_faithfulness
    from xrano.experiments.faithfulness_plan import describe_faithfulness
    from xrano.experiments.faithfulness_run import measure_faithfulness
    from xrano.experiments.faithfulness_settings import FaithfulnessSettings, told
    from xrano.experiments.faithfulness_text import faithfulness_text
    from xrano.training.run import open_run

    opened = open_run(run_dir, store=store)
    settings = FaithfulnessSettings(
        methods=tuple(methods),
        tests=tuple(tests),
        pairs=pairs,
        seed=seed,
        dilation_mm=dilation_mm,
        attribution=AttributionSettings(n_steps=n_steps, memory_gb=memory_gb),
    )
    print(describe_faithfulness(opened, out, settings, seeds=seed_runs), flush=True)
    measured = measure_faithfulness(opened, out, settings, seeds=seed_runs, progress=bar)
    summary = summarise(measured.rows, n_resamples=n_resamples, seed=seed)
    written = write_faithfulness(measured.rows, summary, measured.answers, out)
    pairs_told = told(measured.pairs)
    notes = [opened.leak_note] if opened.leak_note else []
    text = faithfulness_text(summary, pairs_told, tests=tests)
    return Answer(
        "\n".join([text, *notes, *(f"  {path}" for path in written)]),
        {"summary": summary, "pairs": pairs_told, "notes": notes, "files": written},
    )
