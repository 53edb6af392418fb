"""How a method is asked for: ``saliency``, ``ig:prior``, ``captum.Deconvolution``."""

from __future__ import annotations

from dataclasses import dataclass

from xrano.attribution.method_spec import MethodSpec
from xrano.attribution.method_table import spec_of
from xrano.errors import ConfigError, UnknownNameError

ALIASES = {"gradcam++": "gradcampp", "grad-cam++": "gradcampp"}
"""Other spellings; a file's name could not hold the plus signs."""


@dataclass(frozen=True)
class MethodRequest:
    """A method, with its baseline where it has one: ``saliency``, ``gradcam``, ``ig:prior``."""

    method: str
    baseline: str = ""

    @classmethod
    def parse(cls, text: str) -> MethodRequest:
        """Read ``method`` or ``method:baseline``.

        Raises:
            UnknownNameError: for an unknown method or baseline; the message lists them.
            ConfigError: if the method has no baseline and one is given.

        Example:
            >>> MethodRequest.parse("ig").label, MethodRequest.parse("ig:prior").label
            ('ig:zero', 'ig:prior')
        """
        method, _, baseline = text.partition(":")
        method = ALIASES.get(method, method)
        offered = spec_of(method).baselines
        if baseline and not offered:
            raise ConfigError(f"{method} takes no baseline, got {text!r}")
        if baseline and baseline not in offered:
            raise UnknownNameError("baseline", baseline, offered)
        return cls(method, baseline or (offered[0] if offered else ""))

    @property
    def label(self) -> str:
        """The text that :meth:`parse` reads back."""
        return f"{self.method}:{self.baseline}" if self.baseline else self.method

    @property
    def spec(self) -> MethodSpec:
        """The method's row of the table."""
        return spec_of(self.method)
