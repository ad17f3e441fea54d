"""Messages that this consumer does not understand: kept, tried again, and at last a dead letter."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from skeldir_huey.config import settings
from skeldir_huey.errors import FenceLost, QueueError
from skeldir_huey.log import get_log
from skeldir_huey.queue import states
from skeldir_huey.queue.burial import bury, job_of_claim
from skeldir_huey.queue.claims import Claim
from skeldir_huey.queue.outcomes import Outcome

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.unknown")

RETRY_S = 10.0  # another consumer, of a newer version, may know the task


def understand_later(huey: SkeldirHuey, claim: Claim, error: Exception) -> None:
    """Put a job back with a delay; after `unknown_task_grace_s` (1 hour) bury it as `unknown_task`.

    During a rolling deploy an old consumer meets tasks of the new version: they wait for a consumer that knows them.
    """
    grace = dt.timedelta(seconds=settings().unknown_task_grace_s)
    since = claim.unknown_since or claim.claimed_at
    problem = QueueError(f"{claim.task_name}: {error}")
    log.warning("job_not_understood", task_name=claim.task_name, task_id=claim.task_id, error=str(error))
    try:
        if claim.claimed_at - since >= grace:
            bury(huey, claim, problem, states.UNKNOWN_TASK)
            return
        retry_at = claim.claimed_at + dt.timedelta(seconds=RETRY_S)
        outcome = Outcome(states.RELEASED, error=problem, unknown=True, run_at=retry_at)
        huey.settle_job(job_of_claim(claim), outcome)
    except FenceLost:
        log.warning("job_fenced", task_name=claim.task_name, task_id=claim.task_id)
    finally:
        if huey.desk is not None:
            huey.desk.forget(claim)
