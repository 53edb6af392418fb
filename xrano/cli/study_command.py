"""``xrano study``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano study studies/phantom.yaml --out study   (an array of jobs: add  --shard 2/8)"
POSITIONAL_HELP = "YAML file of the arms, such as studies/phantom.yaml"


def run(
    file: Path,
    out: Path,
    arms: tuple[str, ...] = (),
    shard: str = "",
    cohort_only: bool = False,
    collect_only: bool = False,
) -> None:
    """Train every arm of a study, beside references, and say which differences are established.

    A study that was stopped goes on where it was; what is trained is not trained again.

    Args:
        file: the study.
        out: folder for runs, tables and figures.
        arms: only these, by name; all, and the 2x2 of the leak, if none is named.
        shard: i/n: train the i-th of n parts only, for an array of jobs; then run once without.
        cohort_only: make phantom and folds, and train nothing.
        collect_only: train nothing, judge what is trained.
    """
    from xrano.cli.terminal import bar
    from xrano.experiments.study.collect import collect_study
    from xrano.experiments.study.run_study import open_study, require_whole, train_study
    from xrano.experiments.study.study_file import read_study
    from xrano.experiments.study.study_files import study_text, write_study

    study = read_study(file)
    opened = open_study(study, out, arms=tuple(arms), sharded=bool(shard), progress=bar)
    units = opened.every_unit
    print(
        f"{study.name}: {len({unit.arm.name for unit in units})} arms, {len(units)} folds to "
        f"train in all, {len(opened.splits['folds'])} folds of each"
    )
    if cohort_only:
        print(f"cohort and folds are in {out}")
        return
    failures = [] if collect_only else train_study(opened, shard=shard, say=print)
    if shard:
        waiting = sum(not unit.finished for unit in units)
        print(f"shard {shard} is done; {waiting} of {len(units)} folds wait for other shards")
    else:
        result = collect_study(opened, progress=bar)
        written = write_study(result, out, command=f"xrano study {file} --out {out}")
        print(study_text(result))
        for path in written:
            print(f"  {path}")
    require_whole(failures, out / "failures.csv")
