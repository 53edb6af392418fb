"""Which input channel is which, and what a network must offer to be explained.

A network of xrano always receives ``(batch, channel, i, j, k)`` with the sequences of the prior
scan first and then, in the same order, those of the current scan. Maps of different networks can
therefore be read in the same words, whatever the network does inside (subtract, share an encoder).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from xrano.errors import ConfigError, UnknownNameError

KNOWN_SEQUENCES = ("T1", "CT1", "T2", "FLAIR")
"""The four sequences of LUMIERE; a manifest may declare others."""


PAPER_SETS = ("CT1+T1+T2+FLAIR", "CT1+FLAIR", "CT1", "T1+FLAIR", "T1+T2+FLAIR")
"""The sets of sequences that the paper (arXiv:2504.18268) compares, by name; any other sum of
sequences is a name as well."""


def sequence_set(name: str) -> tuple[str, ...]:
    """The sequences of a set's name.

    Raises:
        ConfigError: if a sequence has no name or is named twice.

    Example:
        >>> sequence_set("T1+T2+FLAIR")
        ('T1', 'T2', 'FLAIR')
    """
    names = tuple(part.strip() for part in name.split("+"))
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"a set of sequences is written as T1+T2+FLAIR, got {name!r}")
    return names


class Timepoint(StrEnum):
    """The role of a scan in a pair."""

    PRIOR = "prior"
    CURRENT = "current"


@dataclass(frozen=True)
class Channel:
    """One input channel: a sequence of one scan of the pair."""

    timepoint: Timepoint
    sequence: str

    @property
    def name(self) -> str:
        """``prior_T1``, ``current_FLAIR`` and so on."""
        return f"{self.timepoint}_{self.sequence}"


@dataclass(frozen=True)
class ChannelLayout:
    """The order of the input channels of a network.

    Args:
        sequences: names of the sequences, each once, in the order of the channels.

    Raises:
        ConfigError: if there is no sequence, or one is named twice.

    Example:
        >>> layout = ChannelLayout(("T1", "FLAIR"))
        >>> layout.names
        ('prior_T1', 'prior_FLAIR', 'current_T1', 'current_FLAIR')
        >>> layout.select(timepoint="current")
        (2, 3)
        >>> layout.index("prior", "FLAIR")
        1
    """

    sequences: tuple[str, ...]

    def __init__(self, sequences: Sequence[str]) -> None:
        if isinstance(sequences, str):
            raise ConfigError(f"a channel layout needs a list of sequences, got {sequences!r}")
        names = tuple(str(sequence) for sequence in sequences)
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"a channel layout needs each sequence once, got {list(names)}")
        object.__setattr__(self, "sequences", names)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels, prior scan first."""
        return tuple(
            Channel(timepoint, sequence) for timepoint in Timepoint for sequence in self.sequences
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The channels' names in order."""
        return tuple(channel.name for channel in self.channels)

    def __len__(self) -> int:
        return 2 * len(self.sequences)

    def index(self, timepoint: str, sequence: str) -> int:
        """The index of one channel.

        Raises:
            UnknownNameError: if the timepoint or the sequence is not in the layout.
        """
        return self.select(timepoint=timepoint, sequence=sequence)[0]

    def select(
        self, *, timepoint: str | None = None, sequence: str | None = None
    ) -> tuple[int, ...]:
        """Indices of the channels of one timepoint, of one sequence, or of both.

        Raises:
            UnknownNameError: if the timepoint or the sequence is not in the layout.
        """
        if timepoint is not None and timepoint not in tuple(Timepoint):
            raise UnknownNameError("timepoint", timepoint, tuple(Timepoint))
        if sequence is not None and sequence not in self.sequences:
            raise UnknownNameError("sequence", sequence, self.sequences)
        return tuple(
            index
            for index, channel in enumerate(self.channels)
            if timepoint in (None, channel.timepoint) and sequence in (None, channel.sequence)
        )


@runtime_checkable
class ExplainableModel(Protocol):
    """What a ``torch.nn.Module`` must offer, beyond being one, to be explained.

    * Called with a float tensor ``(batch, len(layout), i, j, k)`` it returns logits
      ``(batch, num_classes)``, classes as in :mod:`xrano.tasks`; samples of a batch do
      not influence each other in evaluation mode.
    * :attr:`layout` says which channel is which.
    * :attr:`num_classes` is the number of logits.
    * :attr:`cam_layers` names the modules (as in ``named_modules()``) on which a class activation
      map makes sense, from coarse to fine; it may be empty, and then Grad-CAM needs ``--layer``.
      Such a module returns ``(batch, feature, a, b, c)`` and is reached from the input through
      convolutions, poolings and element-wise steps, from which its place in the scan is derived.
    """

    layout: ChannelLayout
    num_classes: int
    cam_layers: tuple[str, ...]
