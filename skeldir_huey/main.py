"""The face for `huey_consumer skeldir_huey.main.huey`: the queue with every task registered. Connects to nothing."""

from __future__ import annotations

from skeldir_huey.config import settings
from skeldir_huey.errors import ConfigError
from skeldir_huey.observability.wiring import watch
from skeldir_huey.queue.instance import huey
from skeldir_huey.tasks import (  # noqa: F401
    attribution,
    backfill,
    bulk,
    housekeeping,
    ledger,
    maintenance,
    orphans,
    refused,
    reports,
    training,
    versions,
    waiting,
)


def _demo() -> bool:
    try:
        return settings().demo
    except ConfigError:
        return False  # said in one line by whoever uses the queue


if _demo():
    from skeldir_huey.tasks import demo  # noqa: F401

watch(huey)

__all__ = ["huey"]
