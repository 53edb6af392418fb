"""The next batch is read while the network works on this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Batch = TypeVar("_Batch")
_NO_MORE = object()


def prefetched(batches: Iterable[_Batch], *, ahead: bool = True) -> Iterator[_Batch]:
    """The same batches in the same order, each fetched by a thread one step ahead.

    Worth it where the network computes elsewhere: on a processor the thread takes from the
    network's own threads, and an epoch at 4 mm lasted 30 % longer. ``ahead=False`` fetches each
    batch when it is asked for.

    An error in fetching is raised where the batch would have come; nothing is fetched any more
    once the iteration is left.

    Example:
        >>> list(prefetched([1, 2, 3]))
        [1, 2, 3]
    """
    if not ahead:
        yield from batches
        return
    source = iter(batches)
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, source, _NO_MORE)
        while (batch := coming.result()) is not _NO_MORE:
            coming = thread.submit(next, source, _NO_MORE)
            yield batch  # type: ignore[misc]
