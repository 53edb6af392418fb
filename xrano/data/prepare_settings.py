"""How sessions are brought to the common grid; light to import, for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from xrano.errors import ConfigError, UnknownNameError

NORMALISATION_NAMES = ("healthy", "brain", "wm-peak", "volume")
"""Names of :data:`xrano.data.normalisation.NORMALISATIONS`."""


@dataclass(frozen=True)
class PrepareSettings:
    """How sessions are brought to the common grid.

    ``spacing_mm``: voxel size of the store, 0 keeps that of the images; ``normalisation``: how
    intensities of a pair will be normalised (a name in
    :data:`~xrano.data.normalisation.NORMALISATIONS`); ``margin_mm``: how far from any lesion
    tissue counts as healthy.
    """

    spacing_mm: float = 0.0
    normalisation: str = "healthy"
    margin_mm: float = 10.0

    def __post_init__(self) -> None:
        if self.spacing_mm < 0 or self.margin_mm < 0:
            raise ConfigError("spacing_mm and margin_mm must not be negative")
        if self.normalisation not in NORMALISATION_NAMES:
            raise UnknownNameError("normalisation", self.normalisation, NORMALISATION_NAMES)
