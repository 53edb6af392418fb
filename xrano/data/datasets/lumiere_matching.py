"""Which session each row of the rating table belongs to."""

from __future__ import annotations

from collections.abc import Iterable

from xrano.data.datasets.lumiere_layout import SessionKey, parse_session_name

_SHOWN = 4


def match_ratings(
    ratings: Iterable[SessionKey], folders: Iterable[SessionKey]
) -> dict[SessionKey, SessionKey]:
    """The session that each rated name belongs to; its own name if there is no such session.

    A name without a suffix goes to the only session of its week that bears no rated name itself.

    Example:
        >>> match_ratings([("P", "week-000")], [("P", "week-000-1"), ("P", "week-009")])
        {('P', 'week-000'): ('P', 'week-000-1')}
    """
    rated, there = list(ratings), set(folders)
    named = set(rated)
    unrated: dict[tuple[str, int], list[SessionKey]] = {}
    for key in there - named:
        unrated.setdefault((key[0], parse_session_name(key[1])[0]), []).append(key)
    matches: dict[SessionKey, SessionKey] = {}
    for key in rated:
        week, suffix = parse_session_name(key[1])
        candidates = unrated.get((key[0], week), [])
        fits = key not in there and suffix == 0 and len(candidates) == 1
        matches[key] = candidates[0] if fits else key
    return matches


def disjoint_patients(
    ratings: Iterable[SessionKey], folders: Iterable[SessionKey]
) -> dict[str, str]:
    """Patients with ratings and images of which no week is in both, with both lists in words.

    Their ratings may belong to the scans under other dates; which to which is not guessed.
    """
    rated, imaged = _by_patient(ratings), _by_patient(folders)
    found = {}
    for patient in sorted(rated.keys() & imaged.keys()):
        weeks = [
            {parse_session_name(name)[0] for name in names[patient]} for names in (rated, imaged)
        ]
        if not weeks[0] & weeks[1]:
            found[patient] = f"rated {_short(rated[patient])}; images {_short(imaged[patient])}"
    return found


def _by_patient(keys: Iterable[SessionKey]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for patient, name in keys:
        names.setdefault(patient, []).append(name)
    return {patient: sorted(found, key=parse_session_name) for patient, found in names.items()}


def _short(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
