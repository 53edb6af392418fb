"""Several methods on the same slice of several cases: cases are rows, methods columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from xrano.errors import ConfigError
from xrano.maps import AttributionMap
from xrano.viz.figure_files import width_inches
from xrano.viz.names import map_title, target_text
from xrano.viz.panel import choose_slices
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_cells import Cell, outline_slices, prepare_scans
from xrano.viz.panel_maps import MapStyle, ReadMap, read_maps, relevance_scale
from xrano.viz.panel_page import SIDES, draw_page
from xrano.viz.panel_rows import PanelRow
from xrano.viz.slice_choice import SliceBy
from xrano.viz.slice_places import place_slices
from xrano.viz.slices import Convention, Plane, parse_convention
from xrano.viz.words import panel_style


def comparison_figure(
    cases: Iterable[tuple[PanelCase, Sequence[AttributionMap]]],
    *,
    background: str = "CT1",
    slice_by: str | Mapping[str, float] = SliceBy.TUMOUR,
    plane: str = Plane.AXIAL,
    convention: str = Convention.RADIOLOGICAL,
    rectification: str | None = None,
    reduction: str = "sum",
    percentile: float = 99.5,
    threshold: float = 0.2,
    title: str = "Methods compared",
    width: str | float | None = None,
) -> Figure:
    """Draw the current scan of each case, and its map by each method, on one slice.

    What is compared is where the maps lie, so each is divided by its own percentile: a colour is
    the same share of a map's strongest relevance in every picture, and no amount of it.

    Args:
        cases: each case with its maps, one a method, of one target; they may be made one at a
            time, since only slices are kept.
        background: as for :func:`xrano.viz.panel.case_panel`, like all that follow but for these.
        slice_by: of each case for itself; not ``mosaic``.
        plane: ``axial``, ``coronal`` or ``sagittal``.
        convention: ``radiological`` or ``neurological``.
        rectification: of every map.
        reduction: over a map's channels.
        percentile: of |value| in the brain that each map is divided by.
        threshold: share of it below which relevance is not drawn.
        title: above the figure.
        width: for print.

    Raises:
        ConfigError: if there is no case, a case has no map, two maps of one method, or maps of
            several targets, or a mosaic is asked for.
        UnknownNameError: as for a case panel.
    """
    style = MapStyle(rectification, reduction, percentile, threshold)
    inches = None if width is None else width_inches(width)
    seen = parse_convention(convention)
    if slice_by == SliceBy.MOSAIC:
        raise ConfigError("methods are compared on one slice of each case, not on a mosaic")
    drawn: list[_Row] = []
    for case, maps in cases:
        drawn.append(_Row(case, maps, background, (slice_by, plane), seen, style))
        # The next case is made before these names are given to it.
        del case, maps
    if not drawn:
        raise ConfigError("there is no case to compare methods on")
    columns = list(dict.fromkeys(name for row in drawn for name in row.cells))
    region = drawn[0].region
    with panel_style():
        rows = [row.pictures(columns, titled=number == 0) for number, row in enumerate(drawn)]
        reasons = "; ".join(dict.fromkeys(row.reason for row in drawn))
        return draw_page(
            rows,
            header=(title, f"{len(drawn)} case{'s' if len(drawn) > 1 else ''}, the current scan"),
            footer=f"{SIDES[seen]}. Slice of each case: {reasons}. "
            "Each map is divided by its own percentile: amounts are not compared.",
            legend={name: f"{region}, {name} scan" for name in ("prior", "current")},
            width=inches,
        )


class _Row:
    """The pictures of one case, sampled on its slice; the volumes are not kept."""

    def __init__(
        self,
        case: PanelCase,
        maps: Sequence[AttributionMap],
        background: str,
        where: tuple[str | Mapping[str, float], str],
        convention: Convention,
        style: MapStyle,
    ) -> None:
        scans = prepare_scans(case, background, style.percentile)
        read = read_maps(case, maps, style)
        outlines = outline_slices(case)
        ((plane, choice),) = choose_slices(case, scans, read, where[0], [where[1]], 1)
        (self.view,) = place_slices(
            case.grid, [(plane, choice.mm)], convention=convention, around=case.brain
        )
        self.reason, self.region = choice.reason, case.region
        target = _one_target(case, maps)
        said = (_answer_words(case), target, _volume_words(case))
        self.caption = (case.pair_id, "  ·  ".join(said))
        scale = relevance_scale(1.0, f"relevance / {style.end} in the brain\n(of each map)", style)
        scan = Cell(
            "current",
            (f"Current scan, {scans.sequence}",),
            (),
            scans.window,
            scans.current,
            outlines=dict(outlines),
        )
        self.scan = scan.taken([self.view])
        self.cells: dict[tuple[str, ...], Cell] = {}
        for number, one in enumerate(read):
            name = _method_lines(case, one)
            if name in self.cells:
                raise ConfigError(f"{case.pair_id} has two maps of {', '.join(name)}")
            cell = Cell(
                f"map {number}",
                name,
                (),
                scans.window,
                scans.current,
                one.in_units_of(one.top),
                scale,
                dict(outlines),
                one.note,
            )
            self.cells[name] = cell.taken([self.view])

    def pictures(self, columns: Sequence[tuple[str, ...]], *, titled: bool) -> PanelRow:
        """The scan, then the map of each method; a place stays free where there is none."""
        cells = [self.scan, *(self.cells.get(name) for name in columns)]
        return PanelRow(
            tuple(None if cell is None else (cell, self.view) for cell in cells),
            (self.scan.head, *columns) if titled else (),
            caption=self.caption,
        )


def _method_lines(case: PanelCase, one: ReadMap) -> tuple[str, ...]:
    return tuple(map_title(one.attribution, case.grid))


def _one_target(case: PanelCase, maps: Sequence[AttributionMap]) -> str:
    targets = {
        target_text(one.meta, predicted=case.predicted, response=case.response) for one in maps
    }
    if len(targets) != 1:
        raise ConfigError(
            f"methods are compared for one target a case; {case.pair_id} has maps of "
            f"{', '.join(sorted(targets)) or 'none'}"
        )
    return targets.pop()


def _answer_words(case: PanelCase) -> str:
    share = case.probabilities.get(case.predicted)
    said = f"predicted {case.predicted}" + ("" if share is None else f" ({share:.2f})")
    return f"{said}, {f'true {case.response}' if case.response else 'unrated'}"


def _volume_words(case: PanelCase) -> str:
    before, now = (
        "–" if mask is None else f"{float(mask.sum()) * case.grid.voxel_ml:.1f}"
        for mask in (case.prior_mask, case.current_mask)
    )
    return f"{case.region} {before} → {now} ml"
