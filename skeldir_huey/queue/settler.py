"""The settler of a consumer process: plain successes share a statement and a commit, each with its own fence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from skeldir_huey import metrics
from skeldir_huey.log import get_log
from skeldir_huey.queue.claims import Claim
from skeldir_huey.queue.storage import PostgresStorage

log = get_log("queue.settler")

MAX_BATCH = 50
SHORT_S = 0.005  # a batch that took less than this per job may grow; a success waits at most this long
BACKLOG = 4 * MAX_BATCH  # so many unsettled successes make the workers wait


@dataclass(slots=True)
class Success:
    """A finished job without effects of its own transaction, to be settled with others."""

    claim: Claim
    task: Any
    result: bytes | None
    run_ms: float
    worker: str
    revoke_key: str | None


class Settler:
    """Settles the successes of one process. Safe for its threads.

    Args:
        storage: where the jobs are.
        let_go: called with the claims whose settlement was tried, however that went.
        announce: called with successes after they were committed.
    """

    def __init__(
        self,
        storage: PostgresStorage,
        let_go: Callable[[Sequence[Claim]], None],
        announce: Callable[[Sequence[Success]], None],
    ) -> None:
        self.stopping = False
        self._storage = storage
        self._let_go = let_go
        self._announce = announce
        self._lock = threading.Lock()  # of what waits; never held while a statement runs
        self._settling = threading.Lock()
        self._done: list[Success] = []
        self._full = threading.Event()  # a whole batch of successes waits
        self._some = threading.Event()  # at least one does

    def add(self, success: Success) -> None:
        """Settle a success soon, together with others."""
        with self._lock:
            self._done.append(success)
            count = len(self._done)
        if count == 1:
            self._some.set()
        elif count >= MAX_BATCH:
            if not self._full.is_set():
                self._full.set()
            if count >= BACKLOG:
                self.flush()  # the settlements do not keep up: the worker waits for them

    def hurry(self) -> None:
        """Wait for no more successes to come."""
        if self._some.is_set():
            self._full.set()

    def waiting(self) -> set[int]:
        """Return the ids of the jobs whose success waits."""
        with self._lock:
            return {success.claim.id for success in self._done}

    def loop(self) -> None:
        """Settle full batches at once and smaller ones soon, until stopped: the body of a thread."""
        while not self.stopping:
            if self._some.wait(1.0):
                self._full.wait(SHORT_S)
                self.flush()

    def flush(self) -> None:
        """Settle what is waiting now."""
        with self._settling:
            with self._lock:
                done, self._done = self._done, []
                self._some.clear()
                self._full.clear()
            settled = self._settle(done) if done else []
        if settled:
            self._announce(settled)

    def _settle(self, done: list[Success]) -> list[Success]:
        try:
            ids = self._storage.settle_done(
                {
                    "ids": [one.claim.id for one in done],
                    "tokens": [one.claim.token for one in done],
                    "results": [one.result for one in done],
                    "run_ms": [one.run_ms for one in done],
                    "workers": [one.worker for one in done],
                    "revoke_keys": [one.revoke_key for one in done],
                    "now": None,
                }
            )
        except Exception:
            # Not acknowledged, perhaps committed: what is still there is found by the sweep and runs again.
            log.exception("settlement_failed", count=len(done))
            return []
        finally:
            self._let_go([one.claim for one in done])
        for one in done:
            if one.claim.id not in ids:
                log.warning("job_fenced", task_name=one.claim.task_name, task_id=one.claim.task_id)
                metrics.count("huey_jobs_fenced")
        return [one for one in done if one.claim.id in ids]
