"""The verbs of the console. Each checks the permission, acts, and writes its audit row, all in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from werkzeug.exceptions import Forbidden

from admin.guard import note_refusal
from admin.permissions import NEED, can, refusal
from admin.scope import limit_statements
from admin.trail import record
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import FailedJob
from skeldir_huey.errors import Conflict, NotFound
from skeldir_huey.queue import dead_letters

LETTER = "dead_letter"


def replay_letter(user: Any, letter_id: UUID, tenant_id: UUID | None, reason: str) -> str:
    """Enqueue the job of a dead letter once more and return the id of the new job.

    However often and by however many people this is asked at once, one job is made.

    Raises:
        Forbidden: the user may look but not replay.
        NotFound: no such letter in this tenant.
        Conflict: it is not pending any more.
    """
    with acting(user, "replay", tenant_id) as connection:
        task_id: str = dead_letters.replay(connection, letter_id)
        _audit(connection, user, "replay", letter_id, tenant_id, reason, {"task_id": task_id})
    return task_id


def abandon_letter(user: Any, letter_id: UUID, tenant_id: UUID | None, reason: str) -> None:
    """Take a pending letter off the list for good, unless it is reopened.

    Raises:
        Forbidden, NotFound, Conflict: as `replay_letter`.
    """
    with acting(user, "abandon", tenant_id) as connection:
        _move(connection, letter_id, "pending", "abandoned", reason)
        _audit(connection, user, "abandon", letter_id, tenant_id, reason, {})


def reopen_letter(user: Any, letter_id: UUID, tenant_id: UUID | None, reason: str) -> None:
    """Put an abandoned letter back on the list.

    Raises:
        Forbidden, NotFound, Conflict: as `replay_letter`.
    """
    with acting(user, "reopen", tenant_id) as connection:
        _move(connection, letter_id, "abandoned", "pending", reason)
        _audit(connection, user, "reopen", letter_id, tenant_id, reason, {})


@dataclass(frozen=True)
class Verb:
    """How a page offers a verb: its words, the status a letter must have, and the function above that does it."""

    name: str
    label: str
    question: str
    explanation: str
    done: str
    needs_status: str
    act: Callable[[Any, UUID, UUID | None, str], object]
    css: str = "primary"

    @property
    def role(self) -> str:
        return NEED[self.name]


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            name="replay",
            label="Replay",
            question="Replay this job?",
            explanation="It runs once more with the same arguments. The letter is resolved when it succeeds.",
            done="Replay queued",
            needs_status="pending",
            act=replay_letter,
        ),
        Verb(
            name="abandon",
            label="Abandon",
            question="Abandon this job?",
            explanation="It leaves the list and will not run again unless it is reopened.",
            done="Abandoned",
            needs_status="pending",
            act=abandon_letter,
            css="danger",
        ),
        Verb(
            name="reopen",
            label="Reopen",
            question="Reopen this job?",
            explanation="It comes back to the list of pending dead letters. Nothing runs yet.",
            done="Reopened",
            needs_status="abandoned",
            act=reopen_letter,
        ),
    )
}


@contextmanager
def acting(user: Any, action: str, tenant_id: UUID | None, *, role: str | None = None) -> Iterator[Connection]:
    """Open the transaction of a verb, as the role that may write there; the caller records it in the same transaction.

    Args:
        role: act as this one instead; only for tables that belong to no tenant.

    Raises:
        NotFound: the user may not see this tenant.
        Forbidden: the user may look but not do this.
    """
    if not can(user, "read", tenant_id):
        raise NotFound("no such tenant")
    if not can(user, action, tenant_id):
        note_refusal(action, tenant_id)
        raise Forbidden(refusal(user, action, tenant_id, "this tenant" if tenant_id else "all tenants"))
    # Rows without a tenant are the global role's; all others are written inside their tenant only.
    role = role or ("console_tenant" if tenant_id else "console_global")
    with transaction(tenant_id, role=role, who="console") as connection:
        limit_statements(connection)
        yield connection


def _move(connection: Connection, letter_id: UUID, old: str, new: str, reason: str) -> None:
    moved = connection.execute(
        sa.update(FailedJob)
        .where(FailedJob.id == letter_id, FailedJob.status == old)
        .values(status=new, remediation_notes=reason)
        .returning(FailedJob.id)
    ).scalar()
    if moved is not None:
        return
    status = connection.scalar(sa.select(FailedJob.status).where(FailedJob.id == letter_id))
    if status is None:
        raise NotFound("no such dead letter")
    raise Conflict(f"This dead letter is {status.replace('_', ' ')}, no longer {old}.")


def _audit(
    connection: Connection,
    user: Any,
    action: str,
    letter_id: UUID,
    tenant_id: UUID | None,
    reason: str,
    detail: dict[str, Any],
) -> None:
    record(connection, user.email, action, LETTER, str(letter_id), tenant_id=tenant_id, reason=reason, detail=detail)
