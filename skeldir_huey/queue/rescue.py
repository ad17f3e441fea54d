"""Rescue: jobs of consumers that died or froze are made available again, by whichever consumer ticks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from skeldir_huey import metrics
from skeldir_huey.config import settings
from skeldir_huey.db.engine import engine, enter, rows
from skeldir_huey.errors import FenceLost
from skeldir_huey.log import get_log
from skeldir_huey.queue import states
from skeldir_huey.queue.burial import bury
from skeldir_huey.queue.claims import Claim
from skeldir_huey.queue.jobs import commit
from skeldir_huey.queue.liveness import lock_key
from skeldir_huey.queue.storage import statement

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.rescue")

# A rescuer that freezes itself must not keep the jobs from the others for longer than a frozen consumer does.
_IN_TIME = "set local idle_in_transaction_session_timeout to '15s'"
GRACE_S = 2.0  # after a restart of the server every consumer's lock is free until it connects again


class WorkerLost(Exception):
    """The consumer of a job died, as often as `max_deaths` allows."""


class Rescuer:
    """Finds dead consumers. Never judges by how long a job runs, only by its consumer's lock and heartbeat."""

    def __init__(self, huey: SkeldirHuey) -> None:
        self._huey = huey
        self._free_since: dict[UUID, float] = {}

    def sweep(self) -> int:
        """Rescue what can be rescued now; returns the number of jobs given back or buried."""
        storage = self._huey.storage
        suspects = storage.run(
            statement("suspects"),
            {"consumer_id": storage.consumer_id, "frozen_after_s": settings().frozen_after_s},
        )
        seen = {suspect["consumer_id"] for suspect in suspects}
        self._free_since = {key: since for key, since in self._free_since.items() if key in seen}
        return sum(self._look_safely_at(suspect) for suspect in suspects)

    def next_look_s(self) -> float:
        """Return in how many seconds to look again: when the first free lock has been free long enough, at most 1."""
        now = time.monotonic()
        return min((max(0.2, since + GRACE_S - now) for since in self._free_since.values()), default=1.0)

    def _look_safely_at(self, suspect: dict[str, Any]) -> int:
        try:
            return self._look_at(suspect)
        except Exception as error:  # the others must not wait for this one
            log.error("rescue_failed", consumer_id=str(suspect["consumer_id"]), error=str(error).strip())
            return 0

    def _look_at(self, suspect: dict[str, Any]) -> int:
        consumer_id: UUID = suspect["consumer_id"]
        gone = suspect["stopped"] or suspect["stale"]
        # One without a direct connection never had its lock: its heartbeat alone says that it lives.
        if not gone and not (suspect["holds_lock"] and self._lock_free_long_enough(consumer_id)):
            return 0
        return self._rescue(consumer_id)

    def _lock_free_long_enough(self, consumer_id: UUID) -> bool:
        if not self._huey.storage.run(statement("lock_is_free"), {"key": lock_key(consumer_id)})[0]["free"]:
            self._free_since.pop(consumer_id, None)
            return False
        first = self._free_since.setdefault(consumer_id, time.monotonic())
        return time.monotonic() - first >= GRACE_S

    def _rescue(self, consumer_id: UUID) -> int:
        limit = settings().max_deaths
        buried: list[tuple[Claim, int]] = []
        with engine("worker").connect() as connection:
            with connection.begin():
                # As the login itself: a session may only be ended by its own login.
                ended = rows(connection, statement("end_sessions"), {"application_name": f"skeldir:{consumer_id}"})
            connection.begin()
            enter(connection, None, "app_rw")
            connection.exec_driver_sql(_IN_TIME)
            lost = rows(connection, statement("lost_claims"), {"consumer_id": consumer_id})
            back = []
            for row in lost:
                if row["counts"] and row["deaths"] + 1 >= limit:
                    buried.append((Claim.of_row(row, row["claim_token"]), row["deaths"] + 1))
                else:
                    back.append(row)
            rows(
                connection,
                statement("rescue"),
                {
                    "ids": [row["id"] for row in back],
                    "tokens": [row["claim_token"] for row in back],
                    "counts": [row["counts"] for row in back],
                    "aparts": [row["apart"] for row in back],
                    "consumer_id": consumer_id,
                },
            )
            commit(connection)
        for claim, deaths in buried:
            self._bury(claim, deaths)
        if lost:
            metrics.count("huey_jobs_rescued", amount=len(back))
            log.warning(
                "consumer_rescued",
                consumer_id=str(consumer_id),
                given_back=len(back),
                dead=len(buried),
                sessions_ended=len(ended),
            )
        return len(lost)

    def _bury(self, claim: Claim, deaths: int) -> None:
        error = WorkerLost(f"its worker died {deaths} times while it ran")
        try:
            bury(self._huey, claim, error, states.WORKER_LOST)
        except FenceLost:
            return  # another consumer was first
        except Exception:
            log.exception("burial_failed", task_name=claim.task_name, task_id=claim.task_id)
