"""Of several processes that train together one tells of an error: the first that meets it.

The others fail after it, since it is gone; what they would say is no news.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

from xrano.errors import OtherProcessError

PATIENCE = timedelta(seconds=5)
"""For an answer of the job's own notice board, which goes with its first process."""


def is_told_elsewhere(error: BaseException) -> bool:
    """Whether another process of the same training tells of what went wrong."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return False
    if isinstance(error, OtherProcessError):
        return True
    own = str(distributed.get_rank())
    try:
        board = distributed.distributed_c10d._get_default_store()
        board.set_timeout(PATIENCE)
        return bool(board.compare_set("xrano/told-by", "", own).decode() != own)
    except (RuntimeError, ValueError, AttributeError):
        return True
