"""What ``xrano explain`` does and says: a plan, panels, a comparison, or the maps of all pairs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xrano.cli.answers import Answer

JSON_KEYS = {
    "plan": "what --plan says: pairs, passes, whether they fit the memory, and seconds",
    "panels": "files of pictures",
    "maps": "folder of the saved maps",
    "made": "maps of a method and pair that --all made",
    "found": "those that were there already",
}


def tell_plan(
    opened: Any, pair: tuple[str, ...], every: bool, methods: Any, target: str, settings: Any
) -> Answer:
    """What it would take, and nothing done."""
    from xrano.errors import ConfigError
    from xrano.experiments.explain_plan import plan_explaining
    from xrano.experiments.explained_cohort import held_out

    pairs = held_out(opened) if every else [opened.pair(name) for name in pair]
    if not pairs:
        raise ConfigError("--plan is of pairs of the cohort: give --pair or --all")
    plan = plan_explaining(opened, pairs, methods, target=target, settings=settings)
    return _answer([plan.text()], plan=plan)


def require_drawable(panel: dict[str, Any], of_case: dict[str, Any]) -> None:
    """Refuse what no panel can be drawn with before anything is explained."""
    from xrano.viz.panel import planes_to_cut
    from xrano.viz.panel_maps import MapStyle

    planes_to_cut(panel["slice_by"], of_case["planes"], of_case["slices"])
    MapStyle(
        panel["rectification"],
        percentile=panel["percentile"],
        threshold=panel["threshold"],
        timepoints=of_case["timepoints"],
    )


def draw(
    opened: Any,
    out: Path,
    chosen: Any,
    methods: Any,
    options: dict[str, Any],
    formats: tuple[str, ...],
) -> Answer:
    """Panels, and maps if asked for, of some pairs or of two folders."""
    from xrano.cli.terminal import bar
    from xrano.experiments.explained_pairs import explain_pairs
    from xrano.experiments.outside_pair import explain_outside
    from xrano.experiments.panels import PanelFiles

    pair, prior, current = chosen
    further = tuple(name for name in dict.fromkeys(formats) if name != "png")
    if further:
        options["panel"]["files"] = PanelFiles(out / "panels", further)
    if prior is not None:
        panels = [explain_outside(opened, prior, current, methods, out, **options)]
    else:
        panels = explain_pairs(opened, pair, methods, out, progress=bar, **options)
    files = [path.with_suffix(f".{name}") for path in panels for name in ("png", *further)]
    return _drawn(opened, out, files, options["save_maps"], pair)


def compare(
    opened: Any, out: Path, chosen: Any, methods: Any, options: dict[str, Any], form: Any
) -> Answer:
    """One figure of several methods and pairs, and maps if asked for."""
    from xrano.cli.terminal import bar
    from xrano.errors import ConfigError
    from xrano.experiments.method_comparison import compare_methods

    (pair, prior, _), (planes, formats) = chosen, form
    if prior is not None:
        raise ConfigError("--layout comparison is of pairs of the cohort: name them by --pair")
    if len(planes) != 1:
        raise ConfigError(f"--layout comparison has one plane, got {' '.join(planes)}")
    options["panel"]["plane"] = planes[0]
    files = compare_methods(opened, pair, methods, out, formats=formats, progress=bar, **options)
    return _drawn(opened, out, files, options["save_maps"], pair)


def explain_all(opened: Any, out: Path, asked: Any, shard: str) -> Answer:
    """The maps of every held-out pair, or of a shard of them."""
    from xrano.cli.terminal import bar
    from xrano.errors import ConfigError
    from xrano.experiments.explained_cohort import (
        CohortRequest,
        disk_bytes,
        explain_cohort,
        held_out,
    )
    from xrano.experiments.shards import of_shard, shard_of

    if asked[2] == "none":
        raise ConfigError(f"--all saves maps; to score without them: xrano score {opened.root}")
    request = CohortRequest(*asked)
    part = shard_of(shard)
    pairs = len(of_shard(held_out(opened), part))
    most = disk_bytes(opened, request, pairs) / 1e9
    print(f"{pairs} pairs, {', '.join(request.labels())}: at most {most:.1f} GB of maps in {out}")
    done = explain_cohort(opened, out, request, shard=part, progress=bar)
    lines = [
        f"{done.made} maps of a method and pair made, {done.found} were there",
        _next(opened, out),
    ]
    return _answer(lines, maps=out / "maps", made=done.made, found=done.found)


def _drawn(
    opened: Any, out: Path, files: Iterable[Path], saved: bool, pair: tuple[str, ...]
) -> Answer:
    panels = list(files)
    lines = [str(path) for path in panels]
    if saved:
        lines.append(f"maps in {out / 'maps'}")
    if saved and pair:
        lines.append(_next(opened, out))
    return _answer(lines, panels=panels, maps=out / "maps" if saved else None)


def _next(opened: Any, out: Path) -> str:
    return f"next:  xrano score {opened.root} --maps {out / 'maps'} --out {out / 'scores'}"


def _answer(lines: list[str], **values: Any) -> Answer:
    return Answer("\n".join(lines), {**dict.fromkeys(JSON_KEYS), **values})
