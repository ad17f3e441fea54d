"""Settlement: the one transaction that ends an execution, with everything that follows from it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey import metrics
from skeldir_huey.db.engine import enter, rows
from skeldir_huey.errors import FenceLost
from skeldir_huey.queue import states
from skeldir_huey.queue.jobs import Child, Job, commit
from skeldir_huey.queue.messages import class_name
from skeldir_huey.queue.outcomes import Member, Outcome
from skeldir_huey.queue.signals import StrictSignals
from skeldir_huey.queue.storage import statement


def settle(job: Job, outcome: Outcome, signals: StrictSignals, enqueue_callback: Any) -> None:
    """Write the end of an execution on the job's own transaction, and commit it.

    Effects of the task, result, retry, children, chord, dead letter, history and end state are one commit. The first
    statement is the fence: when the claim no longer holds, everything is rolled back.

    Args:
        job: the execution; its open transaction, if any, holds the task's effects.
        outcome: how it ended.
        signals: the strict receivers of `dead` and `ended`; any exception of theirs rolls the settlement back.
        enqueue_callback: called with (job, callback, values) for a completed chord, returns the child to add,
            or the stillborn to bury.

    Raises:
        FenceLost: the claim no longer holds; nothing was written.
    """
    if job.lost:
        job.rollback()
        raise _fenced(job)
    if outcome.kind != states.DONE:
        job.rollback()  # effects of a failed execution
        job.committed.clear()
    try:
        connection = job.open()
        enter(connection, None, "app_rw")
        if outcome.kind == states.ERRORED:
            _add_children(connection, job)  # before the next attempt is ranked: the error handler runs first
        if job.claim is not None and not _end_row(connection, job, outcome):
            job.lost = True
            raise _fenced(job)
        _write_rest(connection, outcome)
        if outcome.member is not None:
            _write_member(connection, job, outcome.member, signals, enqueue_callback)
        if outcome.kind != states.ERRORED:
            _add_children(connection, job)
        if outcome.kind == states.DEAD:
            signals.send_dead(job, outcome.error_type or states.PERMANENT, outcome.error)
        if outcome.kind in states.ENDS:
            signals.send_ended(job, outcome.kind)
        commit(connection)
    except BaseException:
        job.rollback()
        raise
    job.connection = None
    connection.close()
    if outcome.kind == states.DEAD:
        metrics.count("huey_jobs_dead", outcome.error_type or states.PERMANENT)
    for tell in job.committed:
        tell()


def _fenced(job: Job) -> FenceLost:
    metrics.count("huey_jobs_fenced")
    return FenceLost(f"job {job.task_id} is no longer ours")


def _end_row(connection: Connection, job: Job, outcome: Outcome) -> bool:
    claim = job.claim
    assert claim is not None
    common = {
        "id": claim.id,
        "token": claim.token,
        "outcome": outcome.kind,
        "worker": job.worker,
        "run_ms": outcome.run_ms,
        "error_class": class_name(outcome.error) if outcome.error else None,
        "error_message": str(outcome.error)[:2000] if outcome.error else None,
        "now": outcome.now,
    }
    if outcome.kind in states.ENDS:
        return bool(rows(connection, statement("settle_end"), common))
    return bool(
        rows(
            connection,
            statement("settle_again"),
            common
            | {
                "run_at": outcome.run_at,
                "message": outcome.message,
                "counted": outcome.kind != states.RELEASED,
                "unknown": outcome.unknown,
                "cut": outcome.cut,
                "consumer_id": None,
            },
        )
    )


def _write_rest(connection: Connection, outcome: Outcome) -> None:
    for key in outcome.deletes:
        connection.exec_driver_sql(statement("delete_result"), {"key": key})
    for key, value in outcome.puts.items():
        _put(connection, key, value)


def _put(connection: Connection, key: str, value: bytes) -> None:
    connection.exec_driver_sql(statement("put_result"), {"key": key, "value": value, "is_result": True, "ttl_s": None})


def _write_member(
    connection: Connection, job: Job, member: Member, signals: StrictSignals, enqueue_callback: Any
) -> None:
    chord_id, size, index, value, callback = member
    connection.exec_driver_sql(statement("chord_lock"), {"chord_id": chord_id})
    connection.exec_driver_sql(statement("chord_member"), {"chord_id": chord_id, "idx": index, "value": value})
    values = rows(connection, statement("chord_take"), {"chord_id": chord_id, "size": size})
    if not values:
        return
    child = enqueue_callback(job, callback, [bytes(row["value"]) for row in values])
    if isinstance(child, Child):
        job.children.append(child)
        return
    for key, result in child.puts.items():
        _put(connection, key, result)
    if child.member is not None:
        _write_member(connection, job, child.member, signals, enqueue_callback)
    child.job.connection = connection
    signals.send_dead(child.job, states.PERMANENT, child.error)
    job.committed += child.job.committed
    enter(connection, None, "app_rw")


def _add_children(connection: Connection, job: Job) -> None:
    for child in job.children:
        connection.exec_driver_sql(statement("enqueue"), child.row | {"from_producer": False, "always_notify": False})
