"""The consumer of a chaos run: `huey_consumer tests.chaos.consumer.huey`. The product's, with time running faster.

A minute of the periodic task is a second. SKELDIR_MUTANT takes a protection away; SKELDIR_MUTANT_CRASH_AT arms the
points at which the process ends itself. Nothing of that is in the product.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from typing import Any

from skeldir_huey.queue import cron
from tests import work  # noqa: F401  its tasks too, for tests of single faults
from tests.chaos import crash_points, mutants
from tests.chaos.work import MINUTE_TASK, huey

FIRST_MINUTE = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
FASTER = 60


def fast_now() -> dt.datetime:
    """Return the time of the periodic task, the same in all consumers of a run."""
    return FIRST_MINUTE + dt.timedelta(seconds=(time.time() - float(os.environ["CHAOS_EPOCH"])) * FASTER)


_tick_one = cron._tick_one


def _tick_faster(huey: Any, task: Any, name: str, now: dt.datetime | None) -> int:
    return _tick_one(huey, task, name, fast_now() if name == MINUTE_TASK else now)


def _end_with(parent: int) -> None:
    gone = threading.Event()
    while os.getppid() == parent:
        gone.wait(0.5)
    os._exit(1)


if "CHAOS_PARENT" in os.environ:  # a consumer outlives neither the run nor its kill -9
    threading.Thread(target=_end_with, args=(int(os.environ["CHAOS_PARENT"]),), daemon=True).start()
if "CHAOS_EPOCH" in os.environ:
    cron._tick_one = _tick_faster
mutants.apply(os.environ.get("SKELDIR_MUTANT", ""))
crash_points.arm(os.environ.get("SKELDIR_MUTANT_CRASH_AT", ""))

__all__ = ["huey"]
