"""Dead letters: one row of `worker_failed_jobs` per dead job, written by a receiver of `dead`, and their replay."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.errors import Conflict, NotFound
from skeldir_huey.log import redact
from skeldir_huey.queue import states
from skeldir_huey.queue.fingerprint import fingerprint
from skeldir_huey.queue.jobs import Job
from skeldir_huey.queue.messages import JsonSerializer, class_name, encode, traceback_of
from skeldir_huey.queue.storage import statement

# Called as (connection, task name, tenant id, arguments by name, new task id) inside the replay's transaction; an
# exception rolls the replay back.
on_replay: list[Callable[[Connection, str, UUID | None, dict[str, Any], str], None]] = []


def write_letter(signal: str, job: Job, error_type: str, error: BaseException | None) -> None:
    """Write the letter of a dead job, or put a replayed job's letter back to pending.

    Runs inside the settlement: if it fails, the job is not dead and comes back.
    """
    connection = job.connection_as(job.tenant_id)
    exception_class = class_name(error) if error else ""
    message = redact(str(error)) if error else ""
    traceback_text = redact(traceback_of(error)) if error else ""
    letter = {
        "id": job.letter_id or uuid.uuid4(),
        "worker": job.worker,
        "error_type": error_type,
        "exception_class": exception_class,
        "error_message": message,
        "traceback": traceback_text,
        "fingerprint": fingerprint(job.task_name, exception_class, message, traceback_text),
    }
    if job.letter_id is not None:
        connection.exec_driver_sql(statement("letter_again"), letter)
        return
    connection.exec_driver_sql(
        statement("letter_insert"),
        letter
        | {
            "tenant_id": job.tenant_id,
            "task_id": job.task_id,
            "task_name": job.task_name,
            "queue": job.lane,
            "task_args": _json(list(job.args)),
            "task_kwargs": _json(job.kwargs),
            "correlation_id": job.correlation_id,
            "message": job.claim.message if job.claim else job.message,
        },
    )


def close_letter(signal: str, job: Job, state: str) -> None:
    """Resolve the letter of a replayed job that is done; let a cancelled one's wait for a decision again."""
    if state == states.DEAD:
        return  # write_letter did it
    connection = job.connection_as(job.tenant_id)
    if state == states.DONE:
        connection.exec_driver_sql(statement("letter_resolve"), {"id": job.letter_id})
    else:
        connection.exec_driver_sql(
            statement("letter_back"), {"id": job.letter_id, "note": f"replay {job.task_id} was {state}"}
        )


def _has_letter(job: Job) -> bool:
    return job.letter_id is not None


close_letter.only = _has_letter  # type: ignore[attr-defined]


def replay(connection: Connection, letter_id: UUID, *, priority: float = 0) -> str:
    """Enqueue a dead letter's job again, on the caller's transaction.

    The letter goes from pending to in_progress; it becomes resolved when the new job is done. Two callers at once
    replay it once.

    Args:
        connection: acting for the letter's tenant (or as a role of letters without tenant).
        letter_id: the letter.
        priority: of the new job; higher ones of its lane go first.

    Returns:
        The task id of the new job.

    Raises:
        NotFound: no such letter is visible.
        Conflict: it is not pending: somebody replayed, resolved or abandoned it.
    """
    task_id = str(uuid.uuid4())
    taken = rows(connection, statement("letter_take"), {"id": letter_id, "replayed_as": task_id})
    if not taken:
        found = rows(connection, statement("letter_status"), {"id": letter_id})
        if not found:
            raise NotFound(f"no dead letter {letter_id}")
        again = f" as job {found[0]['replayed_as']}" if found[0]["replayed_as"] else ""
        raise Conflict(f"dead letter {letter_id} is {found[0]['status']}{again}, not pending")
    letter = taken[0]
    connection.exec_driver_sql(
        statement("enqueue"),
        {
            "task_id": task_id,
            "lane": letter["queue"],
            "priority": priority,
            "task_name": letter["task_name"],
            "tenant_id": letter["tenant_id"],
            "correlation_id": letter["correlation_id"],
            "message": fresh_message(bytes(letter["message"]), task_id),
            "run_at": None,
            "now": None,
            "tick_key": None,
            "unique_key": None,
            "letter_id": letter_id,
            "from_producer": False,
            "always_notify": True,
        },
    )
    _tell(connection, letter, task_id)
    return task_id


def _tell(connection: Connection, letter: dict[str, Any], task_id: str) -> None:
    try:
        kwargs = dict(JsonSerializer().deserialize(bytes(letter["message"])).kwargs)
    except Exception:
        return  # a message that is not understood says nothing to anybody here
    for receiver in on_replay:
        receiver(connection, letter["task_name"], letter["tenant_id"], kwargs, task_id)


def fresh_message(message: bytes, task_id: str) -> bytes:
    """Return a dead job's message as a new one: its retries anew, due now, not expired, in no chord.

    A message that is not understood stays as it is: a consumer that understands it may come.
    """
    serializer = JsonSerializer()
    try:
        read = serializer.deserialize(message)
        return serializer.serialize(
            read._replace(id=task_id, retries=None, eta=None, expires=None, expires_resolved=None, chord_config=None)
        )
    except Exception:
        return message


def delete_settled(connection: Connection, keep_days: int) -> int:
    """Delete a batch of letters that were resolved or abandoned more than `keep_days` days ago; returns how many."""
    return connection.exec_driver_sql(statement("letter_expire"), {"keep_days": keep_days}).rowcount


def _json(value: Any) -> str:
    return json.dumps(redact(encode(value)), ensure_ascii=False)
