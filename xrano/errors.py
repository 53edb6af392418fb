"""Every error that a user can mend: what was given, what was needed, what to do.

All of them are :class:`ValueError` through :class:`XranoError`, so a caller may catch one family,
and the command line turns each into a single line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class XranoError(ValueError):
    """Base of the errors that xrano raises about what it was given."""


class ManifestError(XranoError):
    """A table (sessions, segmentations, pairs, ratings) does not hold what it must."""


class VolumeError(XranoError):
    """An image file is missing, broken, or holds voxels that cannot be used."""


class GridMismatchError(XranoError):
    """Two volumes that must lie on one grid do not."""


class LabelSchemeError(XranoError):
    """A segmentation holds labels that its scheme does not name, or lacks a region asked for."""


class SplitError(XranoError):
    """A division of patients into folds is impossible or would leak."""


class CheckpointError(XranoError):
    """Weights or a run directory do not fit what they are loaded into."""


class ConfigError(XranoError):
    """A setting, or a combination of settings, makes no sense."""


class ModelError(XranoError):
    """A network does not meet the protocol that explaining it needs, or gives unusable output."""


class UnfinishedError(XranoError):
    """Work on many sessions is done, but some of them failed; the message says which and why."""


class OtherProcessError(XranoError):
    """Another process of the same training failed or went away; it says why, if it can."""


class XranoWarning(UserWarning):
    """Something about an input that is allowed but that its user should know."""


class UnknownNameError(XranoError):
    """A name is not among the known ones; the message lists them.

    Args:
        kind: what the name names, singular ("method", "layer", "sequence", ...).
        name: the name that was given.
        choices: the names that exist.

    Example:
        >>> str(UnknownNameError("method", "gradcam3", ["saliency", "gradcam"]))
        "unknown method 'gradcam3' (did you mean 'gradcam'?); choose from: gradcam, saliency"
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        known = sorted(str(choice) for choice in choices)
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        super().__init__(
            f"unknown {kind} {name!r}{hint}; choose from: {', '.join(known) or 'none'}"
        )
        self.kind = kind
        self.name = name
        self.choices = tuple(known)

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...]]]:
        # By default an exception is rebuilt from its message alone, which __init__ refuses.
        return type(self), (self.kind, self.name, self.choices)


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out; torch's allocators raise RuntimeError.

    Example:
        >>> is_out_of_memory(RuntimeError("CUDA out of memory"))
        True
    """
    return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)
