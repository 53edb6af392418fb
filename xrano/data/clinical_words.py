"""What clinical tables write for sex, IDH and MGMT, and what it means: +1, −1, or unknown.

Signs are those of the paper's code where it has them: IDH wild type and methylated MGMT are +1.
A spelling that is not known is refused, since taking it for a missing one would lose data without
a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from xrano.errors import ManifestError

MISSING = re.compile(r"|na|n/a|nan|none|unknown|not (available|reported|tested|done)|[-.?]")
"""Cells that say nothing, in small letters."""

UNDECIDED = re.compile(
    r".*\b(required|indeterminate|undetermined|uncertain|inconclusive|equivocal|pending)\b.*"
)
"""Findings that decide nothing."""


@dataclass(frozen=True)
class CategoryWords:
    """Spellings of one variable: full matches in small letters, and how to say them in an error."""

    positive: re.Pattern[str]
    negative: re.Pattern[str]
    undecided: re.Pattern[str]
    spelt: str


_GENE = r"(idh[12]?[\s-]*)?"

CATEGORIES: Mapping[str, CategoryWords] = {
    "sex": CategoryWords(
        re.compile(r"m|male"), re.compile(r"f|female"), UNDECIDED, "male (m) or female (f)"
    ),
    "idh": CategoryWords(
        re.compile(_GENE + r"(wt|wild[\s-]*type)"),
        re.compile(_GENE + r"((p\.)?r1[37]2[a-z]|((p\.)?r1[37]2[a-z][\s-]*)?mut(ant|ated|ation)?)"),
        # Staining for R132H alone does not exclude another mutation.
        re.compile(rf"idh1?[\s-]*neg(ative)?|{UNDECIDED.pattern}"),
        "WT or mutant (R132H mut)",
    ),
    "mgmt": CategoryWords(
        re.compile(r"methylated|positive"),
        re.compile(r"(not |non|un)-?methylated|negative"),
        UNDECIDED,
        "methylated or not methylated",
    ),
}
"""Variable to its spellings."""


def category_value(variable: str, text: str) -> float | None:
    """+1 or −1 of a cell, ``None`` if it is missing or undecided.

    Args:
        variable: ``sex`` (male +1), ``idh`` (wild type +1) or ``mgmt`` (methylated +1).
        text: the cell.

    Raises:
        ManifestError: if the spelling is not known.

    Example:
        >>> [category_value("idh", text) for text in ("wt", "R132H mut", "na")]
        [1.0, -1.0, None]
        >>> category_value("idh", "IDH1 neg, Sequencing required") is None
        True
    """
    words = CATEGORIES[variable]
    plain = " ".join(text.lower().split())
    if MISSING.fullmatch(plain) or words.undecided.fullmatch(plain):
        return None
    if words.positive.fullmatch(plain):
        return 1.0
    if words.negative.fullmatch(plain):
        return -1.0
    raise ManifestError(
        f"{variable} is {text!r}, which could mean anything; needed is {words.spelt}, or an empty "
        "cell where it is not known"
    )
