"""The same work on many sessions, side by side; one that fails does not stop the others."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from xrano.errors import ConfigError, XranoError, XranoWarning
from xrano.progress import Progress, quiet
from xrano.threads import usable_cores

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Outcome(Generic[_Value]):
    """What became of one piece of work: its value, or the error that ended it; and warnings."""

    value: _Value | None
    error: XranoError | None
    remarks: tuple[str, ...] = ()

    def required(self) -> _Value:
        """The value; an error, and what was remarked, goes on to whoever asks."""
        for remark in self.remarks:
            warnings.warn(remark, XranoWarning, stacklevel=2)
        if self.error is not None:
            raise self.error
        return cast("_Value", self.value)


@contextmanager
def collected_remarks() -> Iterator[list[str]]:
    """Collect the texts of xrano's warnings; those of others go on, and all where work fails.

    Example:
        >>> with collected_remarks() as remarks:
        ...     warnings.warn("the scan is clipped", XranoWarning)
        >>> remarks
        ['the scan is clipped']
    """
    remarks: list[str] = []
    passed_on: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", XranoWarning)
            # Whoever catches the error collects what this one can no longer hand over.
            passed_on = caught
            yield remarks
            passed_on = [one for one in caught if not issubclass(one.category, XranoWarning)]
            texts = [str(one.message) for one in caught if issubclass(one.category, XranoWarning)]
            remarks.extend(dict.fromkeys(texts))
    finally:
        for one in passed_on:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def attempt(function: Callable[[_Item], _Value], item: _Item) -> Outcome[_Value]:
    """Call a function; errors about the input and xrano's warnings are kept, others go on."""
    value, error = None, None
    with collected_remarks() as remarks:
        try:
            value = function(item)
        except XranoError as found:
            error = found
    return Outcome(value, error, tuple(remarks))


def run_jobs(
    function: Callable[[_Item], _Value],
    items: Sequence[_Item],
    *,
    jobs: int = 1,
    progress: Progress = quiet,
    what: str = "",
) -> list[Outcome[_Value]]:
    """Attempt a function on every item, in ``jobs`` processes; outcomes in the items' order.

    Args:
        function: can be sent to another process, as can items and values.
        items: what to work on.
        jobs: how many processes; 0 for one a core, 1 for none but this.
        progress: how to show progress.
        what: the work's name, for the progress.

    Raises:
        ConfigError: if ``jobs`` is negative.

    Example:
        >>> [outcome.value for outcome in run_jobs(abs, [-2, 3])]
        [2, 3]
    """
    count = min(worker_count(jobs), len(items))
    if count <= 1:
        return [attempt(function, item) for item in progress(items, what)]
    from joblib import Parallel, delayed

    outcomes: Iterable[Any] = Parallel(n_jobs=count, return_as="generator")(
        delayed(attempt)(function, item) for item in items
    )
    # The bar counts items; outcomes come in the same order.
    return [outcome for _, outcome in zip(progress(items, what), outcomes, strict=True)]


def worker_count(jobs: int) -> int:
    """How many processes ``jobs`` asks for; 0 is one for each core this process may use."""
    if jobs < 0:
        raise ConfigError(f"jobs is a number of processes, 0 for one a core, got {jobs}")
    return jobs or usable_cores()
