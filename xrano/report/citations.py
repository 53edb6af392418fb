"""Whom to cite for what a report shows, as text and as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml


@dataclass(frozen=True)
class Citation:
    """A publication.

    ``key``: of its BibTeX entry; ``short``: as in running text; ``authors`` as BibTeX has them;
    ``venue``: journal, conference or arXiv; ``link``: its address.
    """

    key: str
    kind: str
    short: str
    authors: str
    title: str
    year: int
    venue: str
    link: str

    @property
    def text(self) -> str:
        """The entry of a list of references, without its address.

        Example:
            >>> CITATIONS["simonyan2013"].text[:44]
            'K. Simonyan, A. Vedaldi and A. Zisserman. De'
        """
        names = [_given_first(name) for name in self.authors.split(" and ")]
        others = names[-1] == "others"
        names = names[:-1] if others else names
        listed = ", ".join(names) if others or len(names) == 1 else _and(names)
        listed += " et al." if others else "."
        return f"{listed.replace('..', '.')} {self.title}. {self.venue}, {self.year}."

    @property
    def bibtex(self) -> str:
        """The BibTeX entry."""
        place = {"article": "journal", "inproceedings": "booktitle"}.get(self.kind, "howpublished")
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            place: self.venue,
            "year": str(self.year),
            "url": self.link,
        }
        lines = [f"  {name:<12} = {{{value}}}" for name, value in fields.items()]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"


def cited(keys: Iterable[str]) -> tuple[Citation, ...]:
    """The publications of some keys, each once, in the order given."""
    return tuple(CITATIONS[key] for key in dict.fromkeys(keys))


def method_citations(methods: Iterable[str]) -> list[str]:
    """Keys for attribution methods by their names, baselines and layers left aside.

    Example:
        >>> method_citations(["ig:prior", "gradcam@features", "of my own"])
        ['sundararajan2017', 'selvaraju2017']
    """
    names = [label.split("@")[0].split(":")[0] for label in methods]
    return [key for name in names for key in BY_METHOD.get(name, ())]


def network_citations(network: str) -> list[str]:
    """Keys for a network by its name."""
    return [key for start, key in BY_NETWORK.items() if network.startswith(start)]


BY_METHOD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "saliency": ("simonyan2013",),
        "input_x_gradient": ("shrikumar2016",),
        "smoothgrad": ("smilkov2017",),
        "ig": ("sundararajan2017",),
        "gradient_shap": ("lundberg2017", "erion2021"),
        "deeplift": ("shrikumar2017",),
        "guided_backprop": ("springenberg2014",),
        "gradcam": ("selvaraju2017",),
        "gradcampp": ("chattopadhay2018",),
        "hirescam": ("draelos2020",),
        "layercam": ("jiang2021",),
        "layercam_fused": ("jiang2021",),
        "guided_gradcam": ("selvaraju2017",),
        "tokengrad": ("draelos2020",),
        "occlusion": ("zeiler2014",),
        "occlusion_supervoxels": ("zeiler2014",),
        "occlusion_regions": ("zeiler2014",),
        "shapley_regions": ("shapley1953", "castro2009"),
        "shapley_sequences": ("shapley1953", "castro2009"),
    }
)
"""Name of a method to the keys of what defines it."""

BY_NETWORK: Mapping[str, str] = MappingProxyType(
    {
        "densenet": "huang2017",
        "resnet": "he2016",
        "alexnet": "krizhevsky2012",
        "vit": "dosovitskiy2021",
    }
)
"""How a network's name starts to the key of its architecture."""


def _given_first(name: str) -> str:
    family, comma, given = name.partition(", ")
    if not comma:
        return family.strip("{}")
    initials = ". ".join(part[0] for part in given.replace("-", " ").split())
    return f"{initials}. {family}"


def _and(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _read() -> dict[str, Citation]:
    text = (files("xrano.report") / "static" / "citations.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {key: Citation(key, **entry) for key, entry in entries.items()}


CITATIONS: Mapping[str, Citation] = MappingProxyType(_read())
"""Every publication by its key; they stand in ``static/citations.yaml``."""
