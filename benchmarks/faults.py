"""Kill the long commands, fill their disk, damage their files: nothing may be lost or wrong.

    python -m benchmarks.faults [--kills 20] [--files 12] [--folders 3] [--disks 0 0.3 0.6 0.9]
        [--commands train score] [--seed 0]

On a small phantom each command (``prepare``, ``train``, ``explain --all``, ``score``, ``report``,
``study``) is run once undisturbed. Then

* it is killed by SIGKILL, again and again: at times drawn from the length of the undisturbed run,
  and the moment a file appears. After each kill every file must be whole, and what was finished
  must stay as it is; in the end all content must equal that of the undisturbed run;
* its disk is full (a small tmpfs where one may be mounted, a limit on file sizes elsewhere);
* a file that it wrote, or one that it reads, is removed, or half of it;
* a folder of it may not be written.

Of the last three it must say the cause in one line, naming the file or folder, or mend it by
itself; once the fault is gone a rerun must end like the undisturbed run.

Processes are forks of one that has imported everything, on one thread each. Commands may be tried
in several processes of this at once, by ``--commands``: each makes what its commands read.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.fault_cases import BEFORE, COMMANDS, Case, cases, make_cohort, undisturbed
from benchmarks.fault_disk import LEVELS, fill_disks, forbid_folders, may_mount
from benchmarks.fault_files import damage_files
from benchmarks.fault_kills import kill_again_and_again, run_to_the_end
from benchmarks.fault_processes import import_everything
from benchmarks.fault_trials import Trials, remove_tree

HEADER = (
    "| command | kills (at a file) | moments, s | found work | begun anew | disk full | files "
    "| folders | faults |"
)


def main() -> int:
    """Try every fault on every command; the exit status is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--files", type=int, default=12, help="damaged of each kind and command")
    parser.add_argument("--folders", type=int, default=3, help="read-only, of each command")
    parser.add_argument(
        "--disks", nargs="*", type=float, default=LEVELS, help="shares of its files that one holds"
    )
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import_everything()
    disk = "a small tmpfs" if may_mount() else "a limit on the size of files"
    print(f"seed {arguments.seed}; {disk} stands for a full disk", flush=True)
    rows, wrong = [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # Another user must get at what it may read.
        root.chmod(0o755)
        live, kept = root / "live", root / "kept"
        kept.mkdir()
        make_cohort(live)
        read = {name for command in arguments.commands for name in BEFORE[command]}
        for name in COMMANDS:
            if name in arguments.commands:
                case = undisturbed(cases(live)[name], kept)
                row, faults = try_command(case, root, arguments)
                rows.append(row)
                wrong += [f"{name}: {fault}" for fault in faults]
                print(row, *(f"  {fault}" for fault in faults), sep="\n", flush=True)
            elif name in read:
                run_to_the_end(cases(live)[name].start)
    print("", HEADER, "|---" * 9 + "|", *rows, sep="\n")
    print("nothing was lost or wrong" if not wrong else f"{len(wrong)} WRONG")
    return 1 if wrong else 0


def try_command(case: Case, root: Path, arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Every fault on one command: its row of the table, and what was wrong."""
    # Each has a seed of its own, so that one command alone is tried as among all.
    seed = 1000 * arguments.seed + COMMANDS.index(case.name)
    remove_tree(case.out)
    killed = kill_again_and_again(
        case.start,
        case.out,
        case.expected,
        kills=arguments.kills,
        seed=seed,
        seconds=case.seconds,
        kept=case.kept,
    )
    faults = list(killed.faults)
    said = []
    kinds: tuple[Callable[[], Trials], ...] = (
        lambda: fill_disks(case, arguments.disks),
        lambda: damage_files(case, root, count=arguments.files, seed=seed),
        lambda: forbid_folders(case, count=arguments.folders, seed=seed),
    )
    for kind in kinds:
        found = kind()
        faults += found.wrong
        good = found.tried - len(found.wrong)
        said.append(f"{good}/{found.tried} ({found.refused} told, {found.mended} mended)")
        _restore(case)
    moments = killed.moments or [0.0]
    times = f"{min(moments):.1f}–{max(moments):.1f} ({statistics.median(moments):.1f})"
    row = (
        f"| {case.name}, {case.seconds:.0f} s, {len(case.expected)} files "
        f"| {len(killed.moments)} ({killed.at_files}) | {times} | {killed.went_on} "
        f"| {killed.rounds} | {' | '.join(said)} | {len(faults)} |"
    )
    return row, faults


def _restore(case: Case) -> None:
    """What comes next reads what an undisturbed run left."""
    remove_tree(case.out)
    shutil.copytree(case.whole, case.out)


if __name__ == "__main__":
    sys.exit(main())
