"""The explorer: controls, the picture, what the network said, and how much of the map is tumour."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets  # type: ignore[import-untyped]

from xrano.attribution.methods import AttributionSettings, MethodRequest
from xrano.errors import CheckpointError, ConfigError, UnknownNameError, XranoError
from xrano.experiments.panels import explained_case
from xrano.explain import Explanation
from xrano.jupyter import html
from xrano.jupyter.answers import Answers
from xrano.jupyter.controls import UNRATED, Controls
from xrano.jupyter.drawn_picture import DrawnPicture, ShownPicture
from xrano.jupyter.opened_run import Explored
from xrano.jupyter.overlap import overlap_html
from xrano.jupyter.picture import Strongest, slices_of, strongest_of
from xrano.training.run import Run
from xrano.viz.names import method_name
from xrano.viz.slice_choice import SliceChoice
from xrano.viz.slices import Plane

_LONGEST = 400
"""Letters of an error that are shown."""


class Explorer(widgets.VBox):  # type: ignore[misc]
    """A run to look at; see :func:`xrano.explore`.

    Attributes:
        controls: the :class:`~xrano.jupyter.controls.Controls`.
        status: says that something is computed, or what went wrong.
        words: what the network said.
        picture: the maps.
        scores: their overlap with the tumour.
        problem: the last error, with its traceback, for whoever wants more than one line.
    """

    def __init__(
        self,
        run: Run,
        *,
        pair: str | None,
        method: str,
        settings: AttributionSettings,
        picture: ShownPicture | None = None,
    ) -> None:
        self._run = run
        self._answers = Answers(run, settings, room_gb=settings.memory_gb)
        if not self._answers.records:
            raise ConfigError(f"{run.root} holds out no pair: there is nothing to explore")
        if pair is not None:
            self._answers.pair(pair)
        self._predicted = _predictions(run)
        self._explanation: Explanation | None = None
        self._scored: tuple[Any, ...] = ()
        self.problem: BaseException | None = None
        offered, first = self._answers.methods(), MethodRequest.parse(method).label
        if first not in offered:
            raise UnknownNameError("method for this network", method, offered)
        self.controls = Controls(offered, run.task.classes, run.layout.sequences, run.store.grid)
        self.status, self.words, self.scores = (widgets.HTML() for _ in range(3))
        # Its room is kept, or everything below would jump while something is computed.
        self.status.layout.min_height = "28px"
        self.picture = DrawnPicture() if picture is None else picture
        note = widgets.HTML(f"<small>{html.NOTE}</small>")
        super().__init__(
            [self.controls.box, self.status, self.words, self.picture, self.scores, note]
        )
        self.controls.outcome.disabled = not self._predicted
        self._list_pairs()
        with self.controls.quietly():
            if self.picture.one_map_in_3d:
                self.controls.keep_to_three_dimensions()
            self.controls.method.value = first
            if pair is not None:
                self.controls.pair.value = pair
        self.controls.on_change(self.refresh, self._filtered)
        self.refresh()

    @property
    def explored(self) -> Explored:
        """What is shown, to go on with: its maps, ``figure()`` and ``scores()``.

        Raises:
            ConfigError: if nothing is shown.
        """
        if self._explanation is None:
            raise ConfigError("nothing is shown yet")
        return Explored(self._explanation)

    def refresh(self) -> None:
        """Draw what is chosen; an error is told in one line, and then nothing else is shown."""
        self.status.value = _busy(method_name(self.controls.method.value))
        try:
            self._show()
        except Exception as error:
            self.problem, self._explanation = error, None
            self._hide(True)
            self.status.value = _problem(error)
        except BaseException:
            self.status.value = _problem(ConfigError("stopped; choose again to go on"))
            raise
        else:
            self.status.value = ""

    def _show(self) -> None:
        chosen = self.controls
        if chosen.pair.value is None:
            raise ConfigError("no held-out pair is like that: choose another response or outcome")
        explanation = self._answers.explained(
            chosen.pair.value, chosen.method.value, chosen.target.value
        )
        look, case = chosen.look, explained_case(explanation)
        choices = slices_of(case, explanation.maps, look)
        self.picture.show(case, explanation.maps, look, choices)
        chosen.follow(choices)
        self._explanation = explanation
        strongest = strongest_of(case, explanation.maps[0], look)
        self.words.value = _words(explanation, self._run, choices, strongest)
        self._hide(False)
        self._score(explanation, look.rectification)

    def _score(self, explanation: Explanation, rectification: str) -> None:
        # The maps themselves are held, so that none of them can be another at the same place.
        key = (*explanation.maps, rectification)
        if self._scored != key:
            # What stood there is of another map; the numbers take longer than the picture.
            self.scores.value = ""
            self.scores.value = overlap_html(
                explanation.maps,
                self._answers.masks(explanation.pair.pair_id),
                rectification=rectification,
            )
            self._scored = key

    def _hide(self, hidden: bool) -> None:
        for item in (self.words, self.picture, self.scores):
            item.layout.display = "none" if hidden else None

    def _filtered(self) -> None:
        self._list_pairs()
        self.refresh()

    def _list_pairs(self) -> None:
        response, outcome = self.controls.response.value, self.controls.outcome.value
        options = []
        for pair_id, record in self._answers.records.items():
            truth, said = str(record["response"]), self._predicted.get(pair_id, "")
            verdict = self._verdict(truth, said)
            if response in ("", truth or UNRATED) and outcome in ("", verdict):
                marks = {"right": " ✓", "wrong": " ✗"}.get(verdict, "")
                told = f" → {said}{marks}" if said else ""
                options.append((f"{pair_id}   {truth or UNRATED}{told}", pair_id))
        self.controls.offer_pairs(options)

    def _verdict(self, truth: str, said: str) -> str:
        if not truth or not said:
            return ""
        return "right" if self._run.task.class_of(truth) == said else "wrong"


def _predictions(run: Run) -> dict[str, str]:
    """Pair to what was predicted of it; nothing of a run without predictions."""
    try:
        table = run.predictions
    except CheckpointError:
        return {}
    return dict(zip(table["pair_id"], table["predicted"], strict=True))


def _words(
    explanation: Explanation,
    run: Run,
    choices: Mapping[Plane, SliceChoice],
    strongest: Strongest | None,
) -> str:
    """The answer, the truth, why the slice is this one, and where the map is strongest."""
    pair = explanation.pair
    said = f"predicted <b>{escape(explanation.predicted)}</b>"
    truth = "unrated"
    if pair.response:
        right = run.task.class_of(pair.response) == explanation.predicted
        source = f" ({pair.rating_source})" if pair.rating_source else ""
        truth = (
            f"true response <b>{escape(pair.response)}</b>{escape(source)}: "
            f"{'right' if right else 'wrong'}"
        )
    chances = escape(html.chances(explanation.probabilities))
    notes = [run.leak_note, "the pair spans surgery" if pair.spans_surgery else ""]
    beside = "".join(f" <i>{escape(note)}.</i>" for note in notes if note)
    cut = "; ".join(
        f"{plane} at {html.number(one.mm, '+.1f')} mm, {one.reason}"
        for plane, one in choices.items()
    )
    return (
        f'<div style="{html.LINES}">{escape(pair.pair_id)}: {said}, {truth}. '
        f"Probabilities: {chances}.{beside} Slice: {escape(cut)}.{_strongest(strongest)}</div>"
    )


def _strongest(found: Strongest | None) -> str:
    """Where, in world mm (right, front and top are positive), and the values there."""
    if found is None:
        return ""
    place = ", ".join(html.number(one, "+.0f") for one in found.mm)
    return (
        f" Strongest in the brain at ({place}) mm: map {html.number(found.value, '.3g')}, "
        f"{escape(found.sequence)} {html.number(found.scan_value, '+.2f')}."
    )


def _busy(method: str) -> str:
    return f'<div role="status">Computing {escape(method)} …</div>'


def _problem(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no further word"
    if not isinstance(error, XranoError):
        text = f"{type(error).__name__}: {text}"
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    # A colour of letters that reads on white does not on the black of a dark theme.
    style = f"border-left:4px solid #d32f2f;padding-left:.5em;{html.LINES}"
    return f'<div role="alert" style="{style}">{escape(text)}</div>'
