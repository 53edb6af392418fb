"""What was used last is kept, as much of it as there is room for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by key; the one that was not used for longest goes first.

    Args:
        room: how much may be kept, in the unit of the sizes given to :meth:`keep`.

    Example:
        >>> recent: Recent[str] = Recent(room=2)
        >>> for name in ("a", "b", "c"):
        ...     _ = recent.keep(name, name.upper())
        >>> recent.find("a"), recent.find("c")
        (None, 'C')
    """

    def __init__(self, room: float) -> None:
        self._room = room
        self._kept: OrderedDict[Hashable, tuple[Value, float]] = OrderedDict()

    def find(self, key: Hashable) -> Value | None:
        """The value of a key, if it is still here."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def keep(self, key: Hashable, value: Value, size: float = 1.0) -> Value:
        """Keep a value and give it back; the newest stays even if it is larger than the room."""
        self._kept.pop(key, None)
        self._kept[key] = (value, size)
        while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self._room:
            self._kept.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._kept)
