"""The RANO words: the four responses, the ratings of a table, and the rules as one truth table.

Terms: ``current`` is the scan that is rated; ``rano_baseline`` the scan that response is measured
against; ``nadir`` the smallest burden since the baseline, the current scan not counted, that
progression is measured against. Burden is the summed enhancing disease: a volume in ml, or a sum
of products of perpendicular diameters in mm². Against a single earlier scan (the paper's
consecutive pairs) baseline and nadir are both the prior scan, which is a simplification of RANO.

Truth table, first row that applies (Wen et al., J Clin Oncol 2010;28:1963, volumes by the sphere
equivalents 1.25^1.5 ≈ 1.40 and 0.5^1.5 ≈ 0.35; cases that the criteria leave open are marked *):

| # | new lesion | current    | baseline     | nadir | current against reference | rating |
|---|------------|------------|--------------|-------|---------------------------|--------|
| 1 | yes        | any        | any          | any   | even if the total falls   | PD     |
| 2 | no         | 0          | > 0          | any   |                           | CR     |
| 3 | no         | 0          | 0            | any   | nothing, then and now     | SD *   |
| 4 | no         | measurable | any          | 0     | disease has come back     | PD     |
| 5 | no         | measurable | any          | > 0   | ≥ progression x nadir     | PD     |
| 6 | no         | > 0        | measurable   | any   | ≤ response x baseline     | PR     |
| 7 | no         | > 0        | any          | any   | anything else             | SD     |

A burden below measurable can therefore neither progress (rows 4, 5) nor partly respond (row 6),
but it can vanish (row 2). Surgery resets baseline and nadir to the first scan after it, which is
itself not rated. Steroids, clinical state and confirmation scans are not in imaging data and not
modelled here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from xrano.errors import ConfigError, UnknownNameError


class Response(StrEnum):
    """The four RANO responses, from best to worst; the position is the class index."""

    CR = "CR"
    PR = "PR"
    SD = "SD"
    PD = "PD"


RESPONSES: tuple[Response, ...] = tuple(Response)
"""Class index to response."""


class Role(StrEnum):
    """What a session is in the course of treatment."""

    PREOP = "preop"
    POSTOP = "postop"
    FOLLOWUP = "followup"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rating:
    """One parsed entry of a rating table: a response, a role, and the text they came from."""

    response: Response | None
    role: Role
    raw: str


_UNRATED = {"", "none", "na", "n/a", "nan"}
_OPERATION = {
    "pre-op": Role.PREOP,
    "post-op": Role.POSTOP,
    # An operated scan that also carries a response: which scan the response compares with is
    # unknown, so it counts as a post-operative scan without a rating.
    "post-op/pd": Role.POSTOP,
}


def parse_rating(raw: str) -> Rating:
    """Read one rating as LUMIERE writes them, blanks and case aside.

    Raises:
        UnknownNameError: if the text is none of the known ratings.

    Example:
        >>> parse_rating(" PD").response, parse_rating("Post-Op ").role
        (<Response.PD: 'PD'>, <Role.POSTOP: 'postop'>)
    """
    text = raw.strip()
    if text.lower() in _UNRATED:
        return Rating(None, Role.UNKNOWN, raw)
    if text.lower() in _OPERATION:
        return Rating(None, _OPERATION[text.lower()], raw)
    if text.upper() in Response.__members__:
        return Rating(Response(text.upper()), Role.FOLLOWUP, raw)
    raise UnknownNameError("rating", raw, [*RESPONSES, "Pre-Op", "Post-Op", "Post-Op/PD", "None"])


@dataclass(frozen=True)
class RanoThresholds:
    """Ratios and the least measurable burden of one form of the rule.

    ``progression`` is a ratio to the nadir (PD at or above it), ``response`` a ratio to the
    baseline (PR at or below it), ``measurable`` a burden in ``unit``.
    """

    progression: float
    response: float
    measurable: float
    unit: str


VOLUMETRIC = RanoThresholds(progression=1.40, response=0.35, measurable=0.52, unit="ml")
"""+40 % and −65 % of the volume; 0.52 ml is a sphere of 10 mm diameter."""

BIDIMENSIONAL = RanoThresholds(progression=1.25, response=0.50, measurable=100.0, unit="mm²")
"""+25 % and −50 % of the sum of products; measurable from 10 mm x 10 mm."""


def rate(
    current: float,
    *,
    rano_baseline: float,
    nadir: float | None = None,
    new_lesion: bool = False,
    thresholds: RanoThresholds = VOLUMETRIC,
) -> Response:
    """Apply the truth table of this module to one scan.

    Args:
        current: burden now, ≥ 0, in the thresholds' unit.
        rano_baseline: burden that response is measured against.
        nadir: burden that progression is measured against; the baseline if not given.
        new_lesion: whether a measurable lesion stands where none was.
        thresholds: :data:`VOLUMETRIC` (default) or :data:`BIDIMENSIONAL`.

    Raises:
        ConfigError: if a burden is negative or not finite.

    Example:
        >>> rate(3.0, rano_baseline=10.0), rate(3.0, rano_baseline=10.0, nadir=1.0)
        (<Response.PR: 'PR'>, <Response.PD: 'PD'>)
    """
    nadir = rano_baseline if nadir is None else nadir
    for name, value in (("current", current), ("rano_baseline", rano_baseline), ("nadir", nadir)):
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"a burden is a finite number ≥ 0 {thresholds.unit}, {name}={value}")
    if new_lesion:
        return Response.PD
    if current == 0:
        return Response.CR if rano_baseline > 0 else Response.SD
    measurable = _at_least(current, thresholds.measurable)
    # At nadir 0 the ratio would be infinite: any measurable disease has come back (row 4).
    if measurable and _at_least(current, thresholds.progression * nadir):
        return Response.PD
    responded = _at_least(thresholds.response * rano_baseline, current)
    if responded and _at_least(rano_baseline, thresholds.measurable):
        return Response.PR
    return Response.SD


def _at_least(value: float, threshold: float) -> bool:
    # 0.35 x 3 is 1.0499999999999998: a rating at the threshold must not hang on the last bit.
    return value >= threshold or math.isclose(value, threshold, rel_tol=1e-9)


def rate_course(
    burdens: Sequence[float],
    *,
    surgery: Sequence[bool],
    new_lesions: Sequence[bool],
    reference: str = "previous",
    thresholds: RanoThresholds = VOLUMETRIC,
) -> list[Response | None]:
    """Rate every scan of one patient.

    Args:
        burdens: one burden a scan, in order of time.
        surgery: whether an operation lies between the scan and the one before it; such a scan
            resets baseline and nadir and is not rated.
        new_lesions: whether the scan shows a new measurable lesion.
        reference: ``previous`` (baseline = nadir = the scan before) or ``rano`` (baseline since
            the last operation, and the smallest burden since).
        thresholds: which form of the rule.

    Returns:
        One response a scan; ``None`` for the first scan and for scans right after surgery.

    Raises:
        ConfigError: if the lists differ in length.
        UnknownNameError: if the reference is neither of the two.

    Example:
        >>> ratings = rate_course([10, 3, 4, 4.1], surgery=[False] * 4, new_lesions=[False] * 4,
        ...                       reference="rano")
        >>> [str(rating) for rating in ratings]
        ['None', 'PR', 'SD', 'SD']
    """
    if not len(burdens) == len(surgery) == len(new_lesions):
        raise ConfigError(
            f"one entry a scan is needed, got {len(burdens)} burdens, {len(surgery)} surgery "
            f"flags, {len(new_lesions)} new-lesion flags"
        )
    if reference not in ("previous", "rano"):
        raise UnknownNameError("reference", reference, ("previous", "rano"))
    ratings: list[Response | None] = []
    rano_baseline = nadir = math.nan
    for index, burden in enumerate(burdens):
        if index == 0 or surgery[index]:
            ratings.append(None)
            rano_baseline = nadir = burden
            continue
        if reference == "previous":
            rano_baseline = nadir = burdens[index - 1]
        ratings.append(
            rate(
                burden,
                rano_baseline=rano_baseline,
                nadir=nadir,
                new_lesion=new_lesions[index],
                thresholds=thresholds,
            )
        )
        nadir = min(nadir, burden)
    return ratings
