"""Many jobs of one lane: run what is scheduled now, or cancel what waits; of one tenant, or of all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from werkzeug.exceptions import Forbidden

from admin import trail
from admin.actions import acting
from admin.bulk_actions import MANY
from admin.guard import note_refusal
from admin.permissions import can, refusal, require_fresh
from admin.reads import queues
from skeldir_huey.db.engine import enter
from skeldir_huey.errors import Conflict, InputError
from skeldir_huey.queue import control

MOST = 10_000  # at once


@dataclass(frozen=True)
class Verb:
    """What is done to which jobs of a lane, and its words."""

    name: str
    state: str
    label: str
    question: str
    explanation: str
    act: Callable[[Connection, str, int, int], int]
    css: str = "primary"


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "run_scheduled",
            "scheduled",
            "Run scheduled now",
            "Run these scheduled jobs now?",
            "Retries with a delay and jobs with a date become due at once and stand in line with the others.",
            control.run_scheduled,
        ),
        Verb(
            "cancel_waiting",
            "waiting",
            "Cancel waiting",
            "Cancel these waiting jobs?",
            "Each stays in line and ends as cancelled when its turn comes. Jobs that run are left alone.",
            control.cancel_waiting,
            "danger",
        ),
    )
}


@dataclass(frozen=True)
class Seen:
    """What somebody saw who decided: the largest job id then, how many jobs there were, and the number they typed."""

    upto: int
    count: int
    typed: str = ""


def act(user: Any, verb: Verb, lane: str, tenant_id: UUID | None, seen: Seen, reason: str) -> int:
    """Do it to the jobs of a lane that were there when somebody looked; returns to how many, at most 10,000.

    Args:
        tenant_id: whose jobs; None means those of every tenant and of none.

    Raises:
        Forbidden, NotFound: as `acting`; more than 1,000 need an admin.
        StaleSignIn: above 1,000 the password must have been given within the last minutes.
        InputError: another number was typed.
        Conflict: there is no such job (any more).
    """
    with acting(user, verb.name, tenant_id) as connection:
        _one_at_a_time(connection, lane)
        counts = _counts(connection, verb, lane, tenant_id, seen.upto)
        if sum(counts.values()) > MANY:
            _check_many(user, tenant_id, sum(counts.values()), seen)
        done: dict[str, int] = {}
        left = MOST
        for owner in counts:
            enter(connection, owner, "console_tenant" if owner else "console_global")
            count = verb.act(connection, lane, seen.upto, left)
            left -= count
            if count:
                done[str(owner or "none")] = count
        enter(connection, tenant_id, "console_tenant" if tenant_id else "console_global")
        if not done:
            state = f"No job of queue {lane} is {verb.state} and was not asked for before."
            raise Conflict(trail.who_was_first(connection, "lane", lane, state))
        detail = {"count": sum(done.values()), "tenants": done}
        trail.record(connection, user.email, verb.name, "lane", lane, tenant_id=tenant_id, reason=reason, detail=detail)
    return sum(done.values())


def _one_at_a_time(connection: Connection, lane: str) -> None:
    # The second of two clicks must see what the first did.
    key = f"console steers {lane}"
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))


def _counts(connection: Connection, verb: Verb, lane: str, tenant_id: UUID | None, upto: int) -> dict[UUID | None, int]:
    if tenant_id is None:
        enter(connection, None, "console_all")
    return queues.owners(connection, lane, verb.state, upto)


def _check_many(user: Any, tenant_id: UUID | None, count: int, seen: Seen) -> None:
    if not can(user, "bulk_over_1000", tenant_id):
        note_refusal("bulk_over_1000", tenant_id)
        raise Forbidden(f"More than {MANY} at once: {refusal(user, 'bulk_over_1000', tenant_id)}")
    require_fresh()
    if seen.typed != str(seen.count) or count > seen.count:
        raise InputError("number", f"type {count} to go on")
