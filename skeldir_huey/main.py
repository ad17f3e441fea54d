"""The face for `huey_consumer skeldir_huey.main.huey`: the queue with every task registered. Connects to nothing."""

from __future__ import annotations

from skeldir_huey.queue.instance import huey
from skeldir_huey.tasks import attribution, housekeeping, maintenance, reports  # noqa: F401

__all__ = ["huey"]
