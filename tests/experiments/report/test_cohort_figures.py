from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from xrano.experiments.report import cohort_figures
from xrano.experiments.report.cohort_figures import ATLAS_PATIENTS, atlas_picture


@pytest.fixture
def atlas(monkeypatch):
    """An atlas of so many patients of its largest response, and what was drawn of it."""

    def of(patients: int):
        maps = {
            ("saliency", name): SimpleNamespace(n_patients=n, n_pairs=n)
            for name, n in (("CR", 1), ("PD", patients))
        }
        found = SimpleNamespace(maps=maps, classes=("CR", "PD"), notes=(), background_name="grey")
        monkeypatch.setattr(cohort_figures, "class_atlas", lambda *_, **__: found)
        monkeypatch.setattr(cohort_figures, "atlas_figure", lambda _: None)
        monkeypatch.setattr(cohort_figures, "png_bytes", lambda *_: b"picture")
        return atlas_picture(None, SimpleNamespace(maps=SimpleNamespace(path=Path("maps"))))

    return of


def test_mean_maps_of_few_patients_are_no_picture_of_a_class(atlas):
    words = atlas(ATLAS_PATIENTS - 1)
    assert isinstance(words, str)
    assert f"fewer than {ATLAS_PATIENTS} patients" in words


def test_mean_maps_of_enough_patients_of_a_response_are_shown(atlas):
    picture = atlas(ATLAS_PATIENTS)
    assert "CR 1 pair, PD 5 pairs" in picture.caption
