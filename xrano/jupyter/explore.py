"""The explorer of a run, for notebooks: ``xrano.explore(run)``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xrano.attribution.methods import AttributionSettings
from xrano.errors import ConfigError, UnknownNameError
from xrano.jupyter.opened_run import OpenRun, open_run
from xrano.training.run import Run

if TYPE_CHECKING:
    from xrano.jupyter.explorer import Explorer
    from xrano.jupyter.niivue_picture import NiivuePicture

VIEWERS = ("figure", "niivue")
"""What an explorer may show maps with."""

_EXTRAS = {"ipywidgets": "notebook", "ipyniivue": "niivue"}


def explore(
    run: OpenRun | Run | str | Path,
    pair: str | None = None,
    *,
    method: str = "saliency",
    viewer: str = "figure",
    layer: str | None = None,
    n_steps: int = 32,
    memory_gb: float = 2.0,
) -> Explorer:
    """A widget to look at the maps of a run, pair by pair.

    It starts with one cheap method; every other is computed when it is chosen, and kept.

    Args:
        run: what :func:`xrano.open_run` gave, or the folder of a run.
        pair: id of the pair to begin with; the first held-out one if not given.
        method: method to begin with, with its baseline where it has one.
        viewer: ``figure``, a panel of slices, or ``niivue``, one map in three dimensions to click
            through.
        layer: module for class activation maps; the network's coarsest if not given.
        n_steps: points of integrated gradients.
        memory_gb: what one chunk of these, and all maps that are kept, may take each.

    Returns:
        An ipywidgets box; as the last expression of a cell it is shown.

    Raises:
        ConfigError: if ipywidgets, or ipyniivue for ``niivue``, is not installed, the folder is no
            run, or nothing is held out.
        UnknownNameError: for an unknown pair, method or viewer.
    """
    if viewer not in VIEWERS:
        raise UnknownNameError("viewer", viewer, VIEWERS)
    try:
        from xrano.jupyter.explorer import Explorer

        picture = _in_3d() if viewer == "niivue" else None
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise ConfigError(
            f"exploring needs {error.name}, which is not installed; install it with: "
            f'pip install "xrano[{_EXTRAS[error.name]}]"'
        ) from error
    if isinstance(run, Run):
        opened = run
    else:
        opened = (run if isinstance(run, OpenRun) else open_run(run)).run
    settings = AttributionSettings(layer, n_steps, memory_gb)
    return Explorer(opened, pair=pair, method=method, settings=settings, picture=picture)


def _in_3d() -> NiivuePicture:
    from xrano.jupyter.niivue_picture import NiivuePicture

    return NiivuePicture()
