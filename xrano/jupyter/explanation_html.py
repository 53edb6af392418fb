"""An explanation for notebooks: what the network said, and each of its maps in a line."""

from __future__ import annotations

from xrano.explain import Explanation
from xrano.jupyter import html
from xrano.jupyter.map_html import map_facts, relevance_of, three_planes

_LISTED = 24
"""Maps that are told one by one; the picture is of the first."""


def explained_words(explanation: Explanation) -> str:
    """One line: the pair, what was said of it, and what is true."""
    truth = explanation.pair.response or "unrated"
    chance = explanation.probabilities[explanation.predicted]
    return (
        f"{explanation.pair.pair_id}: predicted {explanation.predicted} ({chance:.2f}), "
        f"true response {truth}"
    )


def explanation_html(explanation: Explanation) -> str:
    """A card with one picture and a table of the maps; below 200 kB."""
    pair, maps = explanation.pair, explanation.maps
    told = {
        "predicted": explanation.predicted,
        "true response": pair.response or "unrated",
        "probabilities": html.chances(explanation.probabilities),
    }
    parts = [html.facts(told)]
    rows = []
    for number, item in enumerate(maps[:_LISTED]):
        seen = relevance_of(item, pair)
        facts = map_facts(item, seen)
        if number == 0:
            picture = html.png_of(three_planes(seen, pair), limit=html.REPR_BYTES)
            words = f"{facts['method']}, {facts['target']}, three planes through its peak"
            parts.append(html.image(picture, words))
        rows.append([facts[name] for name in ("method", "target", "peak", "mass in the brain")])
    caption = f"The picture is of the first of {len(maps)} maps; figure() draws all"
    if maps:
        parts.append(html.table(("method", "target", "peak", "mass in the brain"), rows, caption))
    return html.card(f"Explanation of {pair.pair_id}", *parts)
