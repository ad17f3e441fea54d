"""What one consumer process has: an identity, a desk, a life sign and the thread that settles in time."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from huey import signals as S

from skeldir_huey.db import engine as engines
from skeldir_huey.db import urls
from skeldir_huey.log import get_log
from skeldir_huey.queue.desk import Desk
from skeldir_huey.queue.line import REST_S
from skeldir_huey.queue.liveness import Liveness

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.process")

POOL = 64  # an upper bound; a connection is opened only for a worker that is busy with one


class ProcessState:
    """Made once in each process that executes jobs, after the fork. `close` gives everything back.

    Args:
        huey: whose jobs.
        description: worker_type and worker_count, for the consumer row.
        is_child: whether this is a forked worker, which must not outlive its parent.
    """

    def __init__(self, huey: SkeldirHuey, description: dict[str, Any], is_child: bool) -> None:
        self.huey = huey
        self.pid = os.getpid()
        storage = huey.storage
        if is_child:
            storage.new_identity()
            name_sessions(storage.application_name)
        self.desk = Desk(storage, huey.announce)
        self.desk.may_claim = False  # until the lock is held
        self._idle_looks = 0
        self.liveness = Liveness(storage, self.desk, description, self._rest)
        self.liveness.start()
        threading.Thread(target=self.desk.settler.loop, name="skeldir-settler", daemon=True).start()
        threading.Thread(target=self.desk.claim_loop, name="skeldir-claimer", daemon=True).start()

    def _rest(self) -> None:
        """Close what has not been used for a while: an idle process keeps the connection that listens and one line.

        Called once a second.
        """
        self.huey.storage.rest()
        made = engines.engine("worker")
        pool = made.pool
        is_idle = isinstance(pool, sa.QueuePool) and pool.checkedin() and not pool.checkedout()
        self._idle_looks = self._idle_looks + 1 if is_idle else 0
        if self._idle_looks >= REST_S:
            made.dispose()

    def close(self) -> None:
        """Give back every claim, let go of the lock and close all connections."""
        try:
            running = self.desk.release_all()
            if running:
                log.warning("jobs_interrupted", task_ids=[claim.task_id for claim in running])
            for task in list(self.huey._tasks_in_flight):
                self.huey._emit(S.SIGNAL_INTERRUPTED, task)
        except Exception as error:
            # The server may be gone: then the rescue of another consumer, or of our next start, finds the claims.
            log.error("release_failed", error=str(error).strip())
        self.liveness.stop()
        self.huey.storage.close()


def name_sessions(application_name: str) -> None:
    """Give every session of this process the consumer's name, so that a rescue can end them."""
    engines.use_engine(
        "worker",
        sa.create_engine(
            urls.url_of("worker"),
            pool_size=POOL,
            max_overflow=0,
            pool_use_lifo=True,
            connect_args={"application_name": application_name, "connect_timeout": 5},
        ),
    )


def forget_process(reference: weakref.ref[SkeldirHuey]) -> None:
    """In a forked child: forget the parent's desk, and a lock that may have been held at the fork."""
    huey = reference()
    if huey is not None:
        huey._process = None
        huey._process_lock = threading.Lock()
