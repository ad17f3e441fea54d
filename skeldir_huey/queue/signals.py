"""Signals that are part of a settlement: `dead` and `ended`.

Huey's own signals only watch, and exceptions of their receivers are logged. These two add to the settlement's
transaction: an exception of a receiver rolls it back, and the job comes back.
"""

from __future__ import annotations

from typing import Any

from huey.signals import Signal

from skeldir_huey.queue.jobs import Job

DEAD = "dead"
ENDED = "ended"


class StrictSignals(Signal):
    """Huey's signals, plus strict sending for `dead` and `ended`.

    Receivers of `dead` are called as (signal, job, error_type, exception), exactly once per dead job. Receivers of
    `ended` are called as (signal, job, state) with state done, dead or cancelled. `job.connection_as(tenant_id)` is the
    transaction to write on.
    """

    __slots__ = ()

    def send_dead(self, job: Job, error_type: str, error: BaseException | None) -> None:
        """Call every receiver of `dead`; exceptions pass through."""
        for receiver in self.receivers.get(DEAD, ()):
            receiver(DEAD, job, error_type, error)

    def send_ended(self, job: Job, state: str) -> None:
        """Call every receiver of `ended` that wants this job; exceptions pass through."""
        for receiver in self.receivers.get(ENDED, ()):
            if wants(receiver, job):
                receiver(ENDED, job, state)

    def wants_ended(self, job: Job) -> bool:
        """Say whether any receiver of `ended` wants this job; if none does, a success can settle with others."""
        for receiver in self.receivers.get(ENDED, ()):  # noqa: SIM110  a generator costs more than the questions
            if wants(receiver, job):
                return True
        return False


def wants(receiver: Any, job: Job) -> bool:
    """Ask a receiver's `only(job)`, if it has one; without it, the receiver wants every job."""
    only = getattr(receiver, "only", None)
    return only is None or only(job)
