"""Messages that this consumer does not understand: kept, tried again, and at last a dead letter."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from skeldir_huey.config import settings
from skeldir_huey.errors import FenceLost, QueueError
from skeldir_huey.log import get_log
from skeldir_huey.queue import states
from skeldir_huey.queue.claims import Claim
from skeldir_huey.queue.jobs import Job
from skeldir_huey.queue.outcomes import Outcome

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.unknown")

RETRY_S = 10.0  # another consumer, of a newer version, may know the task


def job_of_claim(claim: Claim) -> Job:
    """Return a job for a claim whose message cannot be read, or is not needed."""
    return Job(
        task_id=claim.task_id,
        task_name=claim.task_name,
        lane=claim.lane,
        tenant_id=claim.tenant_id,
        correlation_id=claim.correlation_id,
        letter_id=claim.letter_id,
        claim=claim,
    )


def understand_later(huey: SkeldirHuey, claim: Claim, error: Exception) -> None:
    """Put a job back with a delay; after `unknown_task_grace_s` (1 hour) bury it as `unknown_task`.

    During a rolling deploy an old consumer meets tasks of the new version: they wait for a consumer that knows them.
    """
    grace = dt.timedelta(seconds=settings().unknown_task_grace_s)
    since = claim.unknown_since or claim.claimed_at
    problem = QueueError(f"{claim.task_name}: {error}")
    if claim.claimed_at - since >= grace:
        outcome = Outcome(states.DEAD, error=problem, error_type=states.UNKNOWN_TASK)
    else:
        outcome = Outcome(
            states.RELEASED,
            error=problem,
            unknown=True,
            run_at=claim.claimed_at + dt.timedelta(seconds=RETRY_S),
        )
    log.warning("job_not_understood", task_name=claim.task_name, task_id=claim.task_id, error=str(error))
    try:
        huey.settle_job(job_of_claim(claim), outcome)
    except FenceLost:
        log.warning("job_fenced", task_name=claim.task_name, task_id=claim.task_id)
    finally:
        if huey.desk is not None:
            huey.desk.forget(claim)
