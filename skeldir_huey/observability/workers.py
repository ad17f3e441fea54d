"""How many workers a consumer has, and how many of them a task holds past its timeout."""

from __future__ import annotations

import time

from skeldir_huey.observability.relay import Relay
from skeldir_huey.queue.consumer import SkeldirConsumer

STUCK_AFTER_S = 2.0  # past its timeout a task is first asked to stop, then given this long
SILENT_S = 5.0  # a child that has said nothing for so long does not work either


class Workers:
    """The workers of one consumer, threads or processes.

    Args:
        consumer: the consumer, before it starts its workers.
    """

    def __init__(self, consumer: SkeldirConsumer) -> None:
        self._consumer = consumer
        self._relay = Relay(self._overdue) if consumer.environment.forks else None

    def _overdue(self) -> int:
        return self._consumer.huey.watchdog.overdue(STUCK_AFTER_S)

    def count(self) -> int:
        return int(self._consumer.workers)

    def stuck(self) -> int:
        """Return how many cannot take a job: their task is past its timeout, or their process says nothing."""
        relay = self._relay
        if relay is None:
            return min(self.count(), self._overdue())
        now = time.monotonic()
        children = [process for _, process in self._consumer.worker_threads if process.pid and process.is_alive()]
        states = [relay.heard_of(child.pid) for child in children]
        return sum(late or now - heard_at > SILENT_S for heard_at, late in states)

    def all_stuck(self) -> bool:
        return self.stuck() >= self.count()
