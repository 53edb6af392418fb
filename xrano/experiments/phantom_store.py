"""A phantom cohort, indexed and prepared, in one go."""

from __future__ import annotations

from pathlib import Path

from xrano.data.index import index_cohort
from xrano.data.phantom.cohort import write_phantom
from xrano.data.phantom.settings import PhantomSettings
from xrano.data.preparation.indexed import prepare_index
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.progress import Progress


def make_store(out: Path, settings: PhantomSettings, progress: Progress, *, jobs: int = 1) -> Path:
    """Phantom, index and prepared store below a folder, unless they are there; the store."""
    # First, since it refuses a folder that holds the cohort of other settings.
    write_phantom(out / "phantom", settings, jobs=jobs, progress=progress)
    store = out / "store"
    if not (store / "store.json").is_file():
        index_cohort(out / "phantom", out / "index")
        cohort = prepare_index(
            out / "index", store, PrepareSettings(), jobs=jobs, progress=progress
        )
        cohort.require_whole()
    return store
