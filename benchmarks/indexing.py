"""How long does ``xrano index`` take on a copy of LUMIERE's size?

    python -m benchmarks.indexing [--repeats 3]

The tree has LUMIERE's 91 patients, 638 sessions and, in 599 of them, all 36 derived files; images
are empty files, the measured volumes real ones. Needed: under 5 s.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
import time
from pathlib import Path

from xrano.data.index import index_cohort
from xrano.data.phantom.lumiere_tables import (
    COMPLETENESS_COLUMNS,
    DEMOGRAPHICS_COLUMNS,
    RATING_COLUMNS,
)

PATIENTS, SESSIONS, BARE = 91, 638, 39
NEEDED_S = 5.0

_SEQUENCES = ("T1", "CT1", "T2", "FLAIR")
_TOOLS = ("DeepBraTumIA-segmentation", "HD-GLIO-AUTO-segmentation")


def session_names() -> list[tuple[str, str]]:
    """638 sessions of 91 patients, seven or eight each; the first two lie in week 0."""
    names = []
    for number in range(PATIENTS):
        count = SESSIONS // PATIENTS + (number < SESSIONS % PATIENTS)
        for nth in range(count):
            name = f"week-000-{nth + 1}" if nth < 2 else f"week-{13 * (nth - 1):03d}"
            names.append((f"Patient-{number + 1:03d}", name))
    return names


def derived_files() -> list[str]:
    """The 36 files that the two tools add to a complete session."""
    brain, glio = _TOOLS
    files = [f"{brain}/atlas/segmentation/seg_mask.nii.gz"]
    files += [f"{brain}/atlas/segmentation/measured_volumes_in_mm3.json"]
    files += [f"{brain}/atlas/skull_strip/brain_mask.nii.gz"]
    files += [f"{glio}/registered/segmentation.nii.gz"]
    for upper in _SEQUENCES:
        lower = upper.lower()
        files += [
            f"{brain}/atlas/skull_strip/{lower}_skull_strip.nii.gz",
            f"{brain}/native/segmentation/{lower}_seg_mask.nii.gz",
            f"{brain}/native/skull_strip/{lower}_brain_mask.nii.gz",
            f"{brain}/native/transformation/{lower}.tfm",
            f"{glio}/native/segmentation_{upper}_origspace.nii.gz",
            f"{glio}/registered/{upper}_r2s_bet.nii.gz",
            f"{glio}/registered/{upper}_r2s_bet_reg.nii.gz",
            f"{glio}/registered/{upper}_r2s_bet_reg.mat",
        ]
    return files


def write_tree(root: Path) -> int:
    """Write the tree and its tables; the number of files in it."""
    derived = derived_files()
    written = 0
    for number, (patient, session) in enumerate(session_names()):
        folder = root / "Imaging" / patient / session
        # The bare sessions are spread over the patients.
        bare = number % 16 == 0 and number // 16 < BARE
        files = [f"{name}.nii.gz" for name in _SEQUENCES] + ([] if bare else derived)
        for parent in {(folder / name).parent for name in files}:
            parent.mkdir(parents=True, exist_ok=True)
        for name in files:
            (folder / name).write_text(_volumes(number) if name.endswith(".json") else "")
        written += len(files)
    _write_tables(root)
    return written


def _volumes(number: int) -> str:
    enhancing = 0.0 if number % 10 == 0 else 1000.0 + 17.0 * (number % 97)
    return json.dumps(
        {"Enhancing_Core": enhancing, "Necrotic_NonEnhancing": 500.0, "Edema_Compartment": 20000.0}
    )


def _write_tables(root: Path) -> None:
    names = session_names()
    rated = {"week-000-1": "Pre-Op", "week-000-2": "Post-Op"}
    ratings = [
        (*key, "", "", rated.get(key[1], ("PD", "PD", "SD", "CR", "PR")[number % 5]), "")
        for number, key in enumerate(names)
    ]
    complete = [(*key, *"xxxxxx", "", "") for key in names]
    people = [
        (patient, "80", "male", "63", "WT", "BES", "methylated", "12.00%")
        for patient in dict.fromkeys(patient for patient, _ in names)
    ]
    for name, header, rows in (
        ("LUMIERE-ExpertRating-v202211.csv", RATING_COLUMNS, ratings),
        ("LUMIERE-datacompleteness.csv", COMPLETENESS_COLUMNS, complete),
        ("LUMIERE-Demographics_Pathology.csv", DEMOGRAPHICS_COLUMNS, people),
    ):
        with (root / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])


def main() -> None:
    """Write the tree, index it a few times, and print the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = write_tree(root / "LUMIERE")
        print(f"{PATIENTS} patients, {SESSIONS} sessions, {files} image and tool files")
        for source in ("atlas", "hdglio", "native"):
            times = []
            for repeat in range(arguments.repeats):
                start = time.perf_counter()
                summary = index_cohort(
                    root / "LUMIERE", root / f"{source}-{repeat}", image_source=source
                )
                times.append(time.perf_counter() - start)
            print(
                f"image source {source}: {statistics.median(times):.2f} s "
                f"(slowest {max(times):.2f} s; needed: under {NEEDED_S:g} s), "
                f"{summary.sessions} sessions, {summary.pairs} pairs"
            )


if __name__ == "__main__":
    main()
