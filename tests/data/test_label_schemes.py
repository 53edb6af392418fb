from __future__ import annotations

import numpy as np
import pytest

from xrano.data.label_schemes import (
    LABEL_SCHEMES,
    REGIONS,
    check_labels,
    has_region,
    labels_found,
    region_mask,
)
from xrano.errors import LabelSchemeError, UnknownNameError

LABELS = np.array([0, 1, 2, 3, 3, 0], dtype=np.uint8).reshape(1, 2, 3)


class TestRegions:
    @pytest.mark.parametrize(
        ("scheme", "region", "expected"),
        [
            ("lumiere-deepbratumia", "enhancing", [1]),
            ("lumiere-deepbratumia", "core", [1, 2]),
            ("lumiere-deepbratumia", "whole", [1, 2, 3]),
            ("lumiere-hdglio", "enhancing", [2]),
            ("lumiere-hdglio", "whole", [1, 2]),
            ("binary", "whole", [1]),
        ],
    )
    def test_labels_of_each_region(self, scheme: str, region: str, expected: list[int]) -> None:
        labels = np.arange(5).reshape(1, 1, 5)
        mask = region_mask(labels, scheme, region)
        assert mask.dtype == np.bool_
        assert np.flatnonzero(mask).tolist() == expected

    def test_regions_that_a_scheme_has(self) -> None:
        table = {
            scheme: [region for region in REGIONS if has_region(scheme, region)]
            for scheme in LABEL_SCHEMES
        }
        assert table == {
            "lumiere-deepbratumia": ["enhancing", "core", "whole"],
            "lumiere-hdglio": ["enhancing", "whole"],
            "binary": ["whole"],
        }

    def test_the_whole_tumour_is_every_label_of_every_scheme(self) -> None:
        for scheme, tissues in LABEL_SCHEMES.items():
            labels = np.array([[[0, *tissues]]])
            assert region_mask(labels, scheme, "whole").sum() == len(tissues)

    def test_a_region_that_the_scheme_cannot_tell(self) -> None:
        with pytest.raises(LabelSchemeError, match=r"'core' needs enhancing, necrosis.*'binary'"):
            region_mask(LABELS, "binary", "core")

    def test_unknown_names(self) -> None:
        with pytest.raises(UnknownNameError, match="lumiere-hdglio"):
            region_mask(LABELS, "hdglio", "core")
        with pytest.raises(UnknownNameError, match="did you mean 'enhancing'"):
            has_region("binary", "enhancin")


class TestCheck:
    def test_some_labels_may_be_absent(self) -> None:
        check_labels(np.zeros((2, 3, 4), dtype=np.uint8), "lumiere-deepbratumia", "seg.nii.gz")
        check_labels(LABELS, "lumiere-deepbratumia", "seg.nii.gz")

    @pytest.mark.parametrize("stranger", [4, -1, 70_000])
    def test_unknown_labels(self, stranger: int) -> None:
        labels = LABELS.astype(np.int64)
        labels[0, 0, 0] = stranger
        with pytest.raises(LabelSchemeError) as caught:
            check_labels(labels, "lumiere-deepbratumia", "a/seg.nii.gz")
        message = str(caught.value)
        assert message.startswith(f"a/seg.nii.gz: labels [{stranger}] ")
        assert "1 enhancing, 2 necrosis, 3 oedema" in message
        assert f"found {sorted([stranger, 0, 1, 2, 3])}" in message

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
    def test_labels_found_is_what_sorting_finds(self, dtype: type) -> None:
        labels = np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype(dtype)
        assert labels_found(labels) == np.unique(labels).tolist()
