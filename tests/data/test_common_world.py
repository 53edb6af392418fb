"""Whether the patients of a store share a world."""

from __future__ import annotations

import dataclasses

import pytest

from xrano.data.common_world import in_one_world
from xrano.data.store import Store


@pytest.mark.parametrize(
    ("spaces", "template", "shared"),
    [
        # Scans that came in an atlas's space need no template.
        (("atlas",), "none", True),
        (("atlas",), "mni152", True),
        (("native",), "mni152", True),
        (("session",), "sri24.nii.gz", True),
        # Each patient where the first scan lay.
        (("native",), "none", False),
        (("session",), "none", False),
        (("atlas", "native"), "none", False),
        # A store that says nothing of a template was made before there was a choice.
        (("native",), None, True),
    ],
)
def test_patients_share_a_world_in_an_atlas_or_by_a_template(
    phantom_store: Store, monkeypatch: pytest.MonkeyPatch, spaces, template, shared
):
    sessions = phantom_store.sessions
    each = [spaces[number % len(spaces)] for number in range(len(sessions))]
    monkeypatch.setattr(Store, "sessions", sessions.assign(space=each))
    settings = {name: of for name, of in phantom_store.settings.items() if name != "template"}
    if template is not None:
        settings["template"] = template
    assert in_one_world(dataclasses.replace(phantom_store, settings=settings)) is shared
