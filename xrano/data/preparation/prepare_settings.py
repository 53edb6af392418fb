"""How sessions are brought to the common grid; light to import, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from xrano.errors import ConfigError, UnknownNameError

NORMALISATION_NAMES = ("healthy", "brain", "wm-peak", "paper")
"""Names of :data:`xrano.data.normalisation.NORMALISATIONS`."""

MNI152 = "mni152"
NO_TEMPLATE = "none"


@dataclass(frozen=True)
class PrepareSettings:
    """How sessions are brought to the common grid.

    The settings from ``registration`` to ``template`` matter to sessions that do not lie in one
    space yet (``space`` native or session).

    Attributes:
        spacing_mm: voxel size of the store, 0 keeps that of images or template.
        normalisation: how intensities of a pair will be normalised, a name in
            :data:`~xrano.data.normalisation.NORMALISATIONS`.
        margin_mm: how far from any lesion tissue counts as healthy.
        registration: ``rigid`` (volumes stay what they are) or ``affine`` to the template. Scans
            of one patient are always brought together rigidly.
        chain: ``patient``: sessions to the patient's first, that to the template; ``atlas``: each
            session to the template by itself.
        template: ``mni152`` (1 mm, nilearn's), a NIfTI file (SRI24 for the paper's protocol), or
            ``none``: each patient stays where the first scan lay.
        n4: whether to correct the bias field (N4, Tustison et al. 2010).
        denoise: whether to remove noise (Manjón et al. 2010, as in ANTs).
        box: fixed shape of the common grid, centred on that of the template; empty crops it to
            the brains.
        affine_from: which of a file's two affines holds where they disagree: ``sform``, ``qform``.

    Raises:
        ConfigError: if a number is out of its range.
        UnknownNameError: if a name is unknown.
    """

    spacing_mm: float = 0.0
    normalisation: str = "healthy"
    margin_mm: float = 10.0
    registration: Literal["rigid", "affine"] = "rigid"
    chain: Literal["patient", "atlas"] = "patient"
    template: str = MNI152
    n4: bool = False
    denoise: bool = False
    box: tuple[int, ...] = ()
    affine_from: str = "sform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", tuple(self.box))
        if self.spacing_mm < 0 or self.margin_mm < 0:
            raise ConfigError("spacing_mm and margin_mm must not be negative")
        for kind, name, choices in (
            ("normalisation", self.normalisation, NORMALISATION_NAMES),
            ("registration", self.registration, ("rigid", "affine")),
            ("chain", self.chain, ("patient", "atlas")),
            ("affine_from", self.affine_from, ("sform", "qform")),
        ):
            if name not in choices:
                raise UnknownNameError(kind, name, choices)
        if self.box and (len(self.box) != 3 or min(self.box) < 1):
            raise ConfigError(f"a box has three positive sizes, got {self.box}")


PROTOCOLS: Mapping[str, PrepareSettings] = MappingProxyType(
    {
        "default": PrepareSettings(),
        "paper": PrepareSettings(
            spacing_mm=1.0,
            normalisation="paper",
            registration="affine",
            chain="atlas",
            n4=True,
            denoise=True,
            box=(240, 240, 155),
        ),
    }
)
"""``paper`` (arXiv:2504.18268): N4, denoising, each session affinely to the atlas, 240×240×155 at
1 mm, z-score of the whole volume. Its atlas is SRI24, which the user names as ``template``."""
