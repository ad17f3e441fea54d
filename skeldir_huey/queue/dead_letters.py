"""Dead letters: one row of `worker_failed_jobs` per dead job, written by a receiver of `dead`, and their replay."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any
from uuid import UUID

from huey.registry import Message
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.errors import Conflict, NotFound
from skeldir_huey.log import redact
from skeldir_huey.queue import states
from skeldir_huey.queue.fingerprint import fingerprint
from skeldir_huey.queue.jobs import Job
from skeldir_huey.queue.messages import JsonSerializer, check_size, class_name, encode, traceback_of
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
        again = letter | {"task_id": job.task_id}
        if connection.exec_driver_sql(statement("letter_again"), again).rowcount or not _was_edited(connection, job):
            return
        letter["id"] = uuid.uuid4()
        note = {"id": job.letter_id, "task_id": job.task_id, "note": f"replaced by dead letter {letter['id']}"}
        connection.exec_driver_sql(statement("letter_replaced"), note)
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
            "edited_from": job.letter_id,
        },
    )


def _was_edited(connection: Connection, job: Job) -> bool:
    found = rows(connection, statement("letter_status"), {"id": job.letter_id})
    return bool(found) and found[0]["replaced_by"] == job.task_id


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
    letter = _take(connection, letter_id, task_id, "letter_take")
    _enqueue(connection, letter_id, letter, task_id, fresh_message(bytes(letter["message"]), task_id), priority)
    _tell(connection, letter, task_id)
    return task_id


def replay_edited(connection: Connection, letter_id: UUID, kwargs: dict[str, Any]) -> str:
    """Enqueue a dead letter's job with other arguments, on the caller's transaction; returns the new task id.

    Task and tenant stay. The letter keeps what it says and names the new job; it is resolved when that is done. When
    that dies it gets a letter of its own, which names this one.

    Raises:
        NotFound, Conflict: as `replay`.
        QueueError: the message is not understood, or would be too large.
    """
    task_id = str(uuid.uuid4())
    letter = _take(connection, letter_id, task_id, "letter_replace")
    serializer = JsonSerializer()
    read = serializer.deserialize(fresh_message(bytes(letter["message"]), task_id))
    message = serializer.serialize(read._replace(id=task_id, args=(), kwargs=kwargs))
    _enqueue(connection, letter_id, letter, task_id, check_size(message, letter["task_name"]), 0)
    _tell(connection, letter | {"message": message}, task_id)
    return task_id


def arguments_of(message: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments in a stored message.

    Raises:
        QueueError: it is not understood.
    """
    read = JsonSerializer().deserialize(message)
    return tuple(read.args), dict(read.kwargs)


def _take(connection: Connection, letter_id: UUID, task_id: str, name: str) -> dict[str, Any]:
    taken = rows(connection, statement(name), {"id": letter_id, "replayed_as": task_id})
    if taken:
        return taken[0]
    found = rows(connection, statement("letter_status"), {"id": letter_id})
    if not found:
        raise NotFound(f"no dead letter {letter_id}")
    again = f" as job {found[0]['replayed_as']}" if found[0]["replayed_as"] else ""
    raise Conflict(f"dead letter {letter_id} is {found[0]['status']}{again}, not pending")


def _enqueue(
    connection: Connection, letter_id: UUID, letter: dict[str, Any], task_id: str, message: bytes, priority: float
) -> None:
    connection.exec_driver_sql(
        statement("enqueue"),
        {
            "task_id": task_id,
            "lane": letter["queue"],
            "priority": priority,
            "task_name": letter["task_name"],
            "tenant_id": letter["tenant_id"],
            "correlation_id": letter["correlation_id"],
            "message": message,
            "run_at": None,
            "now": None,
            "tick_key": None,
            "unique_key": None,
            "letter_id": letter_id,
            "from_producer": False,
            "always_notify": True,
        },
    )


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
            _outside_chords(read)._replace(id=task_id, retries=None, eta=None, expires=None, expires_resolved=None)
        )
    except Exception:
        return message


def _outside_chords(message: Message) -> Message:
    """Return a message without the chord that it or a later link of its chain belonged to: that went on without it."""
    rest = message.on_complete
    return message._replace(chord_config=None, on_complete=None if rest is None else _outside_chords(rest))


def delete_settled(connection: Connection, keep_days: int) -> int:
    """Delete a batch of letters that were resolved or abandoned more than `keep_days` days ago; returns how many."""
    return connection.exec_driver_sql(statement("letter_expire"), {"keep_days": keep_days}).rowcount


def _json(value: Any) -> str:
    return json.dumps(redact(encode(value)), ensure_ascii=False)
