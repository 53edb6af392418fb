"""One of several processes that train together: started by the tests, once for many runs.

    python rank_script.py CASES.json      with the variables of a job

Each case: ``config`` (plain values of a run), ``out``, and what to break on purpose.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from xrano.training.config_file import config_from
from xrano.training.fabric import start_ranks
from xrano.training.ranks import Ranks
from xrano.training.train_run import train_run


def refuse_to_write(source: object, target: object) -> None:
    raise AssertionError(f"a process other than the first wrote {target}")


def same_part(self: Ranks, items: list[object]) -> list[object]:
    """What every process gets if ranks are forgotten."""
    return list(items[0 :: self.count])


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text())
    right = Ranks.part
    for case in cases:
        config = config_from(case["config"], "the case")
        ranks = start_ranks(config.training.accelerator, config.training.precision)
        assert ranks.count == case["count"]
        if not ranks.first:
            os.replace = refuse_to_write
        Ranks.part = same_part if case.get("same_part") else right
        told: list[int] = []
        train_run(
            config,
            Path(case["out"]),
            report=lambda _fold, line, _epochs, told=told: told.append(line["epoch"]),
            ranks=ranks,
        )
        trains = config.training.epochs > 0 and not case.get("finished")
        assert bool(told) == (ranks.first and trains)


if __name__ == "__main__":
    main()
