"""Methods text to paste into a paper, made of the settings and the numbers of a run.

Citations stand as author and year; the list of references is beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from xrano.report.citations import CITATIONS

_NORMALISED = {
    "healthy": "by the healthy tissue common to both scans of the pair",
    "wm-peak": "by the peak of the white matter of each scan",
    "brain": "by mean and standard deviation inside the brain of each scan",
    "paper": "by mean and standard deviation of each whole volume",
}

_EARLIER = {
    "previous": "the scan immediately before",
    "previous-rated": "the rated scan before",
    "baseline": "the first rated scan",
    "postop": "the first rated scan since the last operation",
    "nadir": "the rated scan of the least enhancing volume since the last operation",
}


@dataclass(frozen=True)
class MethodUse:
    """An attribution method as it was used: its name, the keys of its citations, its settings."""

    name: str
    citations: tuple[str, ...] = ()
    settings: str = ""


@dataclass(frozen=True)
class TrainingFacts:
    """How the network came about.

    ``counts``: class to (pairs, patients) held out; ``exclusions``: reason to number of sessions;
    ``network_citations``: keys; ``training``: learning rate, batch and the like, in words;
    ``trained``: whether it has learnt anything; ``normalisation``: its name; ``references``: which
    earlier scans pairs were made with; ``ruled``: pairs rated by the volumetric rule.
    """

    network: str
    network_citations: tuple[str, ...]
    sequences: tuple[str, ...]
    stem: str
    clinical: bool
    classes: tuple[str, ...]
    spacing_mm: tuple[float, ...]
    trained: bool
    training: str
    n_folds: int
    trained_folds: int
    grouping: str
    selection: str
    validation: float
    seed: int
    n_pairs: int
    n_patients: int
    counts: tuple[tuple[str, int, int], ...]
    exclusions: tuple[tuple[str, int], ...]
    normalisation: str = "healthy"
    references: tuple[str, ...] = ()
    ruled: int = 0
    n_resamples: int = 2000


@dataclass(frozen=True)
class ScoringFacts:
    """How maps were scored; ``nulls``: what each score was compared with, in words."""

    methods: tuple[MethodUse, ...]
    reduction: str
    copies: int
    source: str
    permutations: int
    n_resamples: int
    nulls: tuple[str, ...] = ()


def methods_paragraphs(
    training: TrainingFacts, scoring: ScoringFacts | None, version: str
) -> list[str]:
    """The paragraphs: data, network, attribution and statistics.

    Args:
        training: how the network came about.
        scoring: how its maps were scored; ``None`` if they were not.
        version: of xrano.
    """
    found = [_data(training), _network(training), _judging(training)]
    if scoring is not None:
        found += [_attribution(scoring), _overlap(scoring)]
    found.append(
        f"Everything was computed with xrano {version}, with attributions by or checked against "
        f"Captum ({_short('kokhlikyan2020')}) and networks of MONAI ({_short('cardoso2022')})."
    )
    return found


def _data(facts: TrainingFacts) -> str:
    counts = ", ".join(
        f"{pairs} {name} of {patients} patients" for name, pairs, patients in facts.counts
    )
    spacing = " × ".join(f"{size:g}" for size in facts.spacing_mm)
    text = (
        f"Each case is a pair of MRI sessions of one patient{_references(facts)}, with the "
        f"response (RANO, {_short('wen2010')}) rated at the later one{_raters(facts)}. Held out "
        f"for judging were {facts.n_pairs} pairs of {facts.n_patients} patients ({counts}). "
        f"Scans were brought to one grid of {spacing} mm."
    )
    if facts.exclusions:
        total = sum(count for _, count in facts.exclusions)
        why = "; ".join(f"{reason} ({count})" for reason, count in facts.exclusions)
        text += f" {total} sessions are the later scan of no pair: {why}."
    return text


def _references(facts: TrainingFacts) -> str:
    """What the earlier scan of a pair is; empty where that is not known."""
    named = [_EARLIER.get(name, name) for name in facts.references]
    return f", the later one and {' or '.join(named)}" if named else ""


def _raters(facts: TrainingFacts) -> str:
    if not facts.ruled:
        return ""
    if facts.ruled == facts.n_pairs:
        return " by the volumetric rule, not by a reader"
    return f" ({facts.ruled} of {facts.n_pairs} by the volumetric rule, the others by a reader)"


def _unseen(facts: TrainingFacts) -> str:
    return "the patient" if facts.grouping == "patient" else "the session (other sessions it saw)"


def _network(facts: TrainingFacts) -> str:
    cited = "; ".join(_short(key) for key in facts.network_citations)
    name = f"{facts.network} ({cited})" if cited else facts.network
    inputs = f"{', '.join(facts.sequences)} of both sessions"
    how = {
        "concat": "stacked as channels",
        "subtract": "as their difference, later minus earlier",
        "concat+subtract": "stacked as channels together with their difference",
        "siamese": "through one shared stem for each session",
    }.get(facts.stem, facts.stem)
    clinical = ", with sex, age, IDH, MGMT and the weeks between them" if facts.clinical else ""
    text = (
        f"A {name} network takes {inputs}, {how}{clinical}, and rates "
        f"{', '.join(facts.classes)}. Intensities were normalised "
        f"{_NORMALISED.get(facts.normalisation, facts.normalisation)}."
    )
    if not facts.trained:
        return f"{text} Its weights are random (seed {facts.seed}): it was not trained."
    return f"{text} It was trained {facts.training}; seed {facts.seed}."


def _judging(facts: TrainingFacts) -> str:
    if not facts.trained:
        return "An untrained network has no accuracy to judge."
    kept = {
        "patient": "so that no patient is on both sides",
        "timepoint": "dividing sessions, so that patients are on both sides (which leaks)",
    }.get(facts.grouping, facts.grouping)
    chosen = {
        "inner": f"on {facts.validation:.0%} of the training patients",
        "test": "on the held-out fold itself (which leaks)",
    }.get(facts.selection, facts.selection)
    folds = (
        "all of them" if facts.trained_folds == facts.n_folds else f"{facts.trained_folds} of them"
    )
    return (
        f"Patients were divided into {facts.n_folds} folds, stratified by response, {kept}; "
        f"{folds} served as test fold. The epoch was chosen {chosen}. Predictions are those of "
        f"the network that was not trained on {_unseen(facts)}, pooled over folds. The main "
        f"measure is balanced accuracy; 95 % intervals are percentiles of {facts.n_resamples} "
        "resamples of patients in which every class is present."
    )


def _attribution(facts: ScoringFacts) -> str:
    told = [
        f"{use.name}"
        + (f" ({'; '.join(_short(key) for key in use.citations)})" if use.citations else "")
        + (f", {use.settings}" if use.settings else "")
        for use in facts.methods
    ]
    return (
        f"Each held-out pair was explained for its predicted class by {'; '.join(told)}. Maps were "
        f"rectified (absolute values of voxel-wise maps, positive part of class activation maps) "
        f"and reduced over channels by their {facts.reduction}; class activation maps were placed "
        "by the strides and paddings of their layer."
    )


def _overlap(facts: ScoringFacts) -> str:
    nulls = f" Each score was also compared with {', '.join(facts.nulls)}." if facts.nulls else ""
    shuffled = (
        f" The confirmatory test permutes masks among patients of similar tumour size "
        f"({facts.permutations:,} permutations), corrected for all methods and responses by the "
        "largest z."
        if facts.permutations
        else ""
    )
    segmentation = f" ({facts.source} segmentation)" if facts.source else ""
    gain = (
        f" The gain is the lift less that of the same method on {facts.copies} copies of the "
        f"network with random weights ({_short('adebayo2018')})."
        if facts.copies
        else ""
    )
    return (
        "The primary analysis was named beforehand: relevance mass accuracy "
        f"({_short('arras2022')}) in the tumour core, enhancing and necrotic, of either scan"
        f"{segmentation}, without pairs that span an operation. The log2 lift is that of the mean "
        "relevance mass over the mean share of the core in the brain, both averaged within "
        f"patients, then over them.{gain} Intervals are percentiles of {facts.n_resamples} "
        "resamples of patients; classes with fewer than ten patients are descriptive."
        f"{shuffled}{nulls} False discoveries of exploratory scores were controlled after "
        f"{_short('benjamini1995')}."
    )


def _short(key: str) -> str:
    return CITATIONS[key].short
