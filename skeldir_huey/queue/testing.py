"""For tests of tasks without a database: immediate mode, in which a call runs its task at once, over memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from skeldir_huey.config import settings
from skeldir_huey.errors import QueueError

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey


def allow_immediate(huey: SkeldirHuey) -> None:
    """Let `huey.immediate = True` take effect: Huey's own immediate mode over its memory storage.

    Nothing of the queue's promise holds there: no job is kept, no settlement, no tenant's transaction, no dead letter.

    Raises:
        QueueError: this is no test: neither is pytest running nor SKELDIR_TEST_TASKS set.
    """
    if "pytest" not in sys.modules and not settings().test_tasks:
        raise QueueError("immediate mode is for tests only: it loses jobs; set SKELDIR_TEST_TASKS=1 to use it anyway")
    huey.immediate_allowed = True
