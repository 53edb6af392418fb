"""How the scans of a patient are aligned; light to import, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from xrano.errors import ConfigError, UnknownNameError

Kind: TypeAlias = Literal["rigid", "affine"]
Chain: TypeAlias = Literal["patient", "atlas"]

MNI152 = "mni152"
"""The name of the template that nilearn ships."""

NO_TEMPLATE = "none"
"""The name for staying in the world of the patient's first session."""


@dataclass(frozen=True)
class AlignmentSettings:
    """How scans reach the common space.

    Attributes:
        kind: transform from the first session (or, with chain ``atlas``, from each) to the
            template: ``rigid`` keeps volumes, ``affine`` (the paper's) changes them. Within a
            patient everything is rigid.
        chain: ``patient``: each session to the patient's first, that one to the template.
            ``atlas``: each session by itself to the template (the paper, arXiv:2504.18268).
        template: ``mni152``, ``none``, or the path of a NIfTI file (such as SRI24).
        n4: whether scans are corrected for the bias field before anything else.
        denoise: whether scans are denoised after that.

    Raises:
        UnknownNameError: if ``kind`` or ``chain`` is none of the listed ones.
        ConfigError: if sessions should go to an atlas and there is no template.

    Example:
        >>> AlignmentSettings(kind="affine", chain="atlas", n4=True, denoise=True).template
        'mni152'
    """

    kind: Kind = "rigid"
    chain: Chain = "patient"
    template: str = MNI152
    n4: bool = False
    denoise: bool = False

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("kind", self.kind, get_args(Kind)),
            ("chain", self.chain, get_args(Chain)),
        ):
            if value not in choices:
                raise UnknownNameError(name, value, choices)
        if not self.template:
            raise ConfigError(
                f"template must be {MNI152!r}, {NO_TEMPLATE!r} or the path of a NIfTI file"
            )
        if self.chain == "atlas" and self.template == NO_TEMPLATE:
            raise ConfigError(
                "chain 'atlas' brings each session to the template by itself, but template is "
                f"{NO_TEMPLATE!r}; name one, or take chain 'patient'"
            )
