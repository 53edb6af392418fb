"""``xrano doctor``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano doctor --dir /scratch/me"

JSON_KEYS = {
    "works": "whether nothing that is needed is broken",
    "verdict": "one line",
    "findings": "name, state (ok, warn, bad, or -- for not there and not needed), found, advice, "
    "details",
}


def run(dir: Path = Path()) -> Answer:  # noqa: A002 — the option's name
    """Say whether this machine and installation are fit for xrano, and what to do if not.

    Looks at versions, extras that are missing, cores, memory, disk and GPUs, and sends a lesion on
    the left through the whole path: it must be found on the left. The exit status is 1 if something
    that is needed is broken.

    Args:
        dir: folder where runs are to be written, for the room on its disk.
    """
    try:
        from xrano.doctor.checkup import check_up
    except ImportError as error:
        return _without_libraries(error)
    found = check_up(dir)
    return Answer(found.text(), found.values(), status=1 if found.broken else 0)


def _without_libraries(error: ImportError) -> Answer:
    """Where not even the libraries that look at the rest can be imported."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    advice = "install xrano again: pip install --force-reinstall xrano"
    verdict = f"xrano cannot work here: {said}; {advice}"
    finding = {"name": "packages", "state": "bad", "found": said, "advice": advice, "details": {}}
    values = {"works": False, "verdict": verdict, "findings": [finding]}
    return Answer(f"  bad   packages  {said}\n\n{verdict}", values, status=1)
