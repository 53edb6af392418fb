"""What a report says of how it came about: methods text, versions, commands, citations."""

from __future__ import annotations

from typing import Any

import pandas as pd

import xrano
from xrano.experiments.report.case_rows import case_methods
from xrano.experiments.report.commands import (
    FOLDERS,
    CommandLines,
    explain_options,
    score_options,
)
from xrano.experiments.report.controls_section import NULL_WORDS
from xrano.experiments.report.exclusions_section import REASON_WORDS
from xrano.experiments.report.gathered import Gathered
from xrano.experiments.report.headline import PHANTOM_NOTE, is_phantom
from xrano.experiments.scored_run import run_facts
from xrano.report.citations import Citation, cited, method_citations, network_citations
from xrano.report.methods_text import (
    MethodUse,
    ScoringFacts,
    TrainingFacts,
    methods_paragraphs,
)
from xrano.report.tables import Command
from xrano.training.run import Run
from xrano.viz.names import method_name

_ALWAYS = ("matoso2025", "wen2010")
_OF_DATASET = {"lumiere": "suter2022"}
_SCORING = ("arras2022", "adebayo2018", "benjamini1995")
_LIBRARIES = ("kokhlikyan2020", "cardoso2022")


def methods_text(gathered: Gathered) -> list[str]:
    """Paragraphs to paste into a paper."""
    found = methods_paragraphs(training_facts(gathered), scoring_facts(gathered), xrano.__version__)
    note = f"{PHANTOM_NOTE[0].upper()}{PHANTOM_NOTE[1:]}."
    return [note, *found] if is_phantom(gathered) else found


def report_citations(gathered: Gathered) -> tuple[Citation, ...]:
    """The paper, the dataset, the libraries, and what defines every method and score used."""
    network = network_citations(gathered.run.config.model.name)
    methods = method_citations(case_methods(gathered.scored))
    scoring = _SCORING if gathered.scored is not None else ()
    datasets = [
        key
        for name, key in _OF_DATASET.items()
        if (gathered.run.store.sessions["dataset"] == name).any()
    ]
    return cited([*_ALWAYS, *datasets, *network, *methods, *scoring, *_LIBRARIES])


def versions(gathered: Gathered) -> list[tuple[str, str]]:
    """Libraries that scored the run, as they were then; this xrano if it was not scored."""
    found = {} if gathered.scored is None else gathered.scored.facts.get("versions") or {}
    known = {"xrano": xrano.__version__, **{str(key): str(value) for key, value in found.items()}}
    return sorted((key, value) for key, value in known.items() if key != "threads")


def made_by(gathered: Gathered, lines: CommandLines) -> list[Command]:
    """The commands that make the run and this report, in order."""
    run, sources = gathered.run, gathered.sources
    name = lines.path(run.root)
    store = lines.path(run.store.root)
    found = [
        Command(
            "Train (settings of this run)",
            f"xrano train {store} --config {lines.path(run.root / 'config.yaml')} --out {name}",
        ),
        Command("Judge the predictions", lines.evaluate()),
    ]
    if gathered.scored is not None and sources.scores.path is not None:
        options = score_options(gathered.scored.facts.get("settings") or {})
        line = f"xrano score {name} --out {lines.path(sources.scores.path)} {options}"
        found.append(Command("Explain and score every held-out pair", line.strip()))
    if sources.maps.path is not None:
        methods = case_methods(gathered.scored) or ["saliency", "gradcam", "ig:prior"]
        options, out = explain_options(methods), lines.path(sources.maps.path)
        line = f"xrano explain {name} {options} --out {out}"
        found.append(Command("Save maps for the pages of cases", line))
    if sources.faithfulness.path is not None:
        line = f"xrano faithfulness {name} --out {lines.path(sources.faithfulness.path)}"
        found.append(Command("Test faithfulness", line))
    if sources.audit.path is not None:
        found.append(Command("Audit the scores", f"xrano audit --out {_audit(lines, gathered)}"))
    found.append(Command("Write this report", f"xrano report {name} --out report"))
    return found


def training_facts(gathered: Gathered) -> TrainingFacts:
    """What the methods text says of data, network and folds."""
    run = gathered.run
    config, facts = run.config, run_facts(run)
    cases = gathered.cases[gathered.cases["response"] != ""]
    responses = cases["response"].map(run.task.class_of)
    counts = tuple(
        (name, int((responses == name).sum()), cases.loc[responses == name, "patient_id"].nunique())
        for name in run.task.classes
    )
    return TrainingFacts(
        network=config.model.name,
        network_citations=tuple(network_citations(config.model.name)),
        sequences=tuple(config.model.sequences),
        stem=config.model.stem,
        clinical=config.model.clinical,
        classes=tuple(run.task.classes),
        spacing_mm=tuple(float(size) for size in run.store.grid.spacing),
        trained=config.training.epochs > 0,
        training=_training(run),
        n_folds=facts["folds"],
        trained_folds=len(run.trained_folds),
        grouping=config.grouping,
        selection=config.selection,
        validation=config.validation_fraction,
        seed=config.seed,
        n_pairs=len(cases),
        n_patients=int(cases["patient_id"].nunique()),
        counts=counts,
        exclusions=_exclusions(gathered.exclusions),
        normalisation=str(run.store.statistics.get("normalisation", "healthy")),
        references=tuple(sorted({str(name) for name in cases["reference"]} - {""})),
        ruled=int((cases["rating_source"] == "rule").sum()),
    )


def scoring_facts(gathered: Gathered) -> ScoringFacts | None:
    """What it says of maps and scores; ``None`` if there are none."""
    scored = gathered.scored
    if scored is None:
        return None
    settings: dict[str, Any] = dict(scored.facts.get("settings") or {})
    summary, shuffle = scored.table("summary"), scored.table("shuffle")
    # The test of the whole cohort is told for itself.
    nulls = [
        str(name) for name in dict.fromkeys(scored.table("nulls")["null"]) if name in NULL_WORDS
    ]
    return ScoringFacts(
        methods=tuple(
            MethodUse(
                method_name(label),
                tuple(method_citations([label])),
                _settings_words(label, settings.get("attribution") or {}),
            )
            for label in case_methods(scored)
        ),
        reduction=str(settings.get("reduction", "sum")),
        copies=int(summary["n_copies"].max()) if len(summary) else 0,
        source=scored.source,
        permutations=int(shuffle["B"].max()) if len(shuffle) else 0,
        n_resamples=int(summary["n_resamples"].max()) if len(summary) else 2000,
        nulls=tuple(NULL_WORDS[name] for name in nulls),
    )


def _audit(lines: CommandLines, gathered: Gathered) -> str:
    path = gathered.sources.audit.path
    return FOLDERS["audit"] if path is None else lines.path(path)


def _training(run: Run) -> str:
    """Training settings in words."""
    one = run.config.training
    balancing = {
        "none": "without class weights",
        "weights": "with class weights in the loss",
        "sampler": "with a balanced sampler",
        "both": "with class weights and a balanced sampler",
        "paper": "with class weights and the paper's sampler",
    }.get(one.balancing, one.balancing)
    labels = "" if one.labels == "hard" else f", {one.labels} labels"
    pretraining = run.config.pretraining.kind
    start = "" if pretraining == "none" else f" after pretraining ({pretraining})"
    return (
        f"for at most {one.epochs} epochs in batches of {one.batch_size}, learning rate "
        f"{one.learning_rate:g} ({one.schedule}), weight decay {one.weight_decay:g}, {balancing}"
        f"{labels}{start}"
    )


def _settings_words(label: str, attribution: dict[str, Any]) -> str:
    """Settings of a method that matter for repeating it."""
    name = label.split("@")[0].split(":")[0]
    words = []
    if name == "ig" and attribution.get("n_steps"):
        words.append(f"{attribution['n_steps']} steps")
    if name in ("smoothgrad", "gradient_shap") and attribution.get("n_samples"):
        words.append(f"{attribution['n_samples']} samples")
    if attribution.get("layer") and ("cam" in name):
        words.append(f"layer {attribution['layer']}")
    return ", ".join(words)


def _exclusions(table: pd.DataFrame) -> tuple[tuple[str, int], ...]:
    known = {str(one): words for one, words in REASON_WORDS.items()}
    if table.empty:
        return ()
    counts = table["reason"].value_counts().sort_index()
    return tuple((known.get(str(name), str(name)), int(count)) for name, count in counts.items())
