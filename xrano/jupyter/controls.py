"""The controls of the explorer: what may be chosen, and what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import ipywidgets as widgets  # type: ignore[import-untyped]

from xrano.geometry import Grid
from xrano.jupyter.picture import SLICE_CHOICES, Look
from xrano.maps import Rectification
from xrano.rano import RESPONSES
from xrano.viz.names import method_name
from xrano.viz.slice_choice import SliceChoice
from xrano.viz.slice_places import aligned_grid
from xrano.viz.slices import Convention, Plane

UNRATED = "unrated"
ALL_PLANES = "all three"

_VISITS = [("scans together", "together"), ("scans apart", "apart")]
_SIGNS = [("as scored", ""), *((str(one), str(one)) for one in Rectification)]


class Controls:
    """The widgets by what they choose; :attr:`box` holds them all.

    Args:
        methods: methods that fit the network.
        classes: names of the network's classes.
        sequences: that may lie under the map.
        grid: of the scans, for the slider's range.
    """

    def __init__(
        self, methods: Sequence[str], classes: Sequence[str], sequences: Sequence[str], grid: Grid
    ) -> None:
        self._frame = aligned_grid(grid)
        self._mm: dict[Plane, float] = {}
        self._quiet = False
        responses = [*map(str, RESPONSES), UNRATED]
        self.response = _dropdown("Response", [("any", ""), *((one, one) for one in responses)])
        self.outcome = _dropdown(
            "Network is", [("right or wrong", ""), ("right", "right"), ("wrong", "wrong")]
        )
        self.pair = _dropdown("Pair", [])
        self.pair.layout.width = "34em"
        self.method = _dropdown("Method", [(method_name(one), one) for one in methods])
        self.method.layout.width = "28em"
        self.target = _dropdown("Target", _targets(classes))
        self.timepoints = _dropdown("Channels", _VISITS)
        self.plane = _dropdown("Plane", [*map(str, Plane), ALL_PLANES])
        self.slice_by = _dropdown("Slice by", SLICE_CHOICES)
        self.mm = _slider("mm", 0.0, 0.0, 1.0, 1.0)
        self.mm.readout_format = "+.1f"
        self.threshold = _slider("Threshold", 0.2, 0.0, 0.95, 0.05)
        self.opacity = _slider("Opacity", 1.0, 0.0, 1.0, 0.05)
        self.rectification = _dropdown("Sign", _SIGNS)
        # Contrast-enhanced scans show the enhancing tumour that a response is about.
        under = sorted(sequences, key=lambda name: name != "CT1")
        self.background = _dropdown("Background", under)
        self.convention = _dropdown("Convention", list(map(str, Convention)))
        self.outlines = widgets.Checkbox(
            value=True, description="Outlines of masks", indent=False, layout={"width": "14em"}
        )
        rows = (
            (self.response, self.outcome, self.pair),
            (self.method, self.target, self.timepoints),
            (self.plane, self.slice_by, self.mm),
            (self.rectification, self.threshold, self.opacity),
            (self.background, self.convention, self.outlines),
        )
        wrap = widgets.Layout(flex_flow="row wrap")
        self.box = widgets.VBox([widgets.Box(row, layout=wrap) for row in rows])
        self._fit_slider()

    def on_change(self, changed: Callable[[], object], filtered: Callable[[], object]) -> None:
        """Call ``filtered`` when another set of pairs is asked for, ``changed`` on all else."""

        def tell(then: Callable[[], object]) -> Callable[[Any], None]:
            def told(_: Any) -> None:
                if not self._quiet:
                    then()

            return told

        self.mm.observe(self._moved, names="value")
        self.plane.observe(lambda _: self._fit_slider(), names="value")
        for control in (self.response, self.outcome):
            control.observe(tell(filtered), names="value")
        for control in (
            *(self.pair, self.method, self.target, self.timepoints, self.plane, self.slice_by),
            *(self.mm, self.threshold, self.opacity, self.rectification, self.background),
            *(self.convention, self.outlines),
        ):
            control.observe(tell(changed), names="value")

    def keep_to_three_dimensions(self) -> None:
        """Offer what a viewer of one map can show: all planes at once, no classes beside it."""
        self.target.options = [one for one in self.target.options if one[1] != "all"]
        self.timepoints.disabled = True
        self.plane.value = ALL_PLANES
        self._fit_slider()

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Set values without a new picture for each."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def offer_pairs(self, options: Sequence[tuple[str, str]]) -> None:
        """Put pairs (label, id) into the list; the chosen one stays if it is among them."""
        chosen = self.pair.value
        ids = [one for _, one in options]
        with self.quietly():
            self.pair.options = options
            self.pair.value = chosen if chosen in ids else next(iter(ids), None)

    @property
    def look(self) -> Look:
        """How the maps are to be drawn."""
        return Look(
            planes=self._planes,
            mm=dict(self._mm),
            **{
                name: getattr(self, name).value
                for name in (
                    *("slice_by", "timepoints", "rectification", "threshold", "opacity"),
                    *("background", "convention", "outlines"),
                )
            },
        )

    def follow(self, choices: Mapping[Plane, SliceChoice]) -> None:
        """Show on the slider where the slice lies."""
        self._mm.update({plane: choice.mm for plane, choice in choices.items()})
        if len(choices) == 1:
            with self.quietly():
                self.mm.value = next(iter(choices.values())).mm

    @property
    def _planes(self) -> tuple[Plane, ...]:
        chosen = self.plane.value
        return tuple(Plane) if chosen == ALL_PLANES else (Plane(chosen),)

    def _moved(self, change: Mapping[str, Any]) -> None:
        if self._quiet or len(self._planes) > 1:
            return
        self._mm[self._planes[0]] = float(change["new"])
        with self.quietly():
            self.slice_by.value = "mm"

    def _fit_slider(self) -> None:
        planes = self._planes
        # One slider cannot move three slices.
        self.mm.disabled = len(planes) > 1
        if self.mm.disabled:
            return
        axis = planes[0].normal
        low, step = float(self._frame.affine[axis, 3]), self._frame.spacing[axis]
        high = low + step * (self._frame.shape[axis] - 1)
        value = self._mm.get(planes[0], (low + high) / 2)
        with self.quietly(), self.mm.hold_trait_notifications():
            self.mm.min, self.mm.max, self.mm.step = low, high, step
            self.mm.value = min(max(value, low), high)


def _targets(classes: Sequence[str]) -> list[tuple[str, str]]:
    return [
        ("predicted class", "predicted"),
        ("true response", "response"),
        ("each class", "all"),
        *((f"{name}", name) for name in classes),
        *(
            (f"{one} rather than {other}", f"{one}-{other}")
            for one, other in permutations(classes, 2)
        ),
    ]


def _dropdown(name: str, options: Sequence[Any]) -> Any:
    return widgets.Dropdown(
        options=options, description=name, layout=widgets.Layout(width="17em"), style=_STYLE
    )


def _slider(name: str, value: float, low: float, high: float, step: float) -> Any:
    return widgets.FloatSlider(
        value=value,
        min=low,
        max=high,
        step=step,
        description=name,
        # A picture for every step of a drag would come long after the hand has stopped.
        continuous_update=False,
        layout=widgets.Layout(width="24em"),
        style=_STYLE,
    )


_STYLE = {"description_width": "6.5em"}
