"""A job that ends without its task function: whoever waits for it learns of it all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huey.api import Task
from huey.registry import Message
from huey.utils import Error

from skeldir_huey.log import get_log
from skeldir_huey.queue import decide, states
from skeldir_huey.queue.claims import Claim
from skeldir_huey.queue.jobs import Job
from skeldir_huey.queue.outcomes import Outcome

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.burial")


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


def bury(huey: SkeldirHuey, claim: Claim, error: Exception, error_type: str) -> None:
    """Settle a job as dead whose task function did not end, or is not known here.

    As after a last failed attempt its result and those of its chain's other links are the error, its chord goes on
    without it, and its error handler is enqueued: as far as the message, and the tasks that it names, are understood.

    Raises:
        FenceLost: the claim no longer holds; nothing was written.
    """
    job = job_of_claim(claim)
    outcome = Outcome(states.DEAD, error=error, error_type=error_type)
    try:
        message = huey.serializer.deserialize(claim.message)
    except Exception:
        message = None  # nobody knows who waits for it
    if isinstance(message, Message):
        for tell in (_arguments, _results, _chord, _handler):
            try:
                tell(huey, job, outcome, message)
            except Exception as problem:  # a task that is not known here, say; the others are told
                log.warning("burial_not_told", task_id=claim.task_id, part=tell.__name__[1:], error=str(problem))
    huey.settle_job(job, outcome)
    for child in job.children:
        for signal, about in decide.added(child):
            huey._emit(signal, about)


def _arguments(huey: SkeldirHuey, job: Job, outcome: Outcome, message: Message) -> None:
    job.args, job.kwargs = tuple(message.args or ()), dict(message.kwargs or {})


def _described(huey: SkeldirHuey, job: Job, outcome: Outcome) -> Error:
    return Error(huey.build_error_result(Task(id=job.task_id, retries=0), outcome.error))


def _results(huey: SkeldirHuey, job: Job, outcome: Outcome, message: Message) -> None:
    if not huey.results:
        return
    value = huey.serializer.serialize(_described(huey, job, outcome))
    outcome.puts[job.task_id] = value
    while (message := message.on_complete) is not None:
        outcome.puts[message.id] = value


def _chord(huey: SkeldirHuey, job: Job, outcome: Outcome, message: Message | None) -> None:
    while message is not None:
        if message.chord_config is not None:
            chord_id, size, index, callback = message.chord_config
            value = huey.serializer.serialize(_described(huey, job, outcome))
            outcome.member = chord_id, size, index, value, huey._registry.create_task(callback)
            return
        message = message.on_complete


def _handler(huey: SkeldirHuey, job: Job, outcome: Outcome, message: Message) -> None:
    if message.on_error is not None:
        decide.add_handler(huey, job, huey._registry.create_task(message.on_error), outcome.error)
