"""Refused records, tried again by the import's own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import enter, rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.ingest.reread import kind_of, reread, retry
from skeldir_huey.ledger import reread as ledger
from skeldir_huey.ledger.kinds import KINDS
from skeldir_huey.log import get_log, redact
from skeldir_huey.queue import signals
from skeldir_huey.queue.instance import huey
from skeldir_huey.queue.jobs import Job
from skeldir_huey.tasks.base import tenant_task, transaction

RETRY_REFUSED = "skeldir.ingest.retry_refused"
LEDGER_KINDS = dict.fromkeys(KINDS, ledger.add_again)

log = get_log("ingest")


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return str(kwargs.get("record_id"))


@tenant_task(name=RETRY_REFUSED, lane="ingest", unique=_key, retries=3, retry_delay=5)
def retry_refused(*, tenant_id: UUID, record_id: str) -> str:
    """Read a refused record again and add what it means, or refuse it again with the reason of today.

    Returns:
        resolved, pending, or gone when nobody asked for it any more.
    """
    with transaction() as connection:
        enter(connection, tenant_id, "app_import")
        outcome = retry(connection, tenant_id, UUID(record_id), LEDGER_KINDS)
    log.info("refused_record_retried", record_id=record_id, outcome=outcome)
    return outcome


def check_record(connection: Connection, record: Mapping[str, Any]) -> None:
    """Read a refused record as its retry will; nothing is written. What only its retry can know is left to that.

    Args:
        connection: a transaction that acts for the record's tenant.
        record: a row of dead_events.

    Raises:
        InputError: it would be refused again; the field is its column.
    """
    if kind_of(record) in LEDGER_KINDS:
        ledger.reread(record)
    else:
        reread(connection, record)


def retry_in(connection: Connection, tenant_id: UUID, record_id: UUID) -> str:
    """Enqueue the retry of a record on the caller's transaction; returns its task id."""
    task = retry_refused.s(tenant_id=tenant_id, record_id=str(record_id))
    return huey.enqueue_in(connection, task, correlation_id=record_id)


def _put_back(job: Job, why: str) -> None:
    connection = job.connection_as(job.tenant_id)
    enter(connection, job.tenant_id, "app_import")
    values = {"tenant_id": job.tenant_id, "id": job.correlation_id, "field": None, "message": why}
    rows(connection, sql("ingest", "refuse_again"), values)


@huey.signal(signals.DEAD)
def put_back_record_of_dead_job(signal: str, job: Job, error_type: str, error: BaseException | None) -> None:
    """Let the record wait for somebody again in the transaction in which its retry dies."""
    if job.task_name == RETRY_REFUSED:
        _put_back(job, redact(str(error) if error else error_type)[:2000])


def _is_retry(job: Job) -> bool:
    return job.task_name == RETRY_REFUSED


@huey.signal(signals.ENDED)
def put_back_record_of_cancelled_job(signal: str, job: Job, state: str) -> None:
    """Let the record wait for somebody again in the transaction in which its retry is cancelled."""
    if state == "cancelled":
        _put_back(job, "its retry was cancelled")


put_back_record_of_cancelled_job.only = _is_retry
