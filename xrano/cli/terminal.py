"""What the terminal shows: progress bars with the time left, silent where nobody watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def bar(items: Iterable[Any], what: str) -> Iterator[Any]:
    """A progress bar around an iterable; nothing is drawn if stderr is not a terminal."""
    from tqdm import tqdm

    yield from tqdm(items, desc=what, disable=None, dynamic_ncols=True)


class EpochBar:
    """A progress bar over the epochs of each fold."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._fold = -1

    def __call__(self, fold: int, line: dict[str, Any], epochs: int) -> None:
        """Show one finished epoch."""
        from tqdm import tqdm

        if fold != self._fold:
            self.close()
            self._fold = fold
            self._bar = tqdm(total=epochs, initial=line["epoch"], desc=f"fold {fold}", disable=None)
        self._bar.set_postfix_str(
            f"train {line['train_loss']:.3f}, validation {line['val_loss']:.3f}, "
            f"balanced accuracy {line['val_balanced_accuracy']:.2f}"
        )
        self._bar.update(1)

    def close(self) -> None:
        """Finish the bar of the last fold."""
        if self._bar is not None:
            self._bar.close()
