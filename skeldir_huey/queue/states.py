"""States of a job, and the ways an attempt can end."""

from __future__ import annotations

SCHEDULED = "scheduled"
WAITING = "waiting"
RUNNING = "running"

# How an attempt ended, as `huey.job_attempt.outcome` keeps it. The first three are also ends of a job.
DONE = "done"
DEAD = "dead"
CANCELLED = "cancelled"
ERRORED = "errored"  # another attempt follows
RELEASED = "released"  # given back unharmed; the attempt is not counted
WORKER_LOST = "worker_lost"  # its consumer died

ENDS = frozenset({DONE, DEAD, CANCELLED})

# Why a job is dead, as `worker_failed_jobs.error_type` keeps it.
TRANSIENT = "transient"
PERMANENT = "permanent"
TIMEOUT = "timeout"
EXPIRED = "expired"
UNKNOWN_TASK = "unknown_task"
