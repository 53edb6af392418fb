"""Whether all sessions of a store lie in one world, where a place means the same in every brain."""

from __future__ import annotations

from xrano.data.preparation.prepare_settings import NO_TEMPLATE
from xrano.data.store import Store

NO_COMMON_WORLD = (
    "the store was registered without a template, so that its patients share no world: there is "
    "no test against other patients' masks and no reference map training_mask"
)
"""What to say where something is left out for it."""


def in_one_world(store: Store) -> bool:
    """Whether voxels of one index mean one place in all patients.

    Scans that came in an atlas's space do, and those that were registered to a template. Without
    one each patient stays where the first scan lay: only the scans of one patient match.
    """
    registered = (store.sessions["space"] != "atlas").any()
    return not (registered and store.settings.get("template") == NO_TEMPLATE)
