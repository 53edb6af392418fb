from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from lumiere_tree import write_session

from xrano.data.datasets.lumiere import check_measured_volumes
from xrano.data.datasets.measured_volumes import MEASURED_VOLUMES
from xrano.data.volumes import Segmentation, read_labels
from xrano.errors import LabelSchemeError, ManifestError


@pytest.fixture
def segmentation(tmp_path: Path) -> Segmentation:
    write_session(tmp_path)
    folder = tmp_path / "DeepBraTumIA-segmentation" / "atlas" / "segmentation"
    return read_labels(folder / "seg_mask.nii.gz", "lumiere-deepbratumia")


def _check(segmentation: Segmentation, labels: np.ndarray | None = None) -> bool:
    return check_measured_volumes(
        segmentation.labels if labels is None else labels,
        1000 * segmentation.grid.voxel_ml,
        segmentation.path.with_name(MEASURED_VOLUMES),
    )


def test_agreement(segmentation: Segmentation) -> None:
    assert _check(segmentation)
    segmentation.path.with_name(MEASURED_VOLUMES).unlink()
    assert not _check(segmentation)


def test_swapped_labels_show_both_readings(segmentation: Segmentation) -> None:
    # 3 voxels of enhancing tumour, 2 of necrosis, 7.5 mm³ each; ten times as many, so that the
    # tolerance of one voxel does not hide the difference
    large = np.tile(segmentation.labels, (10, 1, 1))
    path = segmentation.path.with_name(MEASURED_VOLUMES)
    volumes = {name: 10 * value for name, value in json.loads(path.read_text()).items()}
    path.write_text(json.dumps(volumes))
    assert _check(segmentation, large)
    swapped = np.array([0, 2, 1, 3], dtype=np.uint8)[large]
    with pytest.raises(LabelSchemeError, match="labels 1 and 2 are swapped") as caught:
        _check(segmentation, swapped)
    assert "Enhancing_Core 225 mm³, label 1 150 mm³" in str(caught.value)
    assert "Necrotic_NonEnhancing 150 mm³, label 2 225 mm³" in str(caught.value)
    with pytest.raises(LabelSchemeError, match="not made together"):
        _check(segmentation, np.zeros_like(large))


@pytest.mark.parametrize("text", ["{", "[]", '{"Enhancing_Core": 3}', '{"Enhancing_Core": null}'])
def test_broken_file(segmentation: Segmentation, text: str) -> None:
    segmentation.path.with_name(MEASURED_VOLUMES).write_text(text)
    with pytest.raises(ManifestError, match="must hold numbers for Enhancing_Core, "):
        _check(segmentation)
