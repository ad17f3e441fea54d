"""Operations on many dead letters: drafted with a frozen filter, confirmed with a reason, then steered.

The request only writes rows; the letters are done by `skeldir_huey.tasks.bulk` in the background.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from werkzeug.exceptions import Forbidden

from admin import scope
from admin.actions import acting
from admin.guard import note_refusal
from admin.permissions import can, refusal, require_fresh
from admin.reads import bulk as reads
from admin.trail import record, who_was_first
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import enter
from skeldir_huey.db.tables import BulkOperation
from skeldir_huey.errors import Conflict, InputError, NotFound
from skeldir_huey.queue.bulk_letters import NEEDS
from skeldir_huey.queue.letter_filter import LetterFilter
from skeldir_huey.tasks import bulk

BULK = "bulk_operation"
MANY = 1000  # above it the number is typed, the sign-in is fresh, and an admin is needed

# Letters per second, as the form sends them; "0" leaves out the limit.
RATES = {"20": "20 a second", "100": "100 a second", "500": "500 a second", "0": "as fast as they can be written"}

# What a verb does to a running operation: from which states, to which.
STEERING = {
    "pause": (("running",), "paused"),
    "continue": (("paused", "stopped"), "running"),
    "cancel": (("draft", "running", "paused", "stopped"), "cancelled"),
}


def draft(user: Any, verb: str, tenant_id: UUID | None, wanted: LetterFilter, source_id: UUID | None = None) -> UUID:
    """Freeze a filter, count what it means, and return the id of the draft; nothing happens to any letter.

    Raises:
        Forbidden: the user may look but not do this.
        InputError: no letter matches.
    """
    with scope.reading() as connection:
        frozen = reads.freeze(connection, verb, wanted, source_id)
    if frozen is None:
        raise InputError("letter", f"no {NEEDS[verb]} dead letter matches; nothing was made")
    operation_id = uuid4()
    with acting(user, verb, tenant_id) as connection:
        row = {
            "id": operation_id,
            "tenant_id": tenant_id,
            "verb": verb,
            "filter": wanted.with_status(NEEDS[verb]).as_json(),
            "drafted_at": frozen.drafted_at,
            "cutoff_at": frozen.cutoff_at,
            "cutoff_id": frozen.cutoff_id,
            "source_id": source_id,
            "item_count": frozen.count,
            "shares": frozen.shares,
            "samples": frozen.samples,
            "created_by": user.email,
        }
        connection.execute(sa.insert(BulkOperation).values(row).inline())
    return operation_id


def confirm(user: Any, operation: Row, reason: str, rate: str, typed: str) -> None:
    """Start a draft: the row changes and its first step is enqueued in one transaction, once.

    Args:
        operation: as read for the page.
        rate: a key of RATES.
        typed: the number as the person typed it; needed above 1,000.

    Raises:
        Forbidden: the user may not do this, or not to so many.
        StaleSignIn: above 1,000 the password must have been given within the last minutes.
        InputError: another number was typed.
        Conflict: it is no draft any more.
    """
    if operation.item_count > MANY:
        if not can(user, "bulk_over_1000", operation.tenant_id):
            note_refusal("bulk_over_1000", operation.tenant_id)
            raise Forbidden(f"More than {MANY} at once: {refusal(user, 'bulk_over_1000', operation.tenant_id)}")
        require_fresh()
        if typed.replace(" ", "").replace(",", "").replace("\u202f", "") != str(operation.item_count):
            raise InputError("number", f"type {operation.item_count} to go on")
    values = {
        "state": "running",
        "reason": reason,
        "rate": int(rate) or None,
        "confirmed_by": user.email,
        "confirmed_at": utc_now(),
    }
    with acting(user, operation.verb, operation.tenant_id) as connection:
        _move(connection, operation.id, ("draft",), values)
        _start(connection, operation)
        detail = {
            "verb": operation.verb,
            "count": operation.item_count,
            "tenant_count": len(operation.shares),
            "filter": operation.filter,
            "rate": values["rate"],
        }
        _audit(connection, user, "bulk_start", operation, reason, detail)


def steer(user: Any, operation: Row, verb: str, reason: str) -> None:
    """Pause, continue or cancel; what was done to letters stays done.

    Raises:
        Forbidden: the user may not do this.
        Conflict: it is in a state that this does not apply to.
    """
    states, becomes = STEERING[verb]
    with acting(user, operation.verb, operation.tenant_id) as connection:
        values: dict[str, Any] = {"state": becomes, "last_error": None}
        if becomes == "cancelled":
            values["ended_at"] = utc_now()
        _move(connection, operation.id, states, values)
        if verb == "continue":
            _start(connection, operation)
        _audit(connection, user, f"bulk_{verb}", operation, reason, {"verb": operation.verb})


def _move(connection: Connection, operation_id: UUID, states: tuple[str, ...], values: dict[str, Any]) -> None:
    moved = connection.execute(
        sa.update(BulkOperation)
        .where(BulkOperation.id == operation_id, BulkOperation.state.in_(states))
        .values(values)
        .returning(BulkOperation.id)
    ).scalar()
    if moved is not None:
        return
    state = connection.scalar(sa.select(BulkOperation.state).where(BulkOperation.id == operation_id))
    if state is None:
        raise NotFound("no such operation")
    raise Conflict(who_was_first(connection, BULK, str(operation_id), f"This operation is {state}."))


def _start(connection: Connection, operation: Row) -> None:
    # The steps belong to no tenant: they go from one to the next.
    enter(connection, None, "console_global")
    bulk.start_in(connection, operation.id)
    enter(connection, operation.tenant_id, "console_tenant" if operation.tenant_id else "console_global")


def _audit(connection: Connection, user: Any, action: str, operation: Row, reason: str, detail: dict[str, Any]) -> None:
    record(
        connection, user.email, action, BULK, str(operation.id), tenant_id=operation.tenant_id, reason=reason,
        detail=detail,
    )  # fmt: skip
