from __future__ import annotations

import numpy as np
import pytest

from xrano.data.label_schemes import (
    LABEL_SCHEMES,
    REGIONS,
    Tissue,
    check_labels,
    describe_scheme,
    has_region,
    label_scheme,
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
            ("brats2021", "enhancing", [4]),
            ("brats2021", "core", [1, 4]),
            ("brats2021", "whole", [1, 2, 4]),
            ("brats2023", "enhancing", [3]),
            ("brats2023", "core", [1, 3]),
            ("brats2023", "whole", [1, 2, 3]),
            ("brats2024", "core", [1, 3]),
            ("brats2024", "whole", [1, 2, 3]),
            ("binary", "whole", [1]),
            ("2=enhancing; 3=cavity", "enhancing", [2]),
            ("2=enhancing; 3=cavity", "whole", [2]),
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
            "brats2021": ["enhancing", "core", "whole"],
            "brats2023": ["enhancing", "core", "whole"],
            "brats2024": ["enhancing", "core", "whole"],
            "binary": ["whole"],
        }

    def test_the_whole_tumour_is_every_label_but_the_cavity(self) -> None:
        for scheme, tissues in LABEL_SCHEMES.items():
            labels = np.array([[[0, *tissues]]])
            tumour = [tissue is not Tissue.CAVITY for tissue in tissues.values()]
            assert region_mask(labels, scheme, "whole").ravel().tolist() == [False, *tumour]

    def test_a_cavity_alone_is_no_tumour(self) -> None:
        assert not has_region("1=cavity", "whole")
        with pytest.raises(LabelSchemeError, match=r"'whole' needs .* or .*1 cavity"):
            region_mask(LABELS, "1=cavity", "whole")

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


class TestExplicit:
    def test_written_anywhere_a_name_is(self) -> None:
        scheme = "1=necrosis;2=oedema;3=enhancing"
        assert dict(label_scheme(scheme)) == dict(label_scheme("brats2023"))
        assert describe_scheme(scheme) == "0 background, 1 necrosis, 2 oedema, 3 enhancing"
        check_labels(LABELS, scheme, "seg.nii.gz")
        with pytest.raises(LabelSchemeError, match=r"labels \[3\] .*1=necrosis"):
            check_labels(LABELS, "1=necrosis;2=oedema", "seg.nii.gz")

    def test_blanks_order_and_a_last_semicolon_do_not_matter(self) -> None:
        expected = {4: Tissue.ENHANCING, 1: Tissue.NECROSIS}
        assert dict(label_scheme("  4 = enhancing ;1=necrosis ; ")) == expected
        assert describe_scheme("4=enhancing;1=necrosis").endswith("1 necrosis, 4 enhancing")

    def test_one_tissue_may_have_several_labels(self) -> None:
        labels = np.arange(4).reshape(1, 2, 2)
        assert region_mask(labels, "1=lesion;3=lesion", "whole").ravel().tolist() == [
            *(False, True, False, True)
        ]

    @pytest.mark.parametrize(
        ("scheme", "error", "complaint"),
        [
            ("0=oedema;1=enhancing", LabelSchemeError, "label 0 is not from 1 to 255"),
            ("256=oedema", LabelSchemeError, "label 256 "),
            ("1=oedema;1=enhancing", LabelSchemeError, "names label 1 twice"),
            ("1=oedema;01=enhancing", LabelSchemeError, "names label 1 twice"),
            ("1=edema", UnknownNameError, "unknown tissue .*'edema'.*did you mean 'oedema'"),
            ("1=oedema,2=enhancing", LabelSchemeError, "'1=oedema,2=enhancing' is not label="),
            ("-1=oedema", LabelSchemeError, "'-1=oedema' is not label=tissue"),
            ("1.0=oedema", LabelSchemeError, "is not label=tissue"),
            ("=", LabelSchemeError, "'=' is not label=tissue"),
            ("1=oedema;;2=cavity", LabelSchemeError, "'' is not label=tissue"),
        ],
    )
    def test_refusals(self, scheme: str, error: type[ValueError], complaint: str) -> None:
        with pytest.raises(error, match=complaint):
            label_scheme(scheme)

    def test_an_unknown_name_tells_of_both_ways(self) -> None:
        with pytest.raises(UnknownNameError, match="1=necrosis;2=oedema;3=enhancing.*brats2024"):
            label_scheme("brats2020")

    def test_a_scheme_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            label_scheme("1=oedema")[1] = Tissue.LESION  # type: ignore[index]
