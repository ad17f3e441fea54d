"""What operators do to refused records: correct and retry them, ignore them, take that back."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from admin.actions import acting
from admin.reads.refused import RECORD
from admin.trail import record, who_was_first
from skeldir_huey.clock import utc_now
from skeldir_huey.db.tables import DeadEvent
from skeldir_huey.errors import Conflict, InputError, NotFound
from skeldir_huey.log import redact
from skeldir_huey.tasks import refused

MAX_CHARACTERS = 20_000
# verb -> (the status it needs, what it makes of it)
MOVES = {"ignore": ("pending", "ignored"), "restore": ("ignored", "pending")}


def parse_payload(text: str) -> dict[str, Any]:
    """Return the JSON object that was typed.

    Raises:
        InputError: it is none; says where.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError("payload", f"at most {MAX_CHARACTERS} characters")
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise InputError("payload", "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InputError("payload", f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise InputError("payload", f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError("payload", "expected one JSON object: column -> value")
    if "\\u0000" in json.dumps(found):
        raise InputError("payload", "holds a character that no text of the database can hold")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def retry(user: Any, record_id: UUID, tenant_id: UUID, payload: dict[str, Any], reason: str) -> str:
    """Keep the corrected record and enqueue its retry, once; returns the task id.

    Raises:
        Forbidden: the user may look but not do this.
        NotFound: no such record in this tenant.
        Conflict: it is not pending any more.
        InputError: the record would be refused again; the field is its column.
    """
    with acting(user, "refused", tenant_id) as connection:
        found = (
            connection.execute(sa.select(DeadEvent.__table__).where(DeadEvent.id == record_id).with_for_update())
            .mappings()
            .one_or_none()
        )
        if found is None:
            raise NotFound("no such record")
        if found["remediation_status"] != "pending":
            state = f"This record is {found['remediation_status'].replace('_', ' ')}, no longer pending."
            raise Conflict(who_was_first(connection, RECORD, str(record_id), state))
        clean = redact(payload)
        refused.check_record(connection, dict(found) | {"payload": clean})
        changed = sorted(
            name for name in {*clean, *found["payload"]} if clean.get(name) != found["payload"].get(name)
        )  # fmt: skip
        values = {
            "payload": clean,
            "remediation_status": "in_progress",
            "retry_count": found["retry_count"] + 1,
            "last_retry_at": utc_now(),
        }
        connection.execute(sa.update(DeadEvent).where(DeadEvent.id == record_id).values(values))
        task_id = refused.retry_in(connection, tenant_id, record_id)
        detail = {"task_id": task_id, "changed": changed}
        record(
            connection, user.email, "retry_refused", RECORD, str(record_id), tenant_id=tenant_id, reason=reason,
            detail=detail,
        )  # fmt: skip
    return task_id


def move(user: Any, record_id: UUID, tenant_id: UUID, verb: str, reason: str) -> None:
    """Ignore a record, or put an ignored one back on the list.

    Raises:
        Forbidden, NotFound, Conflict: as `retry`.
    """
    old, new = MOVES[verb]
    with acting(user, "refused", tenant_id) as connection:
        moved = connection.execute(
            sa.update(DeadEvent)
            .where(DeadEvent.id == record_id, DeadEvent.remediation_status == old)
            .values(remediation_status=new, notes=reason)
            .returning(DeadEvent.id)
        ).scalar()
        if moved is None:
            status = connection.scalar(sa.select(DeadEvent.remediation_status).where(DeadEvent.id == record_id))
            if status is None:
                raise NotFound("no such record")
            state = f"This record is {status.replace('_', ' ')}, no longer {old}."
            raise Conflict(who_was_first(connection, RECORD, str(record_id), state))
        record(connection, user.email, f"{verb}_refused", RECORD, str(record_id), tenant_id=tenant_id, reason=reason)
