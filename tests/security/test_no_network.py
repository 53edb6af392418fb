from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import socket, sys, warnings
from pathlib import Path

reached = []

def refuse(*arguments, **_):
    reached.append(str(arguments))
    raise OSError("the network was asked for")

def hook(event, arguments):
    # Also what does not go through the names replaced below.
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        refuse(event, arguments)

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = socket.gethostbyname = refuse
sys.addaudithook(hook)

from xrano.cli.main import main

root = Path(sys.argv[1])
steps = [
    ["phantom", "--out", root / "phantom", "--patients", "4", "--spacing_mm", "6"],
    ["index", root / "phantom", "--out", root / "index"],
    ["prepare", root / "index", "--out", root / "store", "--jobs", "1"],
    ["train", root / "store", "--out", root / "run", "--preset", "demo", "--training.epochs", "1",
     "--n_folds", "2", "--folds", "[0]", "--training.accelerator", "cpu"],
    ["explain", root / "run", "--all", "--methods", "saliency", "gradcam", "--out", root / "maps"],
    ["score", root / "run", "--maps", root / "maps", "--out", root / "scores",
     "--n_resamples", "20", "--nulls", "none"],
    ["check", root / "store"],
    ["probe", root / "store", "--permutations", "5"],
    ["evaluate", root / "run", "--n_resamples", "20"],
    ["quality", root / "store", "--out", root / "quality"],
    ["figures", root / "run", "--out", root / "figures", "--kinds", "timeline", "overlap",
     "--scores", root / "scores", "--maps", root / "maps"],
    ["report", root / "run", "--out", root / "report", "--scores", root / "scores",
     "--maps", root / "maps", "--cases", "1", "--jobs", "1"],
    ["faithfulness", root / "run", "--out", root / "faithfulness", "--pairs", "1",
     "--methods", "saliency", "--tests", "interventions", "--n_resamples", "20"],
]
for step in steps:
    status = main([str(word) for word in step])
    assert not status, (step[0], status)
    assert not reached, (step[0], reached)
# What registration without a template of one's own brings patients to comes with nilearn.
from xrano.data.registration.template import load_template
assert load_template("mni152") is not None
assert not reached, reached
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError:
    pass
print("asked for the network:", len(reached) - 1)
"""


def test_a_whole_run_asks_for_no_network_and_leaves_home_alone(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_proxy")}
    hidden = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TORCH_HOME", "NILEARN_DATA")
    environment = {name: value for name, value in kept.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "out")],
        env={**environment, "HOME": str(home), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "asked for the network: 0"
    # Matplotlib keeps its list of fonts; nothing else was put there.
    left = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert left <= {(".cache", "matplotlib"), (".config", "matplotlib")}
    for made in ("scores/summary.csv", "report/index.html", "faithfulness/faithfulness.csv"):
        assert (tmp_path / "out" / made).is_file()
