"""xrano: where a network looks when it rates glioblastoma response, and whether it is tumour.

Research software, not a medical device.

``import xrano`` is light; what needs torch or matplotlib is loaded when it is first used::

    import xrano

    run = xrano.open_run("xrano-demo/run")
    explanation = run.explain(run.pairs()[0], methods=["saliency", "gradcam", "ig:prior"])
    explanation.figure()
    xrano.explore(run)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xrano.jupyter.explore import explore as explore
    from xrano.jupyter.opened_run import OpenRun as OpenRun
    from xrano.jupyter.opened_run import open_run as open_run
    from xrano.map_files import load_map as load_map
    from xrano.maps import AttributionMap as AttributionMap

__version__ = "0.1.0"

_LAZY = {
    "OpenRun": "xrano.jupyter.opened_run",
    "open_run": "xrano.jupyter.opened_run",
    "explore": "xrano.jupyter.explore",
    "AttributionMap": "xrano.maps",
    "load_map": "xrano.map_files",
}

__all__ = ["AttributionMap", "OpenRun", "__version__", "explore", "load_map", "open_run"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'xrano' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
